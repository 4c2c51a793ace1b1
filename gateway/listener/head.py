"""What may pass as the head of a request: what we mend for old devices, and what we refuse beyond h11."""

import re
from dataclasses import dataclass

import h11

from gateway.listener.answers import Pairs

_BLANK_LINE = re.compile(rb"\n\r?\n")
_HOST = re.compile(rb"\nhost[ \t]*:", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def mended(head: bytes) -> bytes | None:
    """Return the head with what can be put right without guessing, or None if there is nothing to do.

    Bytes outside ASCII in the request line get percent-encoded: somebody typed the path in his own script.
    A missing Host is added empty: there is only one host here, and some small devices leave it out.
    """
    end = _BLANK_LINE.search(head)
    if end is None:
        return None
    line, _, rest = head.partition(b"\n")
    better = _NOT_ASCII.sub(lambda byte: f"%{byte[0][0]:02X}".encode(), line) + b"\n"
    if line.rstrip().endswith(b"HTTP/1.1") and not _HOST.search(head, 0, end.end()):
        better += b"Host:\r\n"
    better += rest
    return better if better != head else None


@dataclass(frozen=True, slots=True)
class Framing:
    """Where the request ends, and whether another may follow it."""

    length: int | None  # None: chunked
    lasting: bool


def framing(request: h11.Request, headers: Pairs) -> Framing:
    """Read the framing; raise for what h11 lets pass and we do not."""
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("HTTP/2 is not served", error_status_hint=505)
    if request.method == b"CONNECT":
        raise h11.RemoteProtocolError("this is no proxy", error_status_hint=501)
    length: int | None = 0
    declared = chunked = False
    lasting = request.http_version != b"1.0"
    for name, value in headers:
        if name == b"content-length":
            length, declared = int(value), True
        elif name == b"transfer-encoding":
            length, chunked = None, True
        elif name == b"connection" and b"close" in value.lower():
            lasting = False
    if declared and chunked:
        # Two opinions on where the body ends: what follows it could be passed off as another request.
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding", error_status_hint=400)
    return Framing(length, lasting)


def limit_size(request: h11.Request, headers: Pairs, limit: int) -> None:
    """Raise for a head that is too large; h11 limits one only while it is incomplete."""
    if len(request.target) + sum(len(name) + len(value) + 4 for name, value in headers) > limit:
        raise h11.RemoteProtocolError("header too large", error_status_hint=431)
