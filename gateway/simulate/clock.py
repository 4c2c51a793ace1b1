"""The clock of a simulated device: it may start anywhere, be wrong, run fast, or jump between appointments."""

import asyncio
import time
from typing import Protocol


class Stop(Protocol):
    """What ends a simulator: an `asyncio.Event` or an `anyio.Event`."""

    def is_set(self) -> bool: ...

    async def wait(self) -> object: ...


class Clock:
    """Unix time as one device believes it.

    ``speed`` is how many of its seconds pass in one of ours. At ``speed`` 0 no time passes by itself: the
    clock jumps to each appointment, so that a day is over as soon as everything in it was sent, and stands
    still while the other side does not answer. Such a clock belongs to one device; two devices on one
    stepping clock would jump over each other's appointments.
    """

    def __init__(self, *, start: float | None = None, speed: float = 1.0, skew_s: float = 0.0) -> None:
        self.speed = speed
        self._origin = time.monotonic()
        self._start = (time.time() if start is None else start) + skew_s

    def now(self) -> float:
        return self._start + (time.monotonic() - self._origin) * self.speed

    async def until(self, moment: float, stop: Stop, *, at_most_s: float | None = None) -> None:
        """Wait for this device time, at most so many of our seconds, or until it is to stop."""
        if self.speed == 0:
            self._start = max(self._start, moment)  # exactly the moment: who waits for it must not wait again
            await asyncio.sleep(0)
            return
        seconds = max(moment - self.now(), 0.0) / self.speed
        await pause(seconds if at_most_s is None else min(seconds, at_most_s), stop)


async def pause(seconds: float, stop: Stop) -> None:
    """Let so many of our seconds pass, or less when it is to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
