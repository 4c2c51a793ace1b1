"""HTTP/1.1 as a small device speaks it: one connection, kept alive, one request at a time, raw bytes."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from socket import IPPROTO_TCP, TCP_NODELAY
from urllib.parse import urlsplit

from gateway.errors import GatewayError

_MAX_HEADERS = 100
_WITHOUT_BODY = (204, 304)


class NoReply(GatewayError):
    """The other side gave no complete reply."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of which every byte was read."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Wire:
    """The one connection of a device. Whatever goes wrong on it is a `NoReply`, and it is open no more."""

    def __init__(self, url: str, *, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise GatewayError(
                f"{url!r} is no address to push to; it has the form http://ADDRESS[:PORT]/PATH."
            )
        self.path = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
        self.connects = 0
        self._host, self._port = parts.hostname, parts.port or (443 if secure else 80)
        self._authority = parts.netloc.rpartition("@")[2]
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._timeout_s = timeout_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, unless the connection of the last request still stands."""
        if self._reader and self._writer and not (self._reader.at_eof() or self._writer.is_closing()):
            return
        self.drop()
        try:
            async with asyncio.timeout(self._timeout_s):
                self._reader, self._writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            raise NoReply(f"{self._authority} cannot be reached: {error or 'no answer'}") from error
        self._writer.get_extra_info("socket").setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self.connects += 1

    async def exchange(
        self, body: bytes, headers: Mapping[str, str], *, path: str | None = None, method: str = "POST"
    ) -> Answer:
        """Send one request and read its whole reply."""
        await self.open()
        reader = self._reader
        assert reader is not None, "open() returned, so there is a connection"  # noqa: S101 - tells the type checker
        stays_open = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(method, path or self.path, headers, body)
                answer, stays_open = await _read_answer(reader)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            raise NoReply(f"{self._authority} gave no reply: {error or type(error).__name__}") from error
        finally:
            if not stays_open:
                self.drop()
        return answer

    async def send_and_hang_up(
        self, body: bytes, headers: Mapping[str, str], *, path: str | None = None, method: str = "POST"
    ) -> None:
        """Send one whole request and close before its reply can be read: a reply that got lost."""
        await self.open()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(method, path or self.path, headers, body)
        except (OSError, TimeoutError) as error:
            raise NoReply(f"{self._authority} took no request: {error}") from error
        finally:
            await self.close()

    async def close(self) -> None:
        """Close when what was written has left."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is None:
            return
        writer.close()
        try:
            async with asyncio.timeout(self._timeout_s):
                await writer.wait_closed()
        except (OSError, TimeoutError):
            writer.transport.abort()

    def drop(self) -> None:
        """Break the connection at once, as a pulled cable does."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _write(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> None:
        writer = self._writer
        assert writer is not None, "open() returned, so there is a connection"  # noqa: S101 - tells the type checker
        fields = {
            "Host": self._authority,
            "Connection": "keep-alive",
            "Content-Length": str(len(body)),
            **headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        writer.write(body)
        await writer.drain()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """Read one reply to its last byte; say whether the connection may carry another request."""
    version, status, headers = await _read_head(reader)
    while 100 <= status < 200:
        version, status, headers = await _read_head(reader)
    wish = headers.get("connection", "").lower()
    stays_open = wish != "close" and (version != "HTTP/1.0" or wish == "keep-alive")
    if status in _WITHOUT_BODY:
        body = b""
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body, stays_open = await reader.read(), False
    return Answer(status, headers, body), stays_open


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, int, dict[str, str]]:
    version, _, rest = (await _read_line(reader)).partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"{version!r} is no HTTP/1 reply")
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = await _read_line(reader)
        if not line:
            return version, int(rest[:3]), headers
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    raise ValueError("the reply has too many header lines")


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int((await _read_line(reader)).partition(";")[0], 16):
        parts.append(await reader.readexactly(size))
        await _read_line(reader)
    while await _read_line(reader):
        pass  # trailers say nothing to a device
    return b"".join(parts)


async def _read_line(reader: asyncio.StreamReader) -> str:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the connection closed in the middle of a reply")
    return line.rstrip(b"\r\n").decode("latin-1")
