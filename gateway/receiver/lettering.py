"""How a push becomes a letter, and a letter a push again: without the secrets that stood in it."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo

from gateway import clock
from gateway.outbox import Letter
from gateway.redact import redact_path, redact_query
from gateway.source import Post

# A letter shows what came; megabytes would only fill the shelf, and masking them takes long.
LETTER_BYTES = 262_144
# An alarm of a face terminal says only in its header which terminal sent it, and when.
_HEADERS = ("sn", "model", "timestamp")
_HEADER_MAX = 128


def shown_path(post: Post) -> str:
    """Give the path as it may be kept and shown."""
    return redact_path(post.path, frozenset({post.token} if post.token else ()))


def head_of(post: Post, source: str | None, port: str) -> dict[str, object]:
    """Give what a letter keeps of a push beside its body."""
    return {
        "port": port,
        "method": post.method,
        "path": shown_path(post),
        "token": _digest(post.token) if post.token else None,
        "vouched": sorted(post.vouched),
        "query": redact_query(post.query),
        "content_type": post.headers.get("content-type", ""),
        "headers": {name: _printable(post.headers[name]) for name in _HEADERS if name in post.headers},
        "source": source,
        "bytes": len(post.body),
        "cut": len(post.body) > LETTER_BYTES,
        "clock_unsynced": not clock.vouches(post.received_at),
    }


def push_of(letter: Letter, zone: tzinfo | None, tokens: Collection[str]) -> Post:
    """Make the push again that a letter was made of."""
    head = letter.head
    post = Post(
        method=str(head.get("method", "POST")),
        path=str(head.get("path", "/")),
        query=str(head.get("query", "")),
        headers={"content-type": str(head.get("content_type", "")), **_headers(head.get("headers"))},
        body=letter.body,
        address=letter.sender,
        received_at=datetime.fromtimestamp(letter.received / 1000, UTC),
        zone=zone,
        vouched=frozenset(_texts(head.get("vouched"))),
    )
    return replace(post, token=_token_of(head, post.path, tokens))


def token_in(path: str, tokens: Collection[str]) -> str | None:
    """Find the path token of a configured device."""
    return next((part for part in path.split("/") if part in tokens), None) if tokens else None


def _token_of(head: Mapping[str, object], path: str, tokens: Collection[str]) -> str | None:
    """Find the token of a letter, which does not hold it."""
    wanted = head.get("token")
    if wanted is None:
        return token_in(path, tokens)
    return next((token for token in tokens if _digest(token) == wanted), None)


def unknown(post: Post) -> str:
    """Say what a body looks like without quoting it: it may begin with a secret."""
    first = post.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    looks = {b"<": "looks like XML", b"{": "looks like JSON", b"[": "looks like JSON"}.get(
        first, "is no XML and no JSON"
    )
    return f"no source recognises this body, which {looks} ({len(post.body)} bytes)"


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _headers(value: object) -> dict[str, str]:
    """Give the headers that a letter holds; one of an older version holds none."""
    stated = value if isinstance(value, dict) else {}
    return {name: text for name in _HEADERS if isinstance(text := stated.get(name), str)}


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text.strip()[:_HEADER_MAX])


def _digest(token: str) -> str:
    return hashlib.blake2b(token.encode(), digest_size=8).hexdigest()
