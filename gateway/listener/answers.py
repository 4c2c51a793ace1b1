"""The head of an answer, with its reason phrase, made once a second and not once a request."""

from http import HTTPStatus
from time import time
from wsgiref.handlers import format_date_time

import h11

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_KEPT = 64

Pairs = list[tuple[bytes, bytes]]


def phrase(status: int) -> bytes:
    """Name the status: old clients look for a word there, and h11 would leave it out."""
    return _PHRASES.get(status, b"Unknown")


class Heads:
    """Remembers the heads of this second."""

    def __init__(self) -> None:
        self._second = 0
        self._date = (b"date", b"")
        self._made: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], h11.Response] = {}

    def head(self, status: int, headers: Pairs) -> h11.Response:
        """Return the event that h11 turns into bytes."""
        second = int(time())
        if second != self._second or len(self._made) >= _KEPT:
            self._second = second
            self._date = (b"date", format_date_time(second).encode())
            self._made.clear()
        key = (status, tuple(headers))
        made = self._made.get(key)
        if made is None:
            made = h11.Response(status_code=status, headers=[*headers, self._date], reason=phrase(status))
            self._made[key] = made
        return made
