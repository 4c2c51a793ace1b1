"""One accepted connection as bytes: reading, writing, its deadlines and its end.

All deadlines of a connection share one timer that is moved only when it rings: setting and cancelling a
timer for every request costs more than looking at the clock.
"""

import asyncio
import fcntl
import termios
from typing import cast

from gateway.listener.limits import Limits

_FRESH_S = 0.5  # at a stop, for the first request of a new connection to come
_ENOUGH = 65_536  # bytes that nobody has read yet


class Link(asyncio.Protocol):
    """Reads give ``b""`` and writes do nothing once the connection is gone. One reader, one writer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._arrived = b""
        self._ended = False  # nothing more will arrive
        self._full = False  # we have told the transport to wait
        self._reader: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._lost = asyncio.Event()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.fresh = True  # no request came on it yet
        self.idle = True  # between two requests, and nothing of the next one is here
        self.stopping = False
        self.expired = False

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._writable.set()
        self.expect_within(self._limits.header_deadline_s)

    def data_received(self, data: bytes) -> None:
        self._arrived = self._arrived + data if self._arrived else data
        if len(self._arrived) > _ENOUGH and not self._full:
            self._full = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return self._transport.get_extra_info("sslcontext") is None  # half-closed; TLS cannot be

    def connection_lost(self, _exc: Exception | None) -> None:
        self._ended = True
        self.expect_nothing()
        self._lost.set()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    # What the protocol above calls

    async def read(self) -> bytes:
        """Return what has arrived, or wait for it."""
        if not self._arrived and not self._ended:
            self._reader = self._loop.create_future()
            await self._reader
        data, self._arrived = self._arrived, b""
        if self._full:
            self._full = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send, and wait while the client does not take it."""
        if self._transport.is_closing():
            await asyncio.sleep(0)  # an application that goes on sending must not stop all others
            return
        self._transport.write(data)
        if not self._writable.is_set():
            self.expect_within(self._limits.write_stall_s)
            await self._writable.wait()
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

    async def lost(self) -> None:
        """Wait for the end of the connection without reading from it."""
        await self._lost.wait()

    def stop(self, *, at_once: bool = False) -> None:
        """Close if nothing is going on, else after the answer. ``at_once``: somebody else needs the place."""
        self.stopping = True
        if not at_once and self.fresh and self.idle and not self._arrived:
            # Who has just come is about to ask: closing now would refuse what a moment later could be answered.
            self._loop.call_later(_FRESH_S, self._close_idle)
        else:
            self._close_idle()

    def _close_idle(self) -> None:
        if self.idle and not self._arrived and not self._knocked():
            self._transport.close()
            self.expect_within(self._limits.drain_s)  # TLS says good-bye and waits for an answer

    def _knocked(self) -> bool:
        """Say whether bytes have come that the loop has not looked at yet: closing over them resets the connection."""
        opened = self._transport.get_extra_info("socket")
        if self._transport.is_closing() or opened is None or opened.fileno() < 0:
            return False
        waiting = bytearray(4)
        try:
            fcntl.ioctl(opened.fileno(), termios.FIONREAD, waiting)
        except OSError:
            return False
        return any(waiting)

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
        self._transport.close()
        await self.lost()

    def abort(self) -> None:
        """Give everything back, whatever state the connection is in."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lost.is_set():  # asyncio's transport does not always bear it
            self._transport.abort()
