"""What /proc says about a process and everything that it started."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Resident memory in megabytes (10**6), summed over the tree."""

    now: float
    peak: float


def tree(pid: int) -> list[int]:
    """Give the process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_s(pid: int) -> float:
    """User and system time of the tree so far."""
    ticks = 0
    for one in tree(pid):
        fields = _stat(one)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICK


def memory(pid: int) -> Memory:
    """Resident memory now, and its peak since `forget_peak`."""
    sizes = {"VmRSS": 0, "VmHWM": 0}
    for one in tree(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in sizes:
                sizes[name] += int(rest.split()[0]) * 1024
    return Memory(sizes["VmRSS"] / 1e6, sizes["VmHWM"] / 1e6)


def forget_peak(pid: int) -> None:
    """Begin a new peak."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def written(pid: int | str = "self") -> int:
    """Count the bytes that the process sent to the disk, or will when its caches are written back."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])


def steal_share(before: Sequence[int], after: Sequence[int]) -> float:
    """Say which part of the machine's time its host gave to others."""
    passed = [b - a for a, b in zip(before, after, strict=True)]
    return passed[7] / max(sum(passed[:8]), 1)


def loop_ms() -> float:
    """Time a fixed piece of Python: neighbours on the same host make processors slower without stealing time."""
    times = []
    for _ in range(9):
        started = time.perf_counter()
        sum(number * number for number in range(100_000))
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def busy_s(cpu: int) -> float:
    """Say how long a processor has worked so far, for whomever, or was kept from it by the host."""
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith(f"cpu{cpu} "))
    user, nice, system, _idle, _waiting, irq, softirq, steal = (int(part) for part in line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICK


def machine_times() -> list[int]:
    """Read the machine's own clock of what it did."""
    return [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]


def import_ms(*modules: str, runs: int = 7) -> tuple[float, float]:
    """Import modules in a fresh interpreter; give the median in ms and the resident MB afterwards."""
    program = (
        "import time; t = time.perf_counter()\n"
        f"import {', '.join(modules)}\n"
        "print(time.perf_counter() - t)\n"
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')][0])"
    )
    times, sizes = [], []
    for _ in range(runs + 1):
        told = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
        times.append(float(told[0]) * 1000)
        sizes.append(int(told[1]) * 1024 / 1e6)
    # The first one warms the cache.
    return statistics.median(times[1:]), statistics.median(sizes[1:])


def waited(until: float) -> None:
    """Sleep until a monotonic instant."""
    left = until - time.monotonic()
    if left > 0:
        time.sleep(left)


def _stat(pid: int) -> list[str] | None:
    """Give /proc/PID/stat behind the name: state, parent, …; None when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
