"""The contract of a source: bytes in, events out, nothing else.

There are push sources (they POST to us: `Source`) and polls (we ask them: `Poll`). Neither does I/O, keeps
state or reads a clock: all that it may use is in its arguments. It is told nothing about storage or sinks.
Its only exception is `Unreadable`; a poll has `PollUnavailable` beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Protocol, TypeAlias, runtime_checkable

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
    vouched: frozenset[str] = frozenset()  # ids of configured devices whose secret word stood in the path


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
    # Event id: its picture, as Base64 text that nobody has looked into; only when the owner keeps pictures.
    pictures: Mapping[str, str] = field(default_factory=dict)
    configured: bool = False  # the configuration names who sent this: it never waits to be adopted


class Source(Protocol):
    """A device protocol that we understand."""

    name: str  # noun, as in the configuration: "people_counter"
    family: str  # the word for its devices, first part of their ids: "counter"
    max_body_bytes: int  # default limit of one body

    def recognises(self, post: Post) -> bool:
        """Say whether the body is ours, by a cheap look at the bytes; never by path or Content-Type."""

    def parse(self, post: Post) -> Reading:
        """Read the body, or raise `Unreadable` with a reason that a person understands.

        The same post always gives the same events. Secrets stay behind here; a picture goes on beside its event
        only when the owner keeps pictures, and is not looked into.
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
    max_bytes: int = 4_000_000  # of the body; a longer one is given up there


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    received_at: datetime  # aware, UTC
    target: str = ""  # what was asked: the target of the ask that this answers
    cut: bool = False  # it was longer than `Ask.max_bytes`, and this is its beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """One record of an answer that could not be read while others could: it becomes a letter."""

    reason: str
    body: bytes  # the record as it came, as far as it can be told apart


MOST_ASIDE = 50  # of one answer: who looks at the letters has seen enough by then


@dataclass(slots=True)
class Asides:
    """Collects records that could not be read: the first ones as they came, the rest by their number."""

    kept: list[Aside] = field(default_factory=list)
    left_out: int = 0

    def add(self, reason: str, body: Callable[[], bytes]) -> None:
        """Take one record; ``body`` is only made when it is kept."""
        if len(self.kept) < MOST_ASIDE:
            self.kept.append(Aside(reason=reason, body=body()))
        else:
            self.left_out += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a poll made of one answer. The cursor goes to disk with the last of the events, and never before."""

    reading: Reading  # its notices are all that stands now: an earlier one that is not among them is gone
    cursor: Cursor  # what the next ask begins from
    more: bool = False  # this page was full: ask again at once
    aside: Sequence[Aside] = ()  # records that the cursor passes over; they are letters before it moves
    left_out: int = 0  # how many more it passes over; the letters have their number (`Asides`)
    save: bool = True  # False: nothing of this cursor needs to outlive the process (an empty page, say)


class Poll(Protocol):
    """One thing that we ask for again and again. Pure like a source: what it knows is in its arguments.

    Note for who writes one (the poller keeps to this):
    `read` gets every answer that is no redirect, whatever its status (one that is ``cut`` too: it may ask for less
    the next time, or find it unreadable), and may explain it with
    `PollUnavailable` in its own words. `Unreadable` for an answer that is not 2xx means "nothing special": the
    poller then explains the status itself (429 and 503 honour Retry-After). `Unreadable` for a 2xx: the cursor
    stays, the body becomes a letter (once, not once per try), a fault stands, and it is asked again with backoff;
    so one bad record must go into ``Page.aside`` instead, or it holds up what is behind it.
    Polls are told apart by ``name`` and compared by ``==`` at a reload (make them frozen dataclasses): an equal one
    goes on. Connection, DNS, TLS and timeout never reach `read`. ``key`` is a name, not the secret itself.
    ``nonce`` is 0 for a poll without a key; else it begins near the Unix time in s and only grows, also over
    restarts. Letters and notices of a poll have its ``name`` as their sender and subject; that it gives
    nothing is one fault for each reason and instance, whose subject is the first two words of the name.
    """

    @property
    def name(self) -> str:
        """Say under which name its cursor is kept: "camlytics.hall"; the second word names the instance."""

    @property
    def source(self) -> str:
        """Give the source's name, as in `Device.source`."""

    @property
    def endpoint(self) -> str:
        """Give "https://host:port", without a path: `Ask.target` is the whole path, sent to the byte."""

    @property
    def period_s(self) -> float:
        """Give the time from one answer without ``more`` to the next ask."""

    @property
    def key(self) -> str | None:
        """Name what polls may share: those with one key share one nonce and are asked one after the other."""

    @property
    def spacing_s(self) -> float:
        """Give the least time between two asks with one key, of whatever poll."""

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:
        """Say what to ask for. ``cursor`` is empty at the first time; ``nonce`` rises with every ask of a key."""

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Read an answer, or raise `Unreadable`, or `PollUnavailable` for an answer that says "not now"."""


@runtime_checkable
class TakesOver(Protocol):
    """A poll whose devices may also be told about in another way: by webhooks, before or between."""

    def taken_over(
        self, cursor: Cursor, told: Mapping[str, tuple[int, Mapping[str, Json]]], now: datetime
    ) -> Cursor:
        """Give the place to go on from.

        ``told`` has for each device of the source until when (ms) its newest fact tells, and that fact's data.
        """
