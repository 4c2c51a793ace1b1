"""Asks the polls of an account in one process: the stand-in's own verdicts and answers, without a socket."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.event import Event, tallies
from gateway.simulate.camlytics_cloud import Cloud, Gate, Place, World
from gateway.source import Answer, Aside, Notice, Page, Poll
from gateway.sources.camlytics_cloud import Account, Keys, Rule, Rules

NOON = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
KEYS = Keys("public-key-1", "secret-key-1")
RULES = Rules.of([
    Rule(trigger="Enter", direction="in", zone="hall"),
    Rule(trigger="Exit", direction="out", zone="hall"),
])  # fmt: skip


@dataclass
class Hands:
    """A clock that a test drives."""

    at: float = NOON.timestamp()

    def now(self) -> float:
        return self.at


def account(**how) -> Account:
    return Account(**{"name": "shop", "keys": KEYS, "rules": RULES, **how})


def cloud(hands: Hands, *, limit: int | None = None, **how) -> Cloud:
    world = World(hands, **{"places": (Place(id=101),), "seed": 3, **how})
    return Cloud(world, Gate({KEYS.public: KEYS.secret}), limit=limit)


@dataclass
class Asker:
    """A poller in small: one cursor, no waiting but by hand, and a log that honours ids and revisions."""

    poll: Poll
    cloud: Cloud
    hands: Hands
    cursor: dict = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    aside: list[Aside] = field(default_factory=list)
    notices: Sequence[Notice] = ()
    emitted: int = 0
    asks: int = 0

    def page(self) -> Page:
        """Ask once."""
        self.hands.at += 1.1
        self.asks += 1
        nonce = int(self.hands.at)
        ask = self.poll.ask(self.cursor, datetime.fromtimestamp(self.hands.at, UTC), nonce)
        headers = {name.lower(): value for name, value in ask.headers.items()}
        says = self.cloud.outcome("GET", ask.target, headers)
        return self.take(says.status, self.cloud.head_fields(says), says.content(), ask.target)

    def take(self, status: int, headers: dict[str, str], body: bytes, target: str = "") -> Page:
        """Read an answer and keep what it says."""
        answer = Answer(
            status=status,
            headers={name.lower(): value for name, value in headers.items()},
            body=body,
            received_at=datetime.fromtimestamp(self.hands.at, UTC),
            target=target,
        )
        page = self.poll.read(answer, self.cursor)
        assert page == self.poll.read(answer, self.cursor), "the same answer must always give the same page"
        self.cursor = dict(page.cursor)
        self.keep(page.reading.events)
        self.aside += page.aside
        self.notices = page.reading.notices
        return page

    def keep(self, events: Sequence[Event]) -> None:
        for event in events:
            self.emitted += 1
            known = self.events.get(event.id)
            if known is None or known.revision <= event.revision:
                self.events[event.id] = event

    def round(self) -> None:
        """Ask until the poll wants to rest."""
        for _ in range(500):
            if not self.page().more:
                return
        raise AssertionError("the poll never rests")

    def pass_time(self, seconds: float, *, every: float = 60.0) -> None:
        end = self.hands.at + seconds
        while self.hands.at < end:
            self.hands.at += every
            self.round()

    def sums(self) -> dict[str, int]:
        """Add what the kept events add to the day."""
        return tallied(self.events.values())

    def codes(self) -> set[str]:
        return {notice.code for notice in self.notices}


def tallied(events) -> dict[str, int]:
    sums: dict[str, int] = {}
    for event in events:
        for measure, amount in tallies(event.kind, event.data):
            if measure in ("enters", "exits"):
                sums[measure] = sums.get(measure, 0) + amount
    return sums


def owed(cloud: Cloud, until: float | None = None) -> dict[str, int]:
    """Add what the ledger says that people did."""
    sums = {"enters": 0, "exits": 0}
    for key, statement in cloud.world.ledger.obligations().items():
        if key[0] == "camlytics_cloud" and (until is None or key[4] <= until):
            for measure in sums:
                sums[measure] += statement.truth.get(measure, 0)
    return sums
