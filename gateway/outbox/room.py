"""Whether there is room for more, asked often and measured seldom."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable

from gateway.errors import StoreFull, StoreUnavailable
from gateway.outbox import connection, space
from gateway.outbox.settings import Settings
from gateway.outbox.space import Space
from gateway.outbox.whereabouts import Whereabouts

_LOOK_S = 0.1  # seldom enough to cost nothing, often enough that a burst does not eat the reserve


class Room:
    """The room of one store; used on the event loop."""

    def __init__(self, gauge: sqlite3.Connection, settings: Callable[[], Settings]) -> None:
        self._gauge = gauge
        self._settings = settings
        self._whereabouts = Whereabouts(settings().directory / connection.FILE_NAME)
        self._looked = 0.0
        self.space = Space(used=0, max_bytes=0, disk_free=0, disk_reserve=0)  # as of the last look
        self.pressed = asyncio.Event()  # set when room should be made

    def look(self) -> Space:
        """Measure; a look that fails leaves the last one in force."""
        settings = self._settings()
        self._looked = time.monotonic()
        with contextlib.suppress(sqlite3.Error, OSError):
            self.space = space.look(
                self._gauge,
                settings.directory,
                max_bytes=settings.max_bytes,
                min_free_bytes=settings.min_free_bytes,
                ballast_bytes=settings.ballast_bytes,
            )
        if self.space.pressure:
            self.pressed.set()
        return self.space

    def look_again(self) -> None:
        """Measure, unless the last look was a moment ago."""
        if time.monotonic() - self._looked > _LOOK_S:
            self.look()

    def missing(self) -> str:
        """Say that what is written now would be gone after a start, or nothing."""
        if not self._whereabouts.lost():
            return ""
        folder = self._settings().directory
        return f"The store is not in {folder} any more: the folder was removed or moved, or a disk was mounted over it."

    def demand(self) -> Settings:
        """Give the settings, or raise when nothing more may be taken: `StoreFull`, or `StoreUnavailable`."""
        settings = self._settings()
        if why := self.missing():
            raise StoreUnavailable(why)
        # Before it refuses it looks again: room may have been made.
        if not self.space.shortage or not self.look().shortage:
            return settings
        if self.space.disk_short:
            raise StoreFull(f"The disk of {settings.directory} is nearly full: free some space.")
        raise StoreFull(
            "The store is full of events that a sink has not had yet: bring the sink back or raise store.max_bytes."
        )
