"""A tiny HTTP server that keeps every request it read whole, and answers as it is told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

TAKEN = b'{"code":200,"msg":"success","message":"success","data":{}}'


@dataclass(frozen=True)
class Received:
    number: int
    connection: int
    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


def http(status: int, body: bytes = b"", *, extra: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def accept(request: Received) -> bytes:
    """Answer as the device's dialect wants it."""
    return http(200, TAKEN) if request.body.startswith(b"{") else http(200)


class Collector:
    """``answer`` gives the raw reply; None closes without one; "hang" never answers."""

    def __init__(self, answer: Callable[[Received], bytes | str | None] = accept):
        self.answer = answer
        self.requests: list[Received] = []
        self.connections = 0
        self._server = None
        self._writers = set()
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/upload"

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        connection = self.connections
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                request, *lines = head.split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (ln.partition(":") for ln in lines if ln)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                received = Received(
                    len(self.requests), connection, request.split()[1], headers, body, request.split()[0]
                )
                self.requests.append(received)
                reply = self.answer(received)
                if reply == "hang":
                    await asyncio.sleep(60)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        except (EOFError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()
