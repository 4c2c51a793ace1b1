"""What was decided about unknown devices, and how much of each waits, in memory: it is looked at with every push.

The decisions are in the table `verdicts`, what waits is in `held`. Used on the writer's thread, inside the
transaction that the writer opened; after one that was rolled back it is loaded anew.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from gateway.outbox import held

BY_ITSELF, BY_PERSON, IGNORED = "by_itself", "by_person", "ignored"

_PUT = (
    "INSERT INTO verdicts (name, verdict, introducer, at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET verdict = excluded.verdict, introducer = excluded.introducer, at = excluded.at"
)


@dataclass(frozen=True, slots=True)
class Sum:
    """How much of one device waits, and who answers for it."""

    introducer: str
    address: str  # of its first push
    events: int
    size: int  # bytes


@dataclass(slots=True)
class Verdicts:
    """The decisions and the sums."""

    by_itself: set[str] = field(default_factory=set)
    by_person: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)  # devices and addresses
    introduced: Counter[str] = field(default_factory=Counter)  # devices taken up by themselves, by introducer
    waiting: dict[str, Sum] = field(default_factory=dict)
    waiting_of: Counter[str] = field(default_factory=Counter)  # devices that wait, by introducer
    bytes_of: Counter[str] = field(default_factory=Counter)
    size: int = 0  # bytes, of all that waits
    _introducers: dict[str, str] = field(default_factory=dict)  # of those that were taken up by themselves

    @classmethod
    def load(cls, conn: sqlite3.Connection) -> "Verdicts":
        """Read everything from the store."""
        said = cls()
        for name, verdict, introducer in conn.execute("SELECT name, verdict, introducer FROM verdicts"):
            said._note(name, verdict, introducer)
        for device, introducer, address, events, size in held.sums(conn):
            said.add(device, Sum(introducer, address, events, size))
        return said

    def put(self, conn: sqlite3.Connection, name: str, verdict: str, introducer: str, at: int) -> None:
        """Write a decision, in the place of an earlier one about the same name."""
        conn.execute(_PUT, (name, verdict, introducer, at))
        self._drop(name)
        self._note(name, verdict, introducer)

    def take_back(self, conn: sqlite3.Connection, name: str) -> None:
        """Remove a decision."""
        conn.execute("DELETE FROM verdicts WHERE name = ?", (name,))
        self._drop(name)

    def add(self, device: str, more: Sum) -> None:
        """Note that something of a device waits; who brought the first of it answers for all."""
        known = self.waiting.get(device)
        if known is None:
            self.waiting[device] = more
            self.waiting_of[more.introducer] += 1
        else:
            events, size = known.events + more.events, known.size + more.size
            self.waiting[device] = Sum(known.introducer, known.address, events, size)
        self.bytes_of[self.waiting[device].introducer] += more.size
        self.size += more.size

    def subtract(self, device: str, events: int, size: int) -> None:
        """Note that some of what waited does so no longer."""
        known = self.waiting.pop(device)
        self.bytes_of[known.introducer] -= size
        self.size -= size
        if known.events > events:
            self.waiting[device] = Sum(
                known.introducer, known.address, known.events - events, known.size - size
            )
        else:
            self.waiting_of[known.introducer] -= 1

    def _note(self, name: str, verdict: str, introducer: str) -> None:
        {BY_ITSELF: self.by_itself, BY_PERSON: self.by_person}.get(verdict, self.ignored).add(name)
        if verdict == BY_ITSELF:
            self._introducers[name] = introducer
            self.introduced[introducer] += 1

    def _drop(self, name: str) -> None:
        for names in (self.by_itself, self.by_person, self.ignored):
            names.discard(name)
        introducer = self._introducers.pop(name, None)
        if introducer is not None:
            self.introduced[introducer] -= 1
