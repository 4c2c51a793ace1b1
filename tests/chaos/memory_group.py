"""A control group with a ceiling for memory: what `MemoryMax` is, for a daemon that no systemd runs."""

import errno
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_UNIT = Path(__file__).parents[2] / "systemd" / "gateway.service"
_LOOK_S = 0.02
# By this sentence tests/root_skips.py knows what no root inside can mend.
READ_ONLY = "the control groups of this container are read-only"


def unit_ceiling(name: str) -> int:
    """Give a ceiling that the unit sets (MemoryHigh, MemoryMax), in bytes."""
    return int(re.search(rf"^{name}=([0-9]+)M$", _UNIT.read_text(), re.MULTILINE)[1]) * 2**20


@dataclass(frozen=True)
class Kind:
    """One of the kernel's two kinds of control groups: where they lie, and what their files are called."""

    place: str
    ceiling: str
    highest: str
    ended: str
    held: tuple[str, ...]  # of memory.stat: what processes hold, without the files that the kernel may drop


FIRST = Kind(
    place="memory",
    ceiling="memory.limit_in_bytes",
    highest="memory.max_usage_in_bytes",
    ended="memory.oom_control",
    held=("rss",),
)
# The second kind counts what the kernel holds for its processes, too.
SECOND = Kind(
    place=".",
    ceiling="memory.max",
    highest="memory.peak",
    ended="memory.events",
    held=("anon", "kernel_stack", "pagetables", "sock", "slab_unreclaimable"),
)


def kind_of(root: Path) -> Kind | None:
    """Give the kind that has the memory here: a machine may have both, and only one of them has it."""
    if (root / FIRST.place / FIRST.ceiling).exists():
        return FIRST
    offered = root / "cgroup.controllers"
    return SECOND if offered.exists() and "memory" in offered.read_text().split() else None


class MemoryGroup:
    """Who is in it shares a ceiling; the kernel ends whoever wants more."""

    def __init__(self, root: Path = _ROOT) -> None:
        self.kind = kind_of(root)
        self.folder = root / self.kind.place / f"gateway-under-test-{os.getpid()}"
        if self.kind is SECOND:
            _hand_down(root)
        self.folder.mkdir()
        self._seen = 0
        self.closing = threading.Event()
        if not (self.folder / self.kind.highest).exists():  # Linux before 5.19
            threading.Thread(target=self._look, daemon=True).start()

    @staticmethod
    def missing(root: Path = _ROOT) -> str | None:
        """Say why this machine cannot have one."""
        kind = kind_of(root)
        if kind is None:
            return (
                "the kernel offers no control of memory; where it was switched off (a Raspberry Pi's), "
                "cgroup_enable=memory on its command line brings it back"
            )
        place = root / kind.place
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            return READ_ONLY
        return None if os.access(place, os.W_OK) else "only root may make a control group"

    def limit(self, ceiling: int) -> None:
        """Set the ceiling in bytes. OSError (EBUSY) when more than that is in use and cannot be freed.

        A group of the second kind says nothing then: the kernel ends a process at once.
        """
        swap = self.folder / "memory.swap.max"
        if swap.exists():  # or the kernel would put away what is above the ceiling and end nobody
            swap.write_text("0")
        (self.folder / self.kind.ceiling).write_text(str(ceiling))

    def in_use(self) -> int:
        """Give the bytes that processes hold, without the files that the kernel may drop."""
        told = self._told("memory.stat")
        return sum(told.get(name, 0) for name in self.kind.held)

    def highest(self) -> int:
        """Give the most bytes that were ever in use, with the files that the kernel kept for it."""
        file = self.folder / self.kind.highest
        return int(file.read_text()) if file.exists() else self._seen

    def kills(self) -> int:
        """Give how many processes the kernel ended because of the ceiling."""
        return self._told(self.kind.ended)["oom_kill"]

    def unwatch(self) -> None:
        """Look no more at what is in use."""
        self.closing.set()

    def close(self) -> None:
        """Remove it; its processes must have ended."""
        self.unwatch()
        self.folder.rmdir()

    def _told(self, name: str) -> dict[str, int]:
        lines = (self.folder / name).read_text().splitlines()
        return {word: int(number) for word, number in (line.split() for line in lines)}

    def _look(self) -> None:
        """Keep the most that was ever in use, where the kernel does not."""
        while not self.closing.wait(_LOOK_S):
            with suppress(OSError):
                self._seen = max(self._seen, int((self.folder / "memory.current").read_text()))


def _hand_down(root: Path) -> None:
    """Have the groups below get the control of memory.

    A group with processes of its own may not hand it down, unless it is the machine's: what a container sees as its
    root is not. So who is in it moves into one beside ours, where everything that holds for him goes on to hold.
    """
    control = root / "cgroup.subtree_control"
    if "memory" in control.read_text().split():
        return
    try:
        control.write_text("+memory")
    except OSError as why:
        if why.errno != errno.EBUSY:
            raise
        aside = root / "beside-gateway-under-test"
        aside.mkdir(exist_ok=True)
        for process in (root / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (aside / "cgroup.procs").write_text(process)
        control.write_text("+memory")
