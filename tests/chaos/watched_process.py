"""What a process uses, read from /proc once a second while it runs."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Self

_PAGE = 4096
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    rss: int
    files: int
    threads: int
    wal: int
    database: int


@dataclass
class Watch:
    """Looks at one process and its store while the body of an ``async with`` runs."""

    pid: int
    store: Path  # the folder
    every_s: float = 1.0
    samples: list[Sample] = field(default_factory=list)
    _looking: asyncio.Task[None] | None = None
    _began: float = 0.0

    async def __aenter__(self) -> Self:
        self._began = time.monotonic()
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._looking is not None
        self._looking.cancel()
        (died,) = await asyncio.gather(self._looking, return_exceptions=True)
        if kind is not None:
            return  # what went wrong inside is told, not that nothing could be seen of it
        if not isinstance(died, asyncio.CancelledError):
            raise died
        # Few looks see no peak. A busy machine looks less often than asked, but half as often at the least.
        least = (time.monotonic() - self._began) / self.every_s / 2
        assert len(self.samples) >= least, f"only {len(self.samples)} looks of {least:.0f}"

    async def _look(self) -> None:
        while True:
            self.samples.append(sample(self.pid, self.store))
            await asyncio.sleep(self.every_s)

    def most(self, what: str) -> int:
        return max(getattr(one, what) for one in self.samples)

    def growth(self, what: str) -> float:
        """Give how much the middle value of the last quarter is above that of the second."""
        values = [getattr(one, what) for one in self.samples]
        quarter = len(values) // 4
        return median(values[-quarter:]) - median(values[quarter : 2 * quarter])


def sample(pid: int, store: Path) -> Sample:
    proc = Path("/proc") / str(pid)
    rss = int((proc / "statm").read_text().split()[1]) * _PAGE
    files = len(list((proc / "fd").iterdir()))
    threads = len(list((proc / "task").iterdir()))
    sizes = {}
    for file in store.iterdir():
        with contextlib.suppress(FileNotFoundError):  # only this one has gone meanwhile
            sizes[file.name] = file.stat().st_size if file.is_file() else 0
    wal = sum(size for name, size in sizes.items() if name.endswith("-wal"))
    return Sample(rss, files, threads, wal, sum(sizes.values()) - wal)
