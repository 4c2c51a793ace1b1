"""Reads the body of a device's request whole, within limits, before anything else looks at it.

It is a plain ASGI application: it knows nothing of the server, and the receiver knows nothing of ASGI.
A refusal leaves the rest of the body unread and closes: the listener lets the client read the answer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from gateway.bodies import Bodies, Held
from gateway.errors import GatewayError

_KINDLESS = b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n\x0b\x0c"  # byte order marks, white space, the NULs of UTF-16
_ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://[^/]*", re.IGNORECASE)
_SLASHES = re.compile(r"//+")
_PATH_MAX = 2048
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_WITHOUT_CONTENT = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Request:
    """One request with its body read. Every text in it is hostile."""

    method: str
    path: str  # begins with exactly one slash; decoded and printable
    query: str
    headers: Mapping[str, str]  # names in lower case; what came twice is joined with a comma
    body: bytes
    address: str  # without port; empty on a unix socket


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """The bounds of bodies. The kind shows in the first byte; devices err in Content-Type."""

    xml_bytes: int = 262_144  # a megabyte of XML can take 35 of memory
    json_bytes: int = 2_000_000  # a face record carries its picture
    other_bytes: int = 65_536
    body_deadline_s: float = 30.0  # for the whole body, however it drips
    max_bodies_bytes: int = 64_000_000  # of all connections together, until each has its answer
    shares: int = 8  # one address has one of so many; it can always send the largest body that is allowed

    def max_bytes(self, start: bytes) -> int:
        """Say how long a body may be that starts like this."""
        first = start.lstrip(_KINDLESS)[:1]
        if first == b"<":
            return self.xml_bytes
        return self.json_bytes if first in (b"{", b"[") else self.other_bytes


Handler = Callable[[Request], Awaitable[Response | None]]
OnRefused = Callable[[str, str], None]  # address, reason
Screen = Callable[[Mapping[str, str], str], Response | None]  # headers, address


class BodyGuard:
    """The ASGI application that stands in front of the receiver.

    A ``handler`` that returns None closes the connection without an answer. A ``screen`` sees each head and may
    answer it with a refusal of its own; then the body is not read.
    """

    def __init__(
        self,
        handler: Handler,
        limits: BodyLimits,
        on_refused: OnRefused | None = None,
        screen: Screen | None = None,
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._largest = max(limits.xml_bytes, limits.json_bytes, limits.other_bytes)
        self._on_refused = on_refused
        self._screen = screen
        share = max(limits.max_bodies_bytes // limits.shares, self._largest)
        self._bodies = Bodies(limits.max_bodies_bytes, share)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        client = scope["client"]
        address = client[0] if client else ""
        headers = _headers(scope["headers"])
        if self._screen is not None and (objection := self._screen(headers, address)) is not None:
            await _answer(send, objection)
            return
        held = self._bodies.take(address)
        try:
            declared = self._admit(scope, headers)
            if scope["extensions"].get("gateway.arrived"):  # nothing to wait for: no need of a timer
                body = await self._read(receive, declared, held)
            else:
                body = await self._read_in_time(receive, declared, held)
        except _Refused as refusal:
            if self._on_refused is not None:
                self._on_refused(address, refusal.reason)
            if refusal.silent:
                scope["extensions"]["gateway.close"]()
            else:
                await _answer(send, refusal.response)
            return
        if body is None:
            return
        try:
            response = await self._handler(
                Request(
                    scope["method"],
                    _path(scope["raw_path"]),
                    scope["query_string"].decode("latin-1"),
                    headers,
                    body,
                    address,
                )
            )
        finally:
            held.give_back()
        if response is None:
            scope["extensions"]["gateway.close"]()
        else:
            await _answer(send, response)

    def _admit(self, scope: Any, headers: Mapping[str, str]) -> int:
        """Refuse by the head alone, or return the declared length, 0 for none."""
        if len(scope["raw_path"]) > _PATH_MAX:
            raise _Refused(414, "path_too_long", f"The path is longer than {_PATH_MAX} bytes.")
        if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise _Refused(415, "encoding", "Send the body as it is: Content-Encoding is not supported here.")
        length = headers.get("content-length")
        if length is None:
            if scope["method"] in _WITH_BODY and "transfer-encoding" not in headers:
                raise _Refused(411, "no_length", "Send Content-Length, or Transfer-Encoding: chunked.")
            return 0
        declared = int(length)
        if declared > self._largest:
            raise _too_large(self._largest)
        return declared

    async def _read_in_time(self, receive: Any, declared: int, held: Held) -> bytes | None:
        seconds = self._limits.body_deadline_s
        try:
            async with asyncio.timeout(seconds):
                return await self._read(receive, declared, held)
        except TimeoutError:
            raise _Refused(408, "slow_body", f"The body was not here within {seconds:g} seconds.") from None

    async def _read(self, receive: Any, declared: int, held: Held) -> bytes | None:
        """Return the body, or None when the client went away. The caller gives back what a whole one holds."""
        chunks: list[bytes] = []
        size = limit = 0
        whole = False
        try:
            while not whole:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                chunk = message["body"]
                chunks.append(chunk)
                size += len(chunk)
                room = held.grow(len(chunk), declared)
                if not limit and chunk.lstrip(_KINDLESS):
                    limit = self._limits.max_bytes(chunk)
                expected = max(size, declared) if limit else size
                self._check(expected, limit or self._limits.other_bytes, chunks[0], room=room)
                whole = not message["more_body"]
        finally:
            if not whole:
                held.give_back()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _check(self, size: int, limit: int, start: bytes, *, room: bool) -> None:
        if size > limit:
            raise _too_large(limit)
        if not room:
            # No answer is what makes a device of JSON keep its record, any answer but 200 one of XML (protocols).
            silent = start.lstrip(_KINDLESS)[:1] in (b"{", b"[")
            text = "Too many bodies at once. Send it again later."
            raise _Refused(503, "bodies_full", text, {"retry-after": "5"}, silent=silent)


class _Refused(GatewayError):
    def __init__(
        self,
        status: int,
        reason: str,
        text: str,
        headers: Mapping[str, str] | None = None,
        *,
        silent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.silent = silent  # close without an answer
        self.response = Response(
            status, text.encode() + b"\n", headers={**(headers or {}), "connection": "close"}
        )


def _too_large(limit: int) -> _Refused:
    return _Refused(413, "too_large", f"The body is larger than the {limit} bytes that are allowed.")


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw, value in pairs:
        name = raw.decode("latin-1")
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


@lru_cache(maxsize=256)  # devices have few paths; 2 KB each at most
def _path(raw: bytes) -> str:
    """Turn what devices put into the request line into a path: `http://gw/e`, `//e` and `e` are all `/e`."""
    absolute = _ABSOLUTE.match(raw)
    text = unquote((raw[absolute.end() :] if absolute else raw).decode("latin-1"))
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return _SLASHES.sub("/", "/" + text)


@lru_cache(maxsize=256)
def _describe(content_type: str, length: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type.encode()), (b"content-length", b"%d" % length)]


async def _answer(send: Any, response: Response) -> None:
    headers: list[tuple[bytes, bytes]] = []
    if response.status not in _WITHOUT_CONTENT:
        headers = _describe(response.content_type, len(response.body))
    if response.headers:
        more = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
        headers = headers + more
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})
