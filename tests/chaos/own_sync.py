"""How long the disk itself takes for a sync beside the daemon's: what that stands still is no fault of the daemon's."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class OwnSync:
    """Writes and syncs a block of its own twice a second; ``longest_s`` is the longest that this took."""

    def __init__(self, directory: Path) -> None:
        self.longest_s = 0.0
        self._ended = threading.Event()
        self._file = os.open(directory / "own-sync", os.O_WRONLY | os.O_CREAT)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._file)

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            begun = time.monotonic()
            os.pwrite(self._file, os.urandom(4096), 0)
            os.fsync(self._file)
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
