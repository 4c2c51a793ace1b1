"""What an outbox must be after anything that can happen to it: some dictionaries, without disk, SQL or threads."""

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
EDGE = datetime(2026, 10, 5, 23, 50, tzinfo=ZONE)  # the facts lie on both sides of a midnight of the site
KNOWN = ("counter-a", "counter-b", "terminal-t")
STRANGERS = ("counter-x", "terminal-y")
HELD_PER_DEVICE = 8
PIECE = 3  # held events that go into the log in one transaction
_MEASURE = {"counter": "enters", "terminal": "allowed"}


@dataclass(eq=False)
class Fact:
    """One minute of a counter, or one record of a terminal about a person."""

    number: int
    device: str
    person: str | None = None
    big: bool = False  # its statements take pages of their own

    @property
    def is_record(self) -> bool:
        return self.device.startswith("terminal")

    @property
    def time(self) -> datetime:
        return EDGE + timedelta(minutes=self.number)

    @property
    def sum(self) -> tuple[str, str, str]:
        """Where it counts: device, the site's day and measure."""
        day = self.time.astimezone(ZONE).date().isoformat()
        return self.device, day, _MEASURE[self.device.partition("-")[0]]


@dataclass(frozen=True)
class Said:
    """A statement about a fact, as it was received."""

    fact: Fact
    revision: int
    value: int
    received: datetime | None = None
    unsynced: bool = False
    person: str | None = None  # None also when the person was erased while it was held
    erased: bool = False

    @property
    def content(self) -> tuple[int, int]:
        return self.revision, self.value

    @property
    def amount(self) -> int:
        return 1 if self.fact.is_record else self.value


@dataclass
class Row:
    """One entry of the log."""

    seq: int
    said: Said
    out: bool  # it is in no sum
    person: str | None
    erased: bool

    @property
    def rank(self) -> tuple[int, int]:
        """Order the statements about a fact: by their number, then as they came."""
        return self.said.revision, self.seq


@dataclass
class Sink:
    """What the account of a sink must say."""

    owed: set[int] = field(default_factory=set)
    delivered: int = 0
    expired: int = 0
    lettered: int = 0
    letters: dict[int, str | None] = field(default_factory=dict)  # number in the log: the person in it
    by_device: Counter[tuple[str, str]] = field(default_factory=Counter)  # (device, figure)

    def settle(self, device: str, seq: int, *, refused: bool = False, person: str | None = None) -> None:
        self.owed.discard(seq)
        figure = "lettered" if refused else "delivered"
        self.delivered += not refused
        self.lettered += refused
        self.by_device[device, figure] += 1
        if refused:
            self.letters[seq] = person

    def answer(self, device: str, seq: int) -> None:
        """A letter was delivered after all."""
        del self.letters[seq]
        self.lettered -= 1
        self.delivered += 1
        self.by_device[device, "lettered"] -= 1
        self.by_device[device, "delivered"] += 1


