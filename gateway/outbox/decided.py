"""What was decided about devices: who was taken up by itself, who by a person, who is ignored.

It is held in memory, with the sums of what waits, and read again after a transaction that failed.
"""

import sqlite3
from collections import Counter
from dataclasses import dataclass, field

from gateway.outbox import held

BY_ITSELF, BY_PERSON, IGNORED = "self", "adopted", "ignored"

_PUT = (
    "INSERT INTO verdicts (name, verdict, introducer, at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET verdict = excluded.verdict, introducer = excluded.introducer, at = excluded.at"
)


@dataclass(slots=True)
class Sum:
    """What is held of one device."""

    introducer: str  # who brought it first
    address: str
    events: int = 0
    size: int = 0
    events_of: Counter[str] = field(default_factory=Counter)  # by who sent them


@dataclass(slots=True)
class Decided:
    """All that was decided, and all that waits for a decision."""

    introduced: Counter[str] = field(default_factory=Counter)  # taken up by themselves, by introducer
    by_itself: dict[str, str] = field(default_factory=dict)  # device: its introducer
    by_person: set[str] = field(default_factory=set)  # adopted, and perhaps not in the book yet
    ignored: set[str] = field(default_factory=set)  # devices and introducers
    waiting: dict[str, Sum] = field(default_factory=dict)
    waiting_of: Counter[str] = field(default_factory=Counter)  # devices that wait, by introducer
    bytes_of: Counter[str] = field(default_factory=Counter)  # by who sent them
    size: int = 0  # bytes of all that waits

    @classmethod
    def load(cls, conn: sqlite3.Connection) -> "Decided":
        """Read everything."""
        made = cls()
        for name, verdict, introducer in conn.execute("SELECT name, verdict, introducer FROM verdicts"):
            made._note(name, verdict, introducer)
        for device, introducer, address, events, size in held.sums(conn):
            made.add(device, Sum(introducer, address, events, size))
        return made

    def put(self, conn: sqlite3.Connection, name: str, verdict: str, introducer: str, at: int) -> None:
        """Decide; an earlier decision about the same name is gone."""
        self._forget(name)
        self._note(name, verdict, introducer)
        conn.execute(_PUT, (name, verdict, introducer, at))

    def take_back(self, conn: sqlite3.Connection, name: str) -> None:
        """Let a name be as if nothing had been decided."""
        self._forget(name)
        conn.execute("DELETE FROM verdicts WHERE name = ?", (name,))

    def add(self, device: str, more: Sum) -> None:
        """Count what waits; whoever brought a device first answers for it, and each for what it sent."""
        known = self.waiting.get(device)
        if known is None:
            known = self.waiting[device] = Sum(more.introducer, more.address)
            self.waiting_of[known.introducer] += 1
        known.events += more.events
        known.size += more.size
        known.events_of[more.introducer] += more.events
        self.bytes_of[more.introducer] += more.size
        self.size += more.size

    def subtract(self, device: str, sender: str, size: int) -> None:
        """Count that an event waits no longer."""
        known = self.waiting[device]
        known.events -= 1
        known.size -= size
        known.events_of[sender] -= 1
        self.bytes_of[sender] -= size
        self.size -= size
        if self.bytes_of[sender] <= 0:
            del self.bytes_of[sender]
        if known.events <= 0:
            del self.waiting[device]
            self.waiting_of[known.introducer] -= 1
            if not self.waiting_of[known.introducer]:
                del self.waiting_of[known.introducer]

    def _note(self, name: str, verdict: str, introducer: str) -> None:
        if verdict == IGNORED:
            self.ignored.add(name)
        elif verdict == BY_PERSON:
            self.by_person.add(name)
        else:
            self.introduced[introducer] += 1
            self.by_itself[name] = introducer

    def _forget(self, name: str) -> None:
        self.ignored.discard(name)
        self.by_person.discard(name)
        introducer = self.by_itself.pop(name, None)
        if introducer is not None:
            self.introduced[introducer] -= 1
            if not self.introduced[introducer]:
                del self.introduced[introducer]
