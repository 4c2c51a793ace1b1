"""The command `gateway` on a clock that a test drives: `driven_gateway.py CLOCKFILE …` does what `gateway …` does."""

import mmap
import struct
import sys
from datetime import UTC, datetime
from pathlib import Path

from gateway import clock
from gateway.__main__ import main


class DrivenClock:
    """Reads Unix seconds from eight bytes that the test writes."""

    tick_s = 0.004

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)
        self._start = self._read()

    def _read(self) -> float:
        return float(struct.unpack("d", self._shared[:8])[0])

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._read(), UTC)

    def steady(self) -> float:
        return self._read() - self._start

    def trusted(self) -> bool:
        return True


if __name__ == "__main__":
    clock.use(DrivenClock(Path(sys.argv.pop(1))))
    main()
