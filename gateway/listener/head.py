"""What may pass as the head of a request: what we mend for old devices, and what we refuse beyond h11."""

import re
from dataclasses import dataclass

import h11

from gateway.listener.answers import Pairs

_BLANK_LINE = re.compile(rb"\n\r?\n")
_HOST = re.compile(rb"\nhost[ \t]*:", re.IGNORECASE)
_KNOWN = 512
_KNOWN_HEADERS = (
    4096  # of all known heads together: parsed, a header of two letters is a hundred times as large
)
_KNOWN_BYTES = 2048
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
class Head:
    """The head of a request, parsed and accepted."""

    raw: bytes  # what h11 saw, perhaps with something behind it
    request: h11.Request
    headers: Pairs  # names in lower case
    length: int | None  # of the body; None: chunked
    lasting: bool  # another request may follow
    waits: bool  # the client wants to hear 100 Continue before it sends the body


def accepted(request: h11.Request, raw: bytes, limit: int, *, waits: bool) -> Head:
    """Read the framing; raise for what h11 lets pass and we do not."""
    headers = [(name.lower(), value) for name, value in request.headers.raw_items()]
    if not request.http_version.startswith(b"1."):
        raise h11.RemoteProtocolError("HTTP/2 is not served", error_status_hint=505)
    if request.method == b"CONNECT":
        raise h11.RemoteProtocolError("this is no proxy", error_status_hint=501)
    if len(raw) > limit and _size(request.target, headers) > limit:  # h11 only limits what is incomplete
        raise h11.RemoteProtocolError("header too large", error_status_hint=431)
    fields = dict(headers)
    chunked = b"transfer-encoding" in fields
    if chunked and b"content-length" in fields:
        # Two opinions on where the body ends: what follows it could be passed off as another request.
        raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding", error_status_hint=400)
    length = None if chunked else int(fields.get(b"content-length", 0))
    closing = any(name == b"connection" and b"close" in value.lower() for name, value in headers)
    return Head(raw, request, headers, length, not closing and request.http_version != b"1.0", waits)


def _size(target: bytes, headers: Pairs) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)


class KnownHeads:
    """Heads that h11 has seen: a device sends the same one with push after push, byte for byte."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._headers = 0
        self.get = self._heads.get

    def add(self, raw: bytes, head: Head) -> None:
        """Remember a head, unless it needs a parser of its own."""
        if head.length is None or head.waits or len(raw) > _KNOWN_BYTES:
            return
        self._headers += len(head.headers)
        if len(self._heads) >= _KNOWN or self._headers > _KNOWN_HEADERS:
            self._heads.clear()
            self._headers = len(head.headers)
        self._heads[raw] = head
