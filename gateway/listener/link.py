"""One accepted connection as bytes: reading, writing, its deadlines and its end.

All deadlines of a connection share one timer that is moved only when it rings, because setting and
cancelling a timer for every request costs more than looking at the clock.
"""

import asyncio
from contextlib import suppress

from gateway.listener.limits import Limits

_READ_BYTES = 65_536


class Link:
    """Reads give ``b""`` and writes do nothing once the connection is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits) -> None:
        self._reader = reader
        self._writer = writer
        self._transport = writer.transport
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.idle = True  # between two requests, and nothing of the next one is here
        self.stopping = False
        self.expired = False
        self.expect_within(limits.header_deadline_s)

    async def read(self) -> bytes:
        """Return what has arrived, or wait for it."""
        try:
            return await self._reader.read(_READ_BYTES)
        except OSError:  # reset, time-out of the network, or broken TLS
            return b""

    async def write(self, data: bytes) -> None:
        """Send, and wait while the client does not take it."""
        transport = self._transport
        if transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size():
            self.expect_within(self._limits.write_stall_s)
            try:
                await self._writer.drain()
            except OSError:
                return
            self.expect_nothing()

    def expect_within(self, seconds: float) -> None:
        """Cut the connection off unless something else is expected by then."""
        self._due = due = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > due:
            self._set(due)

    def expect_nothing(self) -> None:
        """Let the application take its time."""
        self._due = None

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._set(self._due)
            return
        self.expired = True
        self._transport.abort()

    def stop(self) -> None:
        """Close now if nothing is going on, else after the answer."""
        self.stopping = True
        if self.idle:
            self._transport.close()

    async def finish(self, *, linger: bool) -> None:
        """Send what is left and close.

        ``linger``: the client may still be sending. Closing at once would reset the connection and take
        the answer away from it, so we say that we are done and read on for a while.
        """
        self.expect_within(self._limits.drain_s)
        if linger and not self._transport.is_closing():
            if self._transport.can_write_eof():
                self._transport.write_eof()
            left = self._limits.drain_bytes
            while left > 0 and (data := await self.read()):
                left -= len(data)
        elif self._transport.get_write_buffer_size():
            self._transport.close()
            await self.closed()  # the timer bounds it
        self._transport.close()

    def abort(self) -> None:
        """Give everything back, whatever state the connection is in."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()

    async def closed(self) -> None:
        """Wait for the end of the connection without reading from it."""
        with suppress(OSError):
            await self._writer.wait_closed()
