"""Time that a test drives: simulated devices and the daemon live on it, and a day is over in minutes.

The devices wait on a `Stage` for their appointments; it goes on when every one of them waits again, so no push is
late because the test machine is slow. The daemon is a process of its own and reads the same time from a file.
"""

import asyncio
import contextlib
import heapq
import itertools
import mmap
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.simulate.clock import Clock, Stop

STEP_S = 5.0  # who has an appointment within one step acts at the same time
_STUCK_S = 60.0


class Stage:
    """The one time of a test, in Unix seconds; ``speed`` is how many of them pass at most in one of ours."""

    def __init__(self, file: Path, start: float, *, speed: float) -> None:
        file.write_bytes(struct.pack("d", start))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8)
        self.now = start
        self._speed = speed
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Event]] = []
        self._idle = 0
        self._actors = 0
        self._plans: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []

    def clock(self, *, skew_s: float = 0.0) -> "StageClock":
        """Give the clock of one device."""
        return StageClock(self, skew_s)

    def at(self, moment: float, act: Callable[[], Awaitable[None]]) -> None:
        """Have something done at a moment; time stands still until it is done."""
        heapq.heappush(self._plans, (moment, next(self._numbers), act))

    async def play(self, actor: Awaitable[object]) -> object:
        """Run a device; time waits for whatever it does between its appointments."""
        self._actors += 1
        try:
            return await actor
        finally:
            self._actors -= 1

    async def wait(self, moment: float, at_most_s: float | None = None) -> None:
        """Wait for a moment, at most so many of our seconds."""
        if moment <= self.now:
            await asyncio.sleep(0)
            return
        come = asyncio.Event()
        heapq.heappush(self._waiting, (moment, next(self._numbers), come))
        self._idle += 1
        try:
            async with asyncio.timeout(at_most_s):
                await come.wait()
        except TimeoutError:
            pass
        finally:
            if not come.is_set():
                come.set()  # it stays in the queue and is passed over there
                self._idle -= 1

    async def drive(self, end: float) -> None:
        """Let time pass until then."""
        origin, began = self.now, time.monotonic()
        stood_s = 0.0
        while self.now < end:
            await self._quiet()
            plan_s = time.monotonic()
            while self._plans and self._plans[0][0] <= self.now:
                await heapq.heappop(self._plans)[2]()
            stood_s += time.monotonic() - plan_s
            self._set(min(self.now + STEP_S, end))
            ahead_s = (self.now - origin) / self._speed - (time.monotonic() - began - stood_s)
            await asyncio.sleep(max(ahead_s, 0))

    def _set(self, moment: float) -> None:
        self.now = moment
        self._shared[:8] = struct.pack("d", moment)
        while self._waiting and self._waiting[0][0] <= moment:
            come = heapq.heappop(self._waiting)[2]
            if not come.is_set():
                come.set()
                self._idle -= 1  # from now on it is busy, also before it runs

    async def _quiet(self) -> None:
        """Wait until every device waits for its next appointment."""
        await asyncio.sleep(0)
        patience = time.monotonic() + _STUCK_S
        while self._idle < self._actors:
            assert time.monotonic() < patience, f"{self._actors - self._idle} devices are still busy"
            await asyncio.sleep(0.0005)


class StageClock(Clock):
    """A device's clock on a stage; it may be wrong, by the same amount all the time."""

    def __init__(self, stage: Stage, skew_s: float) -> None:
        self.speed = 1.0
        self._stage, self._skew_s = stage, skew_s

    def now(self) -> float:
        return self._stage.now + self._skew_s

    async def until(self, moment: float, stop: Stop, *, at_most_s: float | None = None) -> None:
        waiting = asyncio.ensure_future(self._stage.wait(moment - self._skew_s, at_most_s))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (waiting, stopped):
                one.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await one
