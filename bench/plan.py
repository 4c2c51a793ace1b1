"""How much is measured, and with what: shared by all sections."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from disk import Disk
from far_ends import FarEnds
from load import BadRun, Generator

T = TypeVar("T")

_TRIES = 3
_MOST_FOREIGN = 0.15  # of the server's processor; interrupts are in it


@dataclass(frozen=True)
class Amount:
    """How long and how often."""

    name: str
    repeats: int
    cell_s: int
    slow_repeats: int
    pushes: int
    drains: int
    lives: int  # events in section 6
    quiet_s: int
    backlogs: tuple[int, ...]  # events waiting, in section 7; the last one also in section 5


QUICK = Amount("quick", 1, 1, 1, 300, 1, 2_000, 15, (0, 100_000, 1_000_000))
DEFAULT = Amount("default", 3, 2, 3, 1_000, 3, 4_000, 60, (0, 100_000, 1_000_000))
FULL = Amount("full", 5, 3, 3, 2_000, 5, 10_000, 120, (0, 100_000, 1_000_000, 5_000_000, 10_000_000))


@dataclass
class Plan:
    """Everything that a section needs."""

    amount: Amount
    directory: Path
    disk: Disk
    generator: Generator
    far_ends: FarEnds
    server_cpu: int | None
    load_cpu: int | None
    discarded: list[str] = field(default_factory=list)
    crowded: int = 0
    worst_foreign: float = 0.0
    _fresh: int = 0

    def fresh(self, name: str) -> Path:
        """Give a directory that was not used before."""
        self._fresh += 1
        return self.directory / f"{self._fresh:03d}-{name}"

    def counted(self, cell: Callable[..., T], *args: object, **how: object) -> T:
        """Measure a cell without errors, on a good disk and a processor of its own; again when it was not so.

        When neighbours do not give way, the try that they disturbed least counts.
        """
        tries: list[T] = []
        for _ in range(_TRIES):
            try:
                tries.append(self.disk.guarded(cell, *args, **how))
            except BadRun as bad:
                self.discarded.append(str(bad))
                say(f"  discarded: {bad}")
                time.sleep(1)
                continue
            if _foreign(tries[-1]) <= _MOST_FOREIGN:
                break
            self.crowded += 1
            time.sleep(1)
        if not tries:
            raise BadRun(self.discarded[-1])
        best = min(tries, key=_foreign)
        self.worst_foreign = max(self.worst_foreign, _foreign(best))
        return best

    def remove(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)


def _foreign(measured: object) -> float:
    return getattr(measured, "foreign", 0.0)


def say(text: str) -> None:
    """Tell the person who waits; the tables alone go to standard output."""
    print(text, file=sys.stderr, flush=True)
