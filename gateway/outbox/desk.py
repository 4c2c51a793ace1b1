"""Where a person decides about devices that nobody has adopted yet, and what waits there goes on its way."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from gateway.event import Event
from gateway.outbox.admission import Admission
from gateway.outbox.adopting import Settled, settle
from gateway.outbox.appending import Appender
from gateway.outbox.settings import Settings

T = TypeVar("T")


class Write(Protocol):
    """Runs a piece of work in the next transaction."""

    def __call__(self, work: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


class Desk:
    """The event loop's side of `Admission`; what is done is done in the writer's transactions."""

    def __init__(
        self, admission: Admission, appender: Appender, roomy: Callable[[], Settings], write: Write
    ) -> None:
        self._admission, self._appender = admission, appender
        self._roomy, self._write = roomy, write  # `roomy` gives the settings, or raises `StoreFull`
        self.due = asyncio.Event()  # set when something is held of a device that is known by now
        self.lobby = admission.lobby()  # what waits, as of the last commit

    def committed(self) -> None:
        """Look at what the transaction that is on disk now has left."""
        self._admission.committed()
        self.lobby = self._admission.lobby()
        if self._admission.due:
            self.due.set()

    async def settle(self, prepare: Callable[[Event], Event]) -> Settled | None:
        """Put a piece of what need not wait any longer into the log; None when there is nothing of that."""
        settings = self._roomy()

        def work(conn: sqlite3.Connection) -> Settled | None:
            device = min(self._admission.due, default=None)
            if device is None:
                return None
            drafting, bounds = settings.drafting, settings.letters
            return settle(conn, self._admission, self._appender, drafting, prepare, bounds, device)

        return await self._write(work)

    async def decide(self, work: Callable[[Admission], T]) -> T:
        """Have a person's decision about devices carried out in the next transaction."""
        return await self._write(lambda _conn: work(self._admission))

    async def put_window(self, seconds: float) -> None:
        """Take unknown devices up for so long from now; 0 ends it."""
        await self._write(lambda conn: self._admission.window.put(conn, seconds))

    @property
    def window_left_s(self) -> float:
        """For how long unknown devices are still taken up because a person said so."""
        return self._admission.window.left_s
