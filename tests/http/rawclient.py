"""A client that sends exactly the bytes it is told to, because the devices do not ask an HTTP library first."""

import asyncio
import gc
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status_line: bytes
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.status_line.split()[1])


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(
        cls, where, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, source: str | None = None
    ) -> "Client":
        """Connect to a port, perhaps from another address of this machine, or to a unix socket by its path."""
        if isinstance(where, Path | str):
            return cls(*await asyncio.open_unix_connection(str(where)))
        local = (source, 0) if source else None
        return cls(*await asyncio.open_connection(host, where, ssl=tls, local_addr=local))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, to_head: bool = False) -> Answer:
        """Read one answer, as long as its own head says."""
        async with asyncio.timeout(PATIENCE_S):
            line, *lines = (await self.reader.readuntil(b"\r\n\r\n"))[:-4].split(b"\r\n")
            assert line.startswith(b"HTTP/1.1 "), f"out of step: {line}"
            headers = {}
            for field in lines:
                name, _, value = field.decode("latin-1").partition(":")
                assert name.lower() not in headers, f"{name} comes twice"
                headers[name.lower()] = value.strip()
            if to_head or line.split()[1] in (b"100", b"204"):
                body = b""
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            else:
                body = await self.reader.read()
        return Answer(line, headers, body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """Read until the server closes; a reset counts as closing."""
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while more := await self.reader.read(65536):
                    data += more
        return data

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def abort(self) -> None:
        self.writer.transport.abort()


def post(body: bytes = b"", *, path: bytes = b"/push", extra: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A POST as most devices send it."""
    return (
        b"POST %s HTTP/%s\r\nHost: gw\r\nContent-Length: %d\r\n%s\r\n" % (path, version, len(body), extra)
    ) + body


def chunked(*chunks: bytes) -> bytes:
    """A POST whose body comes in chunks."""
    head = b"POST /push HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def descriptors() -> int:
    """How many descriptors this process has open; what other tests left lying closes its own before that."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def settle(condition, seconds: float = PATIENCE_S) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
