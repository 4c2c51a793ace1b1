"""Measure the gateway and print Markdown: ``python bench/run.py [--quick | --full] [--only NAME,…]``.

Everything is compared inside one run, interleaved: absolute numbers mean something only beside their ratio.
Progress goes to standard error, the tables to standard output.
"""

import argparse
import importlib
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from disk import Disk, kind_of_file_system
from far_ends import FarEnds
from load import BadRun, Generator
from measure import loop_ms, machine_times, steal_share
from plan import DEFAULT, FULL, QUICK, Plan, say

_SECTIONS = ("throughput", "slow_disk", "latency", "drain", "memory", "life", "backlog", "quiet")
_PACKAGES = ("hypercorn", "h11", "starlette", "paho-mqtt", "httpx2", "lxml", "pydantic", "anyio")


def main() -> None:
    options = _options()
    amount = QUICK if options.quick else FULL if options.full else DEFAULT
    names = options.only.split(",") if options.only else _SECTIONS
    unknown = set(names) - set(_SECTIONS)
    if unknown:
        sys.exit(f"bench: there is no section {', '.join(sorted(unknown))}; there are {', '.join(_SECTIONS)}")
    kind = kind_of_file_system(options.directory.resolve())
    if kind in ("tmpfs", "ramfs"):
        sys.exit(
            f"bench: {options.directory} is {kind}, where a sync is free. Name another one with --directory."
        )
    cpus = sorted(os.sched_getaffinity(0))
    server_cpu, load_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    directory = Path(tempfile.mkdtemp(prefix="gateway-bench-", dir=options.directory))
    began, times = time.monotonic(), machine_times()
    try:
        disk = Disk(directory)
        print(_head(amount.name, kind, disk, pinned=server_cpu is not None), flush=True)
        with FarEnds(directory / "far-ends", load_cpu) as far_ends:
            generator = Generator(directory, load_cpu)
            plan = Plan(amount, directory, disk, generator, far_ends, server_cpu, load_cpu)
            for name in _SECTIONS:
                if name in names:
                    _section(name, plan)
        steal = steal_share(times, machine_times())
        print(_foot(plan, time.monotonic() - began, steal), flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _section(name: str, plan: Plan) -> None:
    section = importlib.import_module(name)
    say(f"{section.TITLE} …")
    began = time.monotonic()
    try:
        text = section.run(plan)
    except BadRun as bad:
        text = f"**Not measured**: {bad}. The same happened at every try."
    say(f"  {time.monotonic() - began:.0f} s")
    print(f"\n## {section.TITLE}\n\n{text}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the gateway; prints Markdown.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="about 6 minutes; no repeats")
    size.add_argument("--full", action="store_true", help="with up to ten million events waiting; an hour")
    parser.add_argument("--only", metavar="NAME,…", help=f"sections out of {', '.join(_SECTIONS)}")
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("/var/tmp"),
        help="where the stores go; a real disk with room for 4 GB, 40 GB with --full",
    )
    return parser.parse_args()


def _head(amount: str, kind: str, disk: Disk, *, pinned: bool) -> str:
    lines = [
        f"# Bench, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {amount}",
        "",
        f"- {machine(kind)}",
        "- " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        f"- wrk {_said('wrk', '-v')}; {_said('mosquitto', '-h')}",
        f"- A fixed piece of Python takes {loop_ms():.1f} ms now; the last line says what it takes at the end",
        f"- A sync of 4 KB: {disk.quiet_ms:.2f} ms when quiet; cells above {disk.limit_ms:.2f} ms were repeated",
        "- The server alone on one processor, generator and far ends on another"
        if pinned
        else "- **One processor for everything**: the rates are those of the whole, ratios are flattered",
        "- W1: a people counter's XML, 867 B. W2: a face record with its picture, 60,516 B. Every push is a new event",
    ]
    return "\n".join(lines)


def _foot(plan: Plan, seconds: float, steal: float) -> str:
    disk = plan.disk
    lines = [
        (
            f"\n---\n{seconds / 60:.0f} minutes; {steal * 100:.1f} % of the machine's time was stolen by its host;"
            f" load {os.getloadavg()[0]:.1f} at the end, when the fixed piece of Python takes {loop_ms():.1f} ms."
        ),
        (
            f"Worst sync beside a cell that counts: {disk.worst_ms:.2f} ms; {disk.repeated} cells repeated for the disk,"
            f" {disk.accepted_bad} kept although it stayed bad; {len(plan.discarded)} runs discarded."
        ),
        (
            f"{plan.crowded} cells repeated because others took more than 15 % of the server's processor; in what counts"
            f" they took up to {plan.worst_foreign * 100:.0f} %."
        ),
        (
            "Not measured here: peers (targets 4 to 6), loss (target 7: the test suite), pictures kept (this gateway"
            " drops them), any card or Raspberry Pi."
        ),
    ]
    return "\n".join([*lines, *(f"- discarded: {reason}" for reason in plan.discarded)])


def machine(file_system: str) -> str:
    """Say what this was measured on."""
    return (
        f"Machine: {_processor()}, {os.cpu_count()} processors, {_memory_gb():.0f} GB; {platform.system()}"
        f" {platform.release()}; {file_system}; load {os.getloadavg()[0]:.1f} at the start\n"
        f"- {platform.python_implementation()} {platform.python_version()}, SQLite {sqlite3.sqlite_version};"
        f" gateway {version('site-gateway')} {_commit()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _commit() -> str:
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(git, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "(not from a repository)"


def _said(program: str, option: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        sys.exit(f"bench: {program} is not installed. Install it: apt install {program}")
    told = subprocess.run([path, option], capture_output=True, text=True, check=False)
    line = (told.stdout + told.stderr).splitlines()[0]
    return " ".join(line.split()[:3]).removeprefix("wrk ").rstrip(",")


if __name__ == "__main__":
    main()
