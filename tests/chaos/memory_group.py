"""A control group with a ceiling for memory: what `MemoryMax` is, for a daemon that no systemd runs."""

import os
import re
from pathlib import Path

_V1 = Path("/sys/fs/cgroup/memory")
_UNIT = Path(__file__).parents[2] / "systemd" / "gateway.service"


def unit_ceiling(name: str) -> int:
    """Give a ceiling that the unit sets (MemoryHigh, MemoryMax), in bytes."""
    return int(re.search(rf"^{name}=([0-9]+)M$", _UNIT.read_text(), re.MULTILINE)[1]) * 2**20


class MemoryGroup:
    """Who is in it shares a ceiling; the kernel ends whoever wants more."""

    def __init__(self) -> None:
        self.folder = _V1 / f"gateway-under-test-{os.getpid()}"
        self.folder.mkdir()

    @staticmethod
    def missing() -> str | None:
        """Say why this machine cannot have one."""
        if not (_V1 / "memory.limit_in_bytes").exists():
            return (
                "there is no memory controller of the first kind here; systemd itself would have to be asked"
            )
        return None if os.access(_V1, os.W_OK) else "only root may make a control group"

    def limit(self, ceiling: int) -> None:
        """Set the ceiling in bytes. OSError (EBUSY) when more than that is in use and cannot be freed."""
        (self.folder / "memory.limit_in_bytes").write_text(str(ceiling))

    def in_use(self) -> int:
        """Give the bytes that processes hold, without the files that the kernel may drop."""
        lines = (self.folder / "memory.stat").read_text().splitlines()
        return int(dict(line.split() for line in lines)["rss"])

    def highest(self) -> int:
        """Give the most bytes that were ever in use, with the files that the kernel kept for it."""
        return int((self.folder / "memory.max_usage_in_bytes").read_text())

    def kills(self) -> int:
        """Give how many processes the kernel ended because of the ceiling."""
        lines = (self.folder / "memory.oom_control").read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def close(self) -> None:
        """Remove it; its processes must have ended."""
        self.folder.rmdir()
