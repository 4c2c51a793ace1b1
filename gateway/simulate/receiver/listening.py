"""A listener with a thread and an event loop of its own, started and stopped from any other thread."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress

from gateway.simulate.ports import free_port

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_BUFFER = 1 << 20
_START_S = 10.0
# The client left, the client talks nonsense, or `end` was called.
_OVER = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError)


class Listening:
    """Listens, on this box only unless told otherwise, from construction until `end`."""

    def __init__(
        self, serve: Serve, port: int, context: ssl.SSLContext | None, *, host: str = "127.0.0.1"
    ) -> None:
        self._serve = serve
        self._open: dict[asyncio.Task[object], asyncio.StreamWriter] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete,
            args=(self._run(host, port or free_port(host), context, started),),
            name="receiver",
            daemon=True,
        )
        self._thread.start()
        self.port = started.result(_START_S)

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def end(self) -> None:
        """Break all connections and free the port."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _run(
        self, host: str, port: int, context: ssl.SSLContext | None, started: "Future[int]"
    ) -> None:
        try:
            server = await asyncio.start_server(self._talk, host, port, ssl=context, limit=_BUFFER)
        except OSError as error:
            started.set_exception(error)
            return
        started.set_result(server.sockets[0].getsockname()[1])
        await self._stop.wait()
        server.close()
        for task, writer in list(self._open.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine, so a task runs it
        self._open[task] = writer
        try:
            with suppress(*_OVER):
                await self._serve(reader, writer)
        finally:
            del self._open[task]
            writer.close()
