"""The web interface of a simulated face terminal: its push setting, its sign of life, and nothing else.

It pushes to where it was told, from the moment it was told, over real sockets.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.errors import GatewayError
from gateway.event import Json
from gateway.simulate.device import Device

SUBSCRIBE, PING = "/v1/event/subscribe", "/v2/datasync/ping"
_MAX_DEST = 1024
_MAX_BODY = 65_536


@dataclass(slots=True)
class Manners:
    """How this firmware behaves; each may be changed while it runs."""

    tells: bool = True  # reading the setting back gives it; the maker's own example is empty
    login: bool = False  # it wants a login for its settings
    code: int = 200  # of its answers
    pings: bool = True  # since guide 1.2.1
    silent: bool = False  # it never answers


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came in."""

    method: str
    path: str
    body: Json = None


@dataclass(slots=True)
class TerminalApi:
    """A terminal that is configured over HTTP. ``make`` builds the device that pushes to a URL."""

    make: Callable[[str], Device]
    manners: Manners = field(default_factory=Manners)
    dest: str = ""
    enabled: bool = False
    calls: list[Call] = field(default_factory=list)
    device: Device | None = None
    port: int = 0
    _server: asyncio.Server | None = None
    _pushing: asyncio.Task[object] | None = None

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen; the port is in `port` then."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            raise GatewayError(
                f"Port {port} cannot be used ({error.strerror}): choose another one."
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Say nothing more, and free the port."""
        await self._hush()
        if self._server is not None:
            self._server.close()

    async def _hush(self) -> None:
        task, self._pushing = self._pushing, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError, GatewayError, OSError):
                await task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            method, path, body = await _request(reader)
            if self.manners.silent:
                await reader.read()
                return
            status, answer = await self._answer(method, path, body)
            text = json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + text)
            await writer.drain()
        writer.close()

    async def _answer(self, method: str, path: str, body: bytes) -> tuple[int, Mapping[str, Json]]:
        told = json.loads(body) if body else None
        self.calls.append(Call(method, path, told))
        if path == PING and method == "GET" and self.manners.pings:
            return 200, {"code": 200, "msg": "OK", "data": None}
        if path != SUBSCRIBE:
            return 404, {"code": 404, "msg": "not found", "data": None}
        if self.manners.login:
            return 401, {"code": 401, "msg": "no token", "data": None}
        if self.manners.code != 200:
            return 200, {"code": self.manners.code, "msg": "failed", "data": None}
        if method == "POST":
            return await self._told(told)
        stated: Json = {"event_dest": self.dest, "enabled": self.enabled} if self.manners.tells else None
        return 200, {"code": 200, "msg": "OK", "data": stated}

    async def _told(self, told: Json) -> tuple[int, Mapping[str, Json]]:
        """Take the setting as the guide describes it, and push accordingly."""
        fields = told if isinstance(told, dict) else {}
        dest, enabled = fields.get("event_dest"), fields.get("enabled")
        fits = isinstance(dest, str) and len(dest) <= _MAX_DEST and isinstance(enabled, bool)
        if not fits or urlsplit(str(dest)).scheme not in ("http", "https"):
            return 200, {"code": 400, "msg": "bad parameter", "data": None}
        self.dest, self.enabled = str(dest), bool(enabled)
        await self._hush()
        if self.enabled:
            self.device = self.make(self.dest)
            self._pushing = asyncio.create_task(self.device.run())
        return 200, {"code": 200, "msg": "OK", "data": None}


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    length = next(
        (line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")), "0"
    )
    return method, path, await reader.readexactly(min(int(length), _MAX_BODY))
