"""Show on what the daemon's processor time goes, stage by stage: ``python bench/stages.py [--workload W2]``.

The daemon runs under load with both sinks, and py-spy (``pip install py-spy``) looks at its stacks; each look counts
for the innermost stage that it finds. Shares are of looks at threads that were at work, so they are shares
of processor time. The column in µs is the share of what a request costs in the same run.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from far_ends import FarEnds
from load import Generator
from measure import cpu_s
from server import Server, Site
from tables import table

# The innermost frame that fits decides; what stands first is looked for first within one frame.
_STAGES = (
    ("sink: HTTPS", r"sinks/https/|httpx2|httpcore2|h11/.*https"),
    ("sink: MQTT", r"sinks/mqtt/|paho/"),
    ("forwarder and rendering", r"gateway/forwarder/"),
    ("receiving: HTTP", r"gateway/listener/|gateway/guard|hypercorn/|h11/"),
    ("receiving: parsing", r"gateway/sources/|gateway/reading/"),
    (
        "receiving: receiver, intake",
        r"gateway/receiver/|gateway/intake|gateway/redact|gateway/source\.|gateway/outbox/persons",
    ),
    ("store: draft", r"gateway/outbox/(entry|dating|coverage)"),
    ("store: COMMIT", r"_transact .*COMMIT"),
    (
        "store: rows, tallies, book",
        r"gateway/outbox/(appending|tallying|devices|occupancy|recent|zoning|statements|signs|admission)",
    ),
    ("store: writer, waking", r"gateway/outbox/"),
)


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=options.directory) as name:
        directory = Path(name)
        generator = Generator(directory, 1)
        raw = directory / "stacks"
        with (
            FarEnds(directory / "far-ends", 1) as far_ends,
            Server(_site(directory / "site", far_ends, options.tree)) as server,
        ):
            server.connected()
            generator.run(server.port, options.workload, options.connections, 1)
            server.drained()
            before = cpu_s(server.pid)
            run = generator.run(server.port, options.workload, options.connections, options.seconds)
            server.drained()
            cost = (cpu_s(server.pid) - before) / run.requests * 1e6
            command = [
                options.py_spy,
                "record",
                "-p",
                str(server.pid),
                "-d",
                str(options.seconds),
                "-r",
                "500",
            ]
            command += ["--format", "raw", "--full-filenames", "-o", str(raw)]
            looking = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            generator.run(server.port, options.workload, options.connections, options.seconds + 1)
            looking.wait()
        _report(raw.read_text().splitlines(), cost, options)
        if options.keep:
            shutil.copy(raw, options.keep)


def _site(directory: Path, far_ends: FarEnds, tree: Path | None) -> Site:
    environment = {"PYTHONPATH": str(tree.resolve()), "PYTHONSAFEPATH": "1"} if tree else {}
    return Site(directory=directory, far_ends=far_ends, cpu=0, environment=environment)


def _report(lines: list[str], cost: float, options: argparse.Namespace) -> None:
    stages: Counter[str] = Counter()
    lowest: Counter[str] = Counter()
    for line in lines:
        stack, _, looks = line.rpartition(" ")
        frames = stack.split(";")
        if re.search(r"/(threading|selectors)\.py", frames[-1]):
            continue  # it waits for work
        stages[_stage(frames)] += int(looks)
        lowest[_short(_ours(frames))] += int(looks)
    total = sum(stages.values())
    print(
        f"{options.workload}, {options.connections} connections: {cost:.0f} µs per request, {total} looks\n"
    )
    heads = ["stage", "share", "µs/request"]
    rows = [
        [stage, f"{looks / total:.1%}", f"{looks / total * cost:.0f}"]
        for stage, looks in stages.most_common()
    ]
    print(table(heads, rows))
    print(f"\nThe {options.lines} lines of this repository that most of it is below or in:\n")
    heads = ["line", "share", "µs/request"]
    print(
        table(
            heads,
            [
                [place, f"{looks / total:.1%}", f"{looks / total * cost:.1f}"]
                for place, looks in lowest.most_common(options.lines)
            ],
        )
    )


def _stage(frames: list[str]) -> str:
    for frame in reversed(frames):
        for stage, pattern in _STAGES:
            if re.search(pattern, frame):
                return stage
    return "event loop, threads"


def _ours(frames: list[str]) -> str:
    return next((frame for frame in reversed(frames) if "/gateway/" in frame), frames[-1])


def _short(frame: str) -> str:
    return re.sub(r"\((?:.*/)?((?:gateway|site-packages|lib)/.*)\)", r"(\1)", frame)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Show on what the daemon's processor time goes; prints Markdown."
    )
    parser.add_argument("--workload", default="W1", choices=("W1", "W2"))
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--lines", type=int, default=25)
    parser.add_argument("--py-spy", default=shutil.which("py-spy"), help="where that program is")
    parser.add_argument("--tree", type=Path, help="another version of this repository, instead of this one")
    parser.add_argument("--keep", type=Path, help="write the stacks to this file too, for a flame graph")
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="where the store goes; a real disk"
    )
    options = parser.parse_args()
    if not options.py_spy:
        sys.exit("bench: py-spy is not installed. Install it: pip install py-spy")
    return options


if __name__ == "__main__":
    main()
