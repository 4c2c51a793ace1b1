"""Keep the ballast: give it back when the disk is full, make it again when there is plenty of room."""

import asyncio
import contextlib

import structlog
from anyio import to_thread

from gateway import clock
from gateway.outbox import ballast, disk
from gateway.outbox.store import Outbox

log = structlog.get_logger()

_LOOK_S = 2.0
_AGAIN_S = 60.0  # between two tries to make what could not be made


class BallastKeeper:
    """Looks at the disk every two seconds, and at once when a transaction was refused."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._tried = -_AGAIN_S
        self.missing: str | None = None  # why there is none though one is wanted, and never was one

    @property
    def held(self) -> int:
        """Bytes that it takes up now."""
        return ballast.held(self._outbox.settings.directory)

    @property
    def given_back(self) -> bool:
        """The disk was full, and has not had room for it since."""
        return self._outbox.settings.ballast_bytes > 0 and ballast.is_given_back(
            self._outbox.settings.directory
        )

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._outbox.refused.clear()
            with contextlib.suppress(OSError):  # a disk that cannot be looked at: the store says so
                await to_thread.run_sync(self.look)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.refused.wait(), _LOOK_S)

    def look(self) -> None:
        """Do what the disk asks for now."""
        settings = self._outbox.settings
        directory, size = settings.directory, settings.ballast_bytes
        if not size:
            self.missing = None
            ballast.remove(directory)
            return
        room, held = disk.free(directory), self.held
        if held and room < ballast.low(size):
            freed = ballast.give_back(directory)
            log.error("ballast_given_back", freed_bytes=freed, free_bytes=room)
        elif held != size and not self._is_whole(held, size):
            self._make(room + held)

    def _is_whole(self, held: int, size: int) -> bool:
        """Say whether the file is as wanted; a file system may round up."""
        path = self._outbox.settings.directory / ballast.NAME
        whole = path.exists() and path.stat().st_size == size and held > 0
        if whole:
            self.missing = None
        return whole

    def _make(self, room: int) -> None:
        settings = self._outbox.settings
        size, wanted = settings.ballast_bytes, ballast.needed(settings.ballast_bytes, settings.min_free_bytes)
        if room < wanted:
            if not self.given_back:
                self.missing = f"the disk has {room >> 20} MiB free, and {wanted >> 20} MiB are needed"
            return
        if clock.steady() - self._tried < _AGAIN_S and self.missing:
            return
        self._tried = clock.steady()
        try:
            ballast.make(settings.directory, size)
        except ballast.NoBallast as why:
            self.missing = str(why)
            log.warning("ballast_missing", reason=self.missing)
            return
        self.missing = None
        log.info("ballast_made", bytes=size)
