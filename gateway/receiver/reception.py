"""How pushes are understood, what came in, and how a push is shown to a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from gateway.receiver.lettering import shown_path
from gateway.receiver.pins import Pins
from gateway.redact import redact_body
from gateway.source import Post, Reading, Source


@dataclass(frozen=True, slots=True)
class Watched:
    """One push as `gateway tail` shows it: raw beside normalised, secrets masked."""

    post: Post
    source: str | None
    outcome: str
    reading: Reading | None

    @property
    def path(self) -> str:
        """Give the path for a person's eyes."""
        return shown_path(self.post)

    def raw(self) -> str:
        """Give the body for a person's eyes."""
        return redact_body(self.post.body).decode("utf-8", "replace")


@dataclass(slots=True)
class Counters:
    """What came in since the start."""

    posts: int = 0
    events: int = 0
    duplicates: int = 0
    letters: int = 0
    refused: int = 0
    held: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """How pushes are understood; replaced as a whole when the configuration is reloaded."""

    sources: Sequence[Source]
    gateway_id: str
    zone: tzinfo | None = None
    paths: Mapping[str, str] = field(default_factory=dict)  # source name: the path that settles ties
    tokens: frozenset[str] = frozenset()
    pins: Pins = field(default_factory=Pins)
