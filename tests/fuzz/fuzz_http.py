"""Fuzz target: the HTTP/1.1 of the listener, whole and in pieces, which must make no difference."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from logging import getLogger
from typing import Any

from fuzz_rules import demand

from gateway.guard import BodyGuard, BodyLimits, Request, Response
from gateway.listener.http11 import Http11
from gateway.listener.limits import Limits, Refusals
from gateway.listener.shared import Shared

_LIMITS = Limits(header_bytes=2_048)
_BODIES = BodyLimits(xml_bytes=4_096, json_bytes=4_096, other_bytes=4_096, body_deadline_s=3_600)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [A-Za-z' -]{1,60}\r\n")
_STATUSES = {100, 200, 400, 408, 411, 413, 414, 415, 431, 501, 503, 505}
_ENOUGH = 1_000  # reads of one connection


class _Piecewise:
    """Stands in for the connection: gives what arrives in pieces, and takes what is written."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces[::-1]
        self.written: list[bytes] = []
        self.idle, self.stopping, self.expired = True, False, False
        self.reads = 0

    async def read(self) -> bytes:
        self.reads += 1
        demand(self.reads <= _ENOUGH, "nobody reads from a closed connection for ever")
        return self._pieces.pop() if self._pieces else b""

    async def write(self, data: bytes) -> None:
        self.written.append(data)

    async def lost(self) -> None:
        self._pieces = []

    async def finish(self, *, linger: bool) -> None:
        """Nothing is left to do."""

    def expect_within(self, seconds: float) -> None:
        """Nothing waits here."""

    def expect_nothing(self) -> None:
        """Nothing waits here."""


class _Log:
    """Collects what the listener would log: every line is a fault of ours."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def exception(self, text: str, *_: object) -> None:
        import traceback

        self.said.append(f"{text}\n{traceback.format_exc()}")

    error = exception


Seen = list[tuple[str, str, str, bytes]]


async def _serve(pieces: list[bytes]) -> tuple[Seen, bytes, list[str]]:
    seen: Seen = []

    async def take(request: Request) -> Response | None:
        seen.append((request.method, request.path, request.query, request.body))
        return Response(200, b"ok")

    log = _Log()
    shared = Shared(
        app=BodyGuard(take, _BODIES),
        limits=_LIMITS,
        refusals=Refusals(None),
        log=getLogger("fuzz"),
    )
    shared.log = log  # type: ignore[assignment]  # it is only asked to log
    link = _Piecewise(pieces)
    connection: Any = Http11(shared, link, ("192.0.2.20", 5), ("192.0.2.1", 80), tls=False)  # type: ignore[arg-type]
    serve: Callable[[], Awaitable[None]] = connection.serve
    await serve()
    return seen, b"".join(link.written), log.said


_LOOP: asyncio.AbstractEventLoop | None = None


def _run(pieces: list[bytes]) -> tuple[Seen, bytes, list[str]]:
    global _LOOP  # noqa: PLW0603 - a loop for each input would be most of the work
    if _LOOP is None:
        _LOOP = asyncio.new_event_loop()
    return _LOOP.run_until_complete(_serve(pieces))


def http11(data: bytes, *, twice: bool = True) -> None:
    """The first byte says how big the pieces are in which it arrives the second time."""
    size, stream = 1 + (data[0] if data else 0) % 61, data[1:]
    seen, written, said = _run([stream] if stream else [])
    demand(not said, f"the listener has nothing to complain about itself: {said[:1]}")
    answers = _answers(written)
    for method, path, query, body in seen:
        demand(path.startswith("/") and not path.startswith("//") and path.isprintable(), "a path is a path")
        demand(len(body) <= 4_096 and len(query) <= 2_048 + 3, "limits hold")
        demand((method.isascii() and method.isupper()) or not method.isalpha(), "a method is a word")
    demand(len(answers) >= len(seen), "every request that was taken is answered")
    demand(set(answers) <= _STATUSES, f"only statuses of ours: {answers}")
    if twice:
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        again, also, said = _run(pieces)
        demand(not said, f"the listener has nothing to complain about itself: {said[:1]}")
        demand(again == seen, f"pieces make no other requests: {_shown(seen)} and {_shown(again)}")
        demand(
            [status for status in _answers(also) if status != 100]
            == [status for status in answers if status != 100],
            "pieces get no other answers",
        )


def _shown(seen: Seen) -> str:
    return json.dumps([(method, path, body.decode("latin-1")[:40]) for method, path, _, body in seen])


def _answers(written: bytes) -> list[int]:
    """Read the answers as a client does, by their declared length."""
    found: list[int] = []
    while written:
        line = _STATUS_LINE.match(written)
        demand(line is not None, f"an answer begins with a status line: {written[:60]!r}")
        head, _, rest = written.partition(b"\r\n\r\n")
        status = int(line[1]) if line else 0
        length = re.search(rb"\r\ncontent-length: ([0-9]+)", head, re.IGNORECASE)
        demand(length is not None or status == 100, "an answer says how long it is")
        found.append(status)
        bodiless = rest.startswith(b"HTTP/1.1 ")  # an answer to HEAD; no body of ours begins like this
        written = rest if bodiless else rest[int(length[1]) if length else 0 :]
    return found
