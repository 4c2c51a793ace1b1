"""Looks that come again and again: soon after the start, then in equal pauses, and at once when asked."""

from collections.abc import Awaitable, Callable

import anyio


class Rounds:
    """Calls a look for ever, in real time: a clock that jumps is no reason to look more often."""

    def __init__(self, first_s: float, pause_s: float) -> None:
        self._first_s = first_s
        self._pause_s = pause_s
        self._due = anyio.Event()

    def now(self) -> None:
        """Have the next look at once."""
        self._due.set()

    async def run(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look for ever."""
        pause_s = self._first_s
        while True:
            with anyio.move_on_after(pause_s):
                await self._due.wait()
            self._due = anyio.Event()
            await look()
            pause_s = self._pause_s
