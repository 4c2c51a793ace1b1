"""The command `gateway` on a box whose clock a test sets: `jumping_gateway.py CLOCKFILE …` does what `gateway …` does."""

import mmap
import struct
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from gateway import clock
from gateway.__main__ import main

SPEED = 30.0  # seconds of the box in one of ours


class JumpingClock:
    """Two numbers in a file: how far the instants are ahead of the steady seconds, and whether somebody sets the clock."""

    tick_s = 0.01

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            self._shared = mmap.mmap(opened.fileno(), 16, access=mmap.ACCESS_READ)

    def now(self) -> datetime:
        return datetime.fromtimestamp(struct.unpack("dd", self._shared[:16])[0] + self.steady(), UTC)

    def steady(self) -> float:
        return time.monotonic() * SPEED

    def trusted(self) -> bool:
        return bool(struct.unpack("dd", self._shared[:16])[1])


class BoxClock:
    """The test's end of it."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(bytes(16))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 16)

    def set(self, instant: datetime, *, synced: bool) -> None:
        ahead = instant.timestamp() - time.monotonic() * SPEED
        self._shared[:16] = struct.pack("dd", ahead, float(synced))


if __name__ == "__main__":
    clock.use(JumpingClock(Path(sys.argv.pop(1))))
    main()
