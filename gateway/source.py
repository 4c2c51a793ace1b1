"""The contract of a source: bytes in, events out, nothing else.

There are push sources (they POST to us: `Source`) and polls (we ask them: `Poll`). Neither does I/O, keeps
state or reads a clock: all that it may use is in its arguments. It is told nothing about storage or sinks.
Its only exception is `Unreadable`; a poll has `PollUnavailable` beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Protocol, TypeAlias

from gateway.event import Event, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request of a device, as it came in, with what the gateway knows about it."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes
    address: str  # the sender's, without port
    received_at: datetime  # aware, UTC
    zone: tzinfo | None = None  # the site's zone, when one is configured
    token: str | None = None  # the path token, when the path belongs to one configured device
    known_device: str | None = None  # the only device of this source last seen at this address


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer in the device's own dialect. ``status`` None: close without answering."""

    status: int | None
    body: bytes = b""
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the sender that a person should know: a stable code, one sentence, one action."""

    code: str
    sentence: str
    action: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source made of one body.

    ``reply`` overrides `Source.accepted`; a reading with a reply and without events stores nothing.
    """

    events: Sequence[Event]
    notices: Sequence[Notice] = ()
    reply: Reply | None = None


class Source(Protocol):
    """A device protocol that we understand."""

    name: str  # noun, as in the configuration: "people_counter"
    family: str  # the word for its devices, first part of their ids: "counter"
    max_body_bytes: int  # default limit of one body

    def recognises(self, post: Post) -> bool:
        """Say whether the body is ours, by a cheap look at the bytes; never by path or Content-Type."""

    def parse(self, post: Post) -> Reading:
        """Read the body, or raise `Unreadable` with a reason that a person understands.

        The same post always gives the same events. Secrets and pictures stay behind here.
        """

    def accepted(self, post: Post) -> Reply:
        """Tell the device that its push is on disk."""

    def refused(self, post: Post) -> Reply:
        """Tell the device to keep its push, because storing it failed. Never a success."""


Cursor: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request that a poll wants made, to the byte."""

    target: str  # path and query behind the endpoint, exactly as it is signed and sent
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float  # for the whole answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    received_at: datetime  # aware, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a poll made of one answer. Events and cursor go to disk in one transaction."""

    reading: Reading
    cursor: Cursor  # what the next ask begins from
    more: bool = False  # this page was full: ask again at once


class Poll(Protocol):
    """One thing that we ask for again and again. Pure like a source: what it knows is in its arguments."""

    name: str  # "camlytics.hall.events": its cursor is kept under this name
    source: str  # the source's name, as in `Device.source`
    endpoint: str  # base URL
    period_s: float  # from one answer without ``more`` to the next ask
    key: str | None  # polls with one key share one nonce and are asked one after the other
    spacing_s: float  # the least time between two asks with one key

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:
        """Say what to ask for. ``cursor`` is empty at the first time; ``nonce`` rises with every ask of a key."""

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Read an answer, or raise `Unreadable`, or `PollUnavailable` for an answer that says "not now"."""
