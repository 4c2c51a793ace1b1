"""The body of one request as it comes in: of declared length, or chunked."""

import asyncio

import h11

from gateway.listener.link import Link

MOST_CHUNKS = 4_096  # a device that cuts its body at all cuts it into some kilobytes
_AT_ONCE = 128  # chunks, some milliseconds; then the others have their turn
_PIECE = 16_384  # bytes that h11 is shown at once: all lines behind the last chunk are taken apart together


class Declared:
    """A body of known length. It is counted here and never passes through h11, which would copy it twice."""

    def __init__(self, link: Link, arrived: bytes, length: int) -> None:
        self._link = link
        self._left = length
        self.rest = arrived  # behind the end of the body it is the next request's

    @property
    def complete(self) -> bool:
        """The application has all of it."""
        return not self._left

    @property
    def arrived(self) -> bool:
        """All of it is here, or more."""
        return len(self.rest) >= self._left

    async def read(self) -> bytes:
        """Return some of it; nothing when the client has gone."""
        data = self.rest
        if not data and self._left:
            data = await self._link.read()
        self.rest = data[self._left :]
        data = data[: self._left]
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Pass over a body that has arrived."""
        self.rest = self.rest[self._left :]
        self._left = 0


class Chunked:
    """A body that h11 puts together. Nothing can follow it on the connection before it is read."""

    def __init__(self, link: Link, connection: h11.Connection, arrived: bytes) -> None:
        self._link = link
        self._connection = connection
        self._arrived = arrived  # and not shown to h11 yet
        self._chunks = 0
        self.complete = False
        self.rest = b""

    @property
    def arrived(self) -> bool:
        """Only reading can tell."""
        return self.complete

    async def read(self) -> bytes:
        """Return some of it; nothing at its end or when the client has gone.

        Raises `h11.RemoteProtocolError`.
        """
        parts: list[bytes] = []
        while True:
            event = self._connection.next_event()
            if type(event) is h11.Data:
                parts.append(event.data)
                await self._count(event)
            elif type(event) is h11.EndOfMessage:
                self.complete = True
                self.rest = self._connection.trailing_data[0] + self._arrived
                break
            elif parts:
                break
            elif data := self._arrived or await self._link.read():
                self._connection.receive_data(data[:_PIECE])
                self._arrived = data[_PIECE:]
            else:
                break
        return b"".join(parts)

    async def _count(self, data: h11.Data) -> None:
        """Bound the work: a body of a million chunks would take all of the loop for as long as h11 needs for it."""
        self._chunks += data.chunk_start
        if self._chunks > MOST_CHUNKS:
            raise h11.RemoteProtocolError("too many chunks", error_status_hint=400)
        if data.chunk_start and self._chunks % _AT_ONCE == 0:
            await asyncio.sleep(0)

    def skip(self) -> None:
        """Nothing is left of it."""
