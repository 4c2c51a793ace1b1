"""The line between the gateway and the broker, so that the demo can pull it before it stops the broker.

A broker that keeps everything in memory forgets at its stop what it has acknowledged and not handed on yet.
With the cable pulled first it can finish, and nothing is missing that the gateway did not lose.
"""

import asyncio

_CHUNK = 1 << 16


class Cable:
    """Carries bytes between its own port and another one of 127.0.0.1 while it is plugged in."""

    def __init__(self, target: int) -> None:
        self.port = 0  # fixed once it was plugged in for the first time
        self._target = target
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[object]] = set()

    async def plug(self) -> None:
        """Take connections; the first time on a free port, afterwards on the same."""
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        """Break every connection and take no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._ends):
            writer.transport.abort()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, ends = asyncio.current_task(), {writer}
        assert task is not None  # noqa: S101 - this is a coroutine, so a task runs it
        self._carrying.add(task)
        self._ends |= ends
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            ends.add(far_writer)
            self._ends |= ends
            if self._server is None:  # it was pulled while the other side was being reached
                return
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except OSError:
            pass  # the other side is not there, which its user has to notice by itself
        finally:
            self._ends -= ends
            for end in ends:
                end.close()
            self._carrying.discard(task)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
    except OSError:
        target.close()  # one side broke off
    else:
        if not target.is_closing():
            target.write_eof()  # the other direction may still have something to say
