"""Compare this tree with another one: ``python bench/versus.py OTHER_TREE``; prints Markdown.

What counts is processor time per request until everything is delivered: unlike a rate it hardly moves with what
the neighbours do, and they can only add to it: so the least of several runs stands beside their median. Both trees
run in turn, with the same interpreter, packages, load and far ends.
To have an earlier tree: ``git archive COMMIT | tar x -C OTHER_TREE``.
"""

import argparse
import statistics
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from disk import Disk
from far_ends import FarEnds
from load import BadRun, Generator
from measure import cpu_s
from plan import say
from server import Server, Site
from tables import table

_HERE = Path(__file__).parent.parent
_TRIES = 3


def main() -> None:
    options = _options()
    trees = {"before": options.other.resolve(), "now": _HERE}
    costs: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    rates: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=options.directory) as name:
        directory = Path(name)
        generator = Generator(directory, 1)
        with FarEnds(directory / "far-ends", 1) as far_ends:
            for repeat in range(options.repeats):
                for tree, path in trees.items():
                    site = Site(
                        directory=directory / f"{repeat}-{tree}",
                        far_ends=far_ends,
                        cpu=0,
                        environment={"PYTHONPATH": str(path), "PYTHONSAFEPATH": "1"},
                    )
                    with Server(site) as server:
                        server.connected()
                        _cost(server, generator, "W1", 4, 1)
                        for workload in options.workloads:
                            for connections in options.connections:
                                cost, rate = _cost(server, generator, workload, connections, options.seconds)
                                costs[tree, workload, connections].append(cost)
                                rates[tree, workload, connections].append(rate)
                                say(
                                    f"  {repeat} {tree} {workload} {connections}: {cost:.0f} µs, {rate:.0f}/s"
                                )
        quiet = Disk(directory).quiet_ms
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; a sync of 4 KB takes {quiet:.2f} ms\n")
    rows = []
    for workload in options.workloads:
        for connections in options.connections:
            before, now = (costs[tree, workload, connections] for tree in trees)
            was, is_ = (statistics.median(rates[tree, workload, connections]) for tree in trees)
            rows.append(
                [
                    f"{workload}, {connections}",
                    f"{min(before):.0f} ({statistics.median(before):.0f})",
                    f"{min(now):.0f} ({statistics.median(now):.0f})",
                    f"{min(now) / min(before):.2f} ({statistics.median(now) / statistics.median(before):.2f})",
                    f"{was:,.0f}",
                    f"{is_:,.0f}",
                ]
            )
    heads = ["", "CPU µs/request before, least (median)", "now", "now / before", "requests/s before", "now"]
    print(table(heads, rows))


def _cost(
    server: Server, generator: Generator, workload: str, connections: int, seconds: int
) -> tuple[float, float]:
    """Give processor µs per request, delivery included, and requests per second."""
    for attempt in range(_TRIES):
        try:
            before = cpu_s(server.pid)
            run = generator.run(server.port, workload, connections, seconds)
        except BadRun as bad:
            if attempt == _TRIES - 1:
                raise
            say(f"  discarded: {bad}")
            continue
        server.drained()
        return (cpu_s(server.pid) - before) / run.requests * 1e6, run.rate
    raise AssertionError


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare this tree with another one; prints Markdown.")
    parser.add_argument("other", type=Path, help="a directory that holds another version of this repository")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--workloads", nargs="+", default=["W1", "W2"])
    parser.add_argument("--connections", nargs="+", type=int, default=[16])
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="where the stores go; a real disk"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