class Model:
    """The log, the sums, the sinks and what is held of strangers."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.log: dict[int, Row] = {}
        self.head = 0
        self.duplicates: Counter[str] = Counter()
        self.sums: Counter[tuple[str, str, str]] = Counter()
        self.high: dict[tuple[str, str], int] = {}  # the most that a lifetime ever was
        self.pruned: dict[str, datetime] = {}  # how far back facts of a device are gone
        self.sinks: dict[str, Sink] = {}
        self.on_disk: dict[str, Sink] = {}
        self.held: dict[str, list[Said]] = {}
        self.adopted: set[str] = set(KNOWN)
        self.in_book: set[str] = set()
        self.ignored: set[str] = set()
        self.removed: set[Fact] = set()  # something of them has left the log
        self.dated: list[tuple[int, datetime]] = []  # when our clock was right, and how far the log went then

    # The log

    def about(self, fact: Fact) -> list[Row]:
        """Give what is in the log about a fact, the newest last: of the highest number what came last."""
        return sorted((row for row in self.log.values() if row.said.fact is fact), key=lambda row: row.rank)

    def stated(self, fact: Fact) -> list[tuple[int, int]]:
        """Give every statement that is kept about a fact, in the log or held."""
        held = [one.content for one in self.held.get(fact.device, []) if one.fact is fact]
        return [*held, *(row.said.content for row in self.about(fact))]

    def is_ambiguous(self, fact: Fact, revision: int, value: int) -> bool:
        """Say whether its neighbours' numbers decide what a statement is: that is no matter of this model."""
        stated = self.stated(fact)
        numbers = Counter(number for number, _ in stated)
        if (revision, value) in stated:
            return False
        crowded = any(number < revision < number + many for number, many in numbers.items())
        return crowded or (revision in numbers and any(number > revision for number in numbers))

    def append(self, said: Iterable[Said]) -> int:
        """One transaction: put statements into the log; give how many of them were new."""
        new = sum(self._enter(one) for one in said)
        lives: Counter[tuple[str, str]] = Counter()
        for (device, _, measure), amount in self.sums.items():
            lives[device, measure] += amount
        for owner, amount in lives.items():
            self.high[owner] = max(self.high.get(owner, 0), amount)
        self.committed()
        return new

    def _enter(self, said: Said) -> bool:
        fact = said.fact
        self.in_book.add(fact.device)
        rows = self.about(fact)
        newest = rows[-1] if rows else None
        repeated = said.content in [row.said.content for row in rows]
        if repeated or (newest and newest.erased and said.revision <= newest.said.revision):
            self.duplicates[fact.device] += 1
            return False
        if newest is None:
            back = self.pruned.get(fact.device, datetime.min.replace(tzinfo=ZONE))
            out = fact.time <= back and (said.unsynced or back <= said.received)  # which is now
        else:
            out = newest.out or said.revision < newest.said.revision
        if not out:
            self.sums[fact.sum] += said.amount - (newest.said.amount if newest else 0)
        erased = said.erased or bool(newest and newest.erased)
        if not rows:
            self.removed.discard(fact)
        self.head += 1
        self.log[self.head] = Row(self.head, said, out, None if erased else said.person, erased)
        for sink in self.sinks.values():
            sink.owed.add(self.head)
        return True

    def remove(self, gone: set[int], now: datetime | None) -> None:
        """Retention took these out of the log, at ``now`` by our clock if that can be; who was owed them lost them."""
        for sink in self.sinks.values():
            for seq in gone & sink.owed:
                sink.by_device[self.log[seq].said.fact.device, "expired"] += 1
            sink.expired += len(gone & sink.owed)
            sink.owed -= gone
        rows = [self.log.pop(seq) for seq in sorted(gone)]
        for row in rows:
            said = row.said
            self.removed.add(said.fact)
            came = (now or said.received) if said.unsynced else said.received + timedelta(days=1)
            back = min(said.fact.time, came, now or said.fact.time)
            self.pruned[said.fact.device] = max(back, self.pruned.get(said.fact.device, back))
            for left in self.about(said.fact):  # without what corrected it, it is no measure any more
                left.out |= left.rank < row.rank
        self.committed()

    # Sinks

    def committed(self) -> None:
        """After any commit all that was settled is on disk."""
        self.on_disk = copy.deepcopy(self.sinks)

    def crashed(self) -> None:
        """What was settled and not yet on disk is forgotten, and nothing else."""
        self.sinks = copy.deepcopy(self.on_disk)

    def enlist(self, name: str, *, oldest: bool) -> None:
        self.sinks[name] = Sink(owed=set(self.log) if oldest else set())
        self.committed()

    # Strangers

    def knows(self, device: str) -> bool:
        return device in self.adopted or device in self.in_book

    def due(self) -> str | None:
        """Name the device whose held statements go into the log next."""
        return min((name for name, held in self.held.items() if held and self.knows(name)), default=None)

    def fresh(self, device: str, said: Sequence[Said]) -> list[Said]:
        """Give of a push what is not held already."""
        fresh: dict[tuple[Fact, int, int], Said] = {}
        known = {(one.fact, *one.content) for one in self.held.get(device, [])}
        for one in said:
            if (one.fact, *one.content) not in known:
                fresh.setdefault((one.fact, *one.content), one)
        return list(fresh.values())

    def fate(self, device: str, said: Sequence[Said]) -> str:
        """Say what becomes of a push: in, hold, ignore or refuse."""
        if device in self.ignored:
            return "ignore"
        waiting = self.held.get(device, [])
        if self.knows(device) and not waiting:
            return "in"
        fresh = self.fresh(device, said)
        if not fresh or len(waiting) + len(fresh) <= HELD_PER_DEVICE:
            return "hold"
        return "in" if self.knows(device) else "refuse"

    def hold(self, device: str, said: Sequence[Said]) -> int:
        fresh = self.fresh(device, said)
        self.held.setdefault(device, []).extend(fresh)
        return len(fresh)

    def adopt(self, device: str) -> None:
        self.ignored.discard(device)
        self.adopted.add(device)

    def ignore(self, device: str) -> int:
        """Drop what is held of a device, and all that comes; give how much was dropped."""
        self.ignored.add(device)
        self.adopted.discard(device)
        return len(self.held.pop(device, []))

    def settle_piece(self, device: str) -> tuple[int, int]:
        """Put the oldest that is held of a device into the log; give what was new and what is left."""
        held = self.held[device]
        piece, held[:] = held[:PIECE], held[PIECE:]
        return self.append(piece), len(held)

    # Persons

    def erase(self, person: str) -> int:
        """Take a person out of everything; give of how many entries."""
        rows = [row for row in self.log.values() if row.person == person]
        for row in rows:
            for other in self.about(row.said.fact):
                other.erased = True
            row.person = None
        for sink in (*self.sinks.values(), *self.on_disk.values()):
            sink.letters = {seq: None if who == person else who for seq, who in sink.letters.items()}
        for held in self.held.values():
            held[:] = [replace(s, person=None, erased=True) if s.person == person else s for s in held]
        return len(rows)
