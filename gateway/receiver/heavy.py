"""Lets bodies that make much work be worked on one at a time, the senders in turn.

With one queue for all, who sends the most would get the most: a device with a day to replay would stand behind
thirty bodies of somebody else. So each address has a line of its own, and a short one.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, Event, to_thread

T = TypeVar("T")


class InTurn:
    """Runs one piece of work at a time in a thread; of those that wait, the address that was not served last is next."""

    def __init__(self) -> None:
        self._thread = CapacityLimiter(1)
        self._busy = False
        self._last = ""
        self._lines: OrderedDict[str, deque[Event]] = OrderedDict()

    def waits(self, address: str) -> bool:
        """Say whether something of this address waits already."""
        return address in self._lines

    async def run(self, work: Callable[..., T], argument: object, address: str) -> T:
        """Do the work when it is the turn of its address."""
        if self._busy:
            await self._wait(address)
        self._busy, self._last = True, address
        try:
            return await to_thread.run_sync(work, argument, limiter=self._thread)
        finally:
            self._next()

    async def _wait(self, address: str) -> None:
        line, turn = self._lines.setdefault(address, deque()), Event()
        line.append(turn)
        try:
            await turn.wait()
        except BaseException:  # who was cancelled gives his turn to the next, or leaves the line
            if turn.is_set():
                self._next()
            else:
                line.remove(turn)
                if not line:
                    del self._lines[address]
            raise

    def _next(self) -> None:
        if not self._lines:
            self._busy = False
            return
        address = next((one for one in self._lines if one != self._last), self._last)
        line = self._lines.pop(address)
        turn = line.popleft()
        if line:
            self._lines[address] = line  # behind all others
        turn.set()
