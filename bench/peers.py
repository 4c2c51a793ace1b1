"""Measure the gateway beside its peers and print Markdown: ``python bench/peers.py [--quick] [--only NAME,…]``.

Same machine, same load, in turn, each with nothing but its own way to MQTT. It installs the peers first, in
environments of their own. Progress goes to standard error, the tables to standard output.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from disk import kind_of_file_system
from load import Generator
from measure import machine_times, steal_share
from peer_loss import lost
from peer_moments import BROKER_LIMIT, PATIENCE_S, Poisoned, latency, poison, quantile
from peer_rates import CONNECTIONS, Rates, measure
from peer_systems import SYSTEMS, Ours, install, versions
from plan import say
from run import machine
from tables import table

SECTIONS = ("rates", "latency", "loss", "poison")
_LOSSES = {
    "nothing happens (control)": ("control", True),
    "the broker is away, and comes back": ("control", False),
    "kill -9, broker there": ("kill", True),
    "kill -9, broker away": ("kill", False),
    "stopped by its own unit's signal": ("stop", True),
}


def main() -> None:
    options = _options()
    names = options.only.split(",") if options.only else SECTIONS
    if unknown := set(names) - set(SECTIONS):
        sys.exit(f"bench: there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    install()
    cpus = sorted(os.sched_getaffinity(0))
    server, load = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    directory = Path(tempfile.mkdtemp(prefix="gateway-peers-", dir=options.directory))
    began, times = time.monotonic(), machine_times()
    try:
        print(f"## Peers, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC{', quick' if options.quick else ''}\n")
        print(f"- {machine(kind_of_file_system(options.directory))}\n- {versions()}")
        print("- Each on one processor, the load on another; only MQTT, QoS 1, mosquitto")
        generator, plain = Generator(directory, load), Generator(directory, None)
        for name in names:
            say(f"{name} …")
            print("\n" + _section(name, directory, generator, plain, server, quick=options.quick), flush=True)
        steal = steal_share(times, machine_times()) * 100
        print(
            f"\n{(time.monotonic() - began) / 60:.0f} minutes; {steal:.1f} % of the machine's time was stolen by its host."
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _section(
    name: str, directory: Path, generator: Generator, plain: Generator, cpu: int | None, *, quick: bool
) -> str:
    if name == "rates":
        repeats, cell_s = (1, 1) if quick else (3, 2)
        return _rates(measure(directory, generator, repeats=repeats, cell_s=cell_s, cpu=cpu, say=say))
    if name == "latency":
        return _latency(latency(directory, plain, pushes=200 if quick else 1_000, say=say))
    if name == "loss":
        return _losses(directory, plain)
    return _poison(poison(directory, plain, say=say))


def _rates(found: dict[type, Rates]) -> str:
    parts = ["### Accepted per second, p99, memory, start"]
    heads = [f"{workload} {c}" for workload in ("W1", "W2") for c in CONNECTIONS]
    keys = [(workload, c) for workload in ("W1", "W2") for c in CONNECTIONS]
    parts.append("Requests/s by connections, medians; what a 200 means stands behind the name.")
    rows = [
        [f"{make.name}: {make.promise}", *(f"{rates.rate(*key):,.0f}" for key in keys)]
        for make, rates in found.items()
    ]
    rows += [
        [f"ours / {make.name}", *(f"{found[Ours].rate(*key) / rates.rate(*key):.2f}" for key in keys)]
        for make, rates in found.items()
        if make is not Ours
    ]
    parts.append(table(["", *heads], rows))
    parts.append("p99, ms:")
    parts.append(
        table(
            ["", *heads],
            [[make.name, *(f"{r.p99_ms(*key):.1f}" for key in keys)] for make, r in found.items()],
        )
    )
    middle = lambda values: sorted(values)[len(values) // 2]  # noqa: E731 - one line for five columns
    parts.append(
        table(
            [
                "",
                "CPU µs/request W1 16",
                "W2 16",
                "MB idle",
                "MB peak",
                "s to the first push taken",
                "messages/request",
            ],
            [
                [
                    make.name,
                    f"{middle([cell.cpu_us for cell in r.cells['W1', 16]]):,.0f}",
                    f"{middle([cell.cpu_us for cell in r.cells['W2', 16]]):,.0f}",
                    f"{middle(r.idle_mb):.0f}",
                    f"{max(r.peak_mb):.0f}",
                    f"{middle(r.start_s):.2f}",
                    f"{middle(r.published):.2f}",
                ]
                for make, r in found.items()
            ],
        )
    )
    return "\n\n".join(parts)


def _latency(found: dict) -> str:
    rows = []
    for make in SYSTEMS:
        cells = [f"{quantile(found[make, w], s):.1f}" for w in ("W1", "W2") for s in (0.5, 0.99)]
        rows.append([make.name, *cells, f"{len(found[make, 'W1'])} / {len(found[make, 'W2'])}"])
    head = ["", "W1 p50", "W1 p99", "W2 p50", "W2 p99", "arrived"]
    return "### From the push to a QoS 1 subscriber, ms\n\n" + table(head, rows)


def _losses(directory: Path, generator: Generator) -> str:
    rows = []
    for number, (title, (how, uplink)) in enumerate(_LOSSES.items()):
        cells = []
        for make in SYSTEMS:
            say(f"  {title}: {make.name}")
            place = directory / f"loss-{number}-{make.__name__}"
            cells.append(str(lost(make, place, generator, how, uplink=uplink)))
        rows.append([title, *cells])
    head = ["", *(make.name for make in SYSTEMS)]
    return "### Acknowledged with 200, and never delivered\n\n" + table(head, rows)


def _poison(found: dict[type, Poisoned]) -> str:
    rows = [[make.name, f"{one.size:,}", f"{one.came} of {one.of}"] for make, one in found.items()]
    text = (
        f"A counter's sign of life at a broker that takes no more than {BROKER_LIMIT:,} bytes, then 20 events of another "
        f"device; what came of them in {PATIENCE_S} s. The size is that of the poison where the broker has no limit."
    )
    return f"### One poison message\n\n{text}\n\n" + table(["", "bytes of the poison", "arrived"], rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the gateway beside its peers; prints Markdown.")
    parser.add_argument("--quick", action="store_true", help="about 15 minutes; no repeats")
    parser.add_argument("--only", metavar="NAME,…", help=f"sections out of {', '.join(SECTIONS)}")
    parser.add_argument(
        "--directory", type=Path, default=Path("/var/tmp"), help="a real disk with room for 4 GB"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
