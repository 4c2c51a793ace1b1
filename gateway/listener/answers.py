"""Heads of answers as bytes, with their reason phrase, made once a second and not once a request."""

from dataclasses import dataclass
from http import HTTPStatus
from time import time
from wsgiref.handlers import format_date_time

import h11

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_KEPT = 64

Pairs = list[tuple[bytes, bytes]]


def phrase(status: int) -> bytes:
    """Name the status: old clients look for a word there, and h11 leaves it out."""
    return _PHRASES.get(status, b"Unknown")


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """The head of an answer whose length is known."""

    raw: bytes
    length: int
    last: bool  # it says that the connection ends with this answer


class AnswerHeads:
    """Remembers the heads of this second."""

    def __init__(self) -> None:
        self._second = 0
        self._made: dict[tuple[int, bool, tuple[tuple[bytes, bytes], ...]], AnswerHead | None] = {}

    def get(self, status: int, headers: Pairs, *, last: bool) -> AnswerHead | None:
        """Return the head, or None when the answer states no length and h11 has to frame it."""
        second = int(time())
        if second != self._second or len(self._made) >= _KEPT:
            self._second = second
            self._made.clear()
        key = (status, last, tuple(headers))
        try:
            return self._made[key]
        except KeyError:
            made = self._made[key] = _make(status, headers, last, second)
            return made


def _make(status: int, headers: Pairs, last: bool, second: int) -> AnswerHead | None:
    fields = {name.lower(): value for name, value in headers}
    length = fields.get(b"content-length")
    if length is None:
        return None
    pairs = [(name.title(), value) for name, value in headers]  # some devices compare names letter by letter
    pairs.append((b"Date", format_date_time(second).encode()))
    if last and b"connection" not in fields:
        pairs.append((b"Connection", b"close"))
    event = h11.Response(status_code=status, headers=pairs, reason=phrase(status))
    raw = h11.Connection(h11.SERVER).send(
        event
    )  # a parser of its own: h11 checks and writes, and that is all
    return AnswerHead(raw, int(length), last or b"close" in fields.get(b"connection", b"").lower())
