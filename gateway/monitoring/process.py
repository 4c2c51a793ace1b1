"""What the kernel says about this process. What it does not say is missing, not zero."""

import contextlib
import os
import resource
import time
from pathlib import Path

from gateway.monitoring.exposition import Sample

_STAT, _STATM, _FDS = Path("/proc/self/stat"), Path("/proc/self/statm"), Path("/proc/self/fd")
_START_TICKS = 19  # behind the name of the program, which may hold anything


def figures(now_s: float) -> dict[str, list[Sample]]:
    """Give the figures of this process; ``now_s`` is the gateway's own instant."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    told: dict[str, float] = {
        "process_cpu_seconds_total": round(used.ru_utime + used.ru_stime, 2),
        "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    }
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = int(_STAT.read_text().rpartition(")")[2].split()[_START_TICKS])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        told["process_start_time_seconds"] = round(now_s - age_s)
    if has := resident():
        told["process_resident_memory_bytes"] = has
    with contextlib.suppress(OSError):
        told["process_open_fds"] = sum(1 for _ in _FDS.iterdir())
    return {name: [((), value)] for name, value in told.items()}


def resident() -> int:
    """Give the bytes of memory that this process has; 0 where the kernel does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
