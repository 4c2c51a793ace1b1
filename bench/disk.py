"""The disk under the bench: how fast it syncs right now, and a slower one by injection.

Neighbours on the same file system make a sync ten times slower for a second, and a cell that was measured
in that second says nothing about the product. So the disk is probed before and after every cell.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_HERE = Path(__file__).parent
_APPENDS = 25
_BLOCK = os.urandom(4096)
_BAD_MS = 0.5  # on a disk that is quiet at half of it; on a slower one twice its own quiet time
_TRIES = 3


class Disk:
    """The directory's disk."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "probe"
        self.quiet_ms = min(self._probes())
        self.limit_ms = max(_BAD_MS, 2 * self.quiet_ms)
        self.worst_ms = 0.0  # of the cells that count
        self.repeated = 0
        self.accepted_bad = 0

    def _probes(self) -> Iterator[float]:
        """Probe until neighbours had a chance to be quiet."""
        for _ in range(20):
            yield self.probe()
            time.sleep(0.1)

    def probe(self) -> float:
        """Append 4 KB and sync, 25 times; give the median in milliseconds."""
        times = []
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            for _ in range(_APPENDS):
                started = time.perf_counter()
                os.write(handle, _BLOCK)
                os.fdatasync(handle)
                times.append(time.perf_counter() - started)
        finally:
            os.close(handle)
        return statistics.median(times) * 1000

    def guarded(self, cell: Callable[..., T], *args: object, **how: object) -> T:
        """Measure a cell; again, when the disk was bad before or after it."""
        for attempt in range(_TRIES):
            before = self.probe()
            result = cell(*args, **how)
            worst = max(before, self.probe())
            if worst <= self.limit_ms:
                break
            if attempt < _TRIES - 1:
                self.repeated += 1
                time.sleep(0.5)
            else:
                self.accepted_bad += 1
        self.worst_ms = max(self.worst_ms, worst)
        return result


def kind_of_file_system(directory: Path) -> str:
    """Name the file system; on tmpfs a sync is free and nothing of this bench means anything."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split(" ")
        if (str(directory) + "/").startswith(place.rstrip("/") + "/") and len(place) > len(best):
            best, kind = place, found
    return kind


def compiled(source: str, target: Path, *flags: str) -> Path:
    """Compile one of the C files beside this one."""
    gcc = shutil.which("gcc")
    if gcc is None:
        sys.exit("bench: gcc is not installed. Install it: apt install gcc libc6-dev")
    command = [gcc, "-O2", "-D_GNU_SOURCE", "-o", str(target), str(_HERE / source), *flags]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        sys.exit(f"bench: {source} does not compile. {made.stderr}")
    return target


def slow_sync(directory: Path, extra_ms: float) -> dict[str, str]:
    """Give the environment of a process whose syncs take so much longer."""
    shim = compiled("slow_sync.c", directory / "slow_sync.so", "-shared", "-fPIC", "-ldl")
    return {"LD_PRELOAD": str(shim), "SLOW_US": str(int(extra_ms * 1000))}
