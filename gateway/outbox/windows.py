"""Counted windows as the log holds them: of each fact the statement that counts, found by its id.

The id of a counted window is "device:start:…" with the start in seconds, so the windows of a device that began in
one minute lie together in the index (`slots.py`). An id without a start is not found here, nor is one that ends
in ":misdated" (`dating.py`): no sum has it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway import clock
from gateway.event import Kind
from gateway.outbox.entry import Earlier, Flag, earlier
from gateway.outbox.slots import SLOT_S, slot
from gateway.outbox.sums import CHECKED_COLUMNS, checked
from gateway.outbox.zoning import Plans

_IN_SLOT = f"SELECT {CHECKED_COLUMNS} FROM events WHERE {slot('id')} = ? AND id >= ? AND id < ? ORDER BY id, revision"
_BEHIND = (
    f"SELECT {CHECKED_COLUMNS} FROM events WHERE {slot('id')} > ? AND id >= ? AND id < ?"
    f" ORDER BY {slot('id')}, id, revision"
)
_LAST = f"SELECT time FROM events WHERE {slot('id')} = ? AND id >= ? AND id < ? AND kind = 'count' ORDER BY id DESC LIMIT 1"
_LAST_MINUTES = (
    2 * 1440
)  # so far a clock can run ahead before its facts are misdated; one walk is some milliseconds
_MOST_MINUTES = 10_000  # a week; nobody asks for more
_SINCE_DEVICES = "SELECT id FROM devices WHERE newest >= ? AND source <> 'gateway'"
_EPOCH_DIGITS = 1_000_000_000  # from here on seconds have ten digits, and text sorts as numbers do


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement about a window."""

    id: str
    seq: int
    device: str
    time: int  # ms
    received: int  # ms
    counts: bool  # it moved the tallies, and nothing newer has taken its place
    said: Earlier

    @property
    def over(self) -> int:
        """Give the end of the window, in ms."""
        return self.time if self.said.end is None else self.said.end

    @property
    def until(self) -> int:
        """Give the instant (ms) up to which it tells: a window may be sent before it is over."""
        return self.over if self.said.sent is None else min(self.over, max(self.said.sent, self.time))


def statements_of(
    conn: sqlite3.Connection, device: str, since: int, before: int | None = None
) -> Iterator[list[Statement]]:
    """Yield, for each counted window of a device that began in a span (ms), what was said about it, in order."""
    fact: list[Statement] = []
    for row in _rows(conn, device, since, before):
        seq, id_, _, kind, owner, _, time, received, flags, body, _ = checked(row)
        if kind != Kind.COUNT or time < since or (before is not None and time >= before):
            continue
        if fact and fact[0].id != id_:
            yield fact
            fact = []
        counts = not flags & (Flag.SUPERSEDED | Flag.UNTALLIED)
        fact.append(Statement(id_, seq, owner, time, received, counts, earlier(kind, body)))
    if fact:
        yield fact


def _rows(conn: sqlite3.Connection, device: str, since: int, before: int | None) -> Iterator[tuple[Any, ...]]:
    """Go through the minutes of a span, and then at once through what lies ahead of now: that is little."""
    first = max(since // 1000, _EPOCH_DIGITS)
    last = -(-before // 1000) if before is not None else _EPOCH_DIGITS * 10
    minutes = range(first // SLOT_S, max(first, min(last, clock.now_ms() // 1000)) // SLOT_S + 1)
    if len(minutes) > _MOST_MINUTES:
        minutes = minutes[:0]  # one way through everybody's is shorter
    for minute in minutes:
        begin, end = max(first, minute * SLOT_S), min(last, (minute + 1) * SLOT_S)
        yield from conn.execute(_IN_SLOT, (minute, f"{device}:{begin}:", f"{device}:{end}:"))
    behind = minutes[-1] if minutes else first // SLOT_S - 1
    if (behind + 1) * SLOT_S < last:
        until = f"{device};" if before is None else f"{device}:{last}:"
        yield from conn.execute(_BEHIND, (behind, f"{device}:{first}:", until))


def last_before(conn: sqlite3.Connection, device: str, before: int) -> int:
    """Give when the last counted window of a device before an instant began, in ms; 0 when the last days have none."""
    last = -(-before // 1000)
    for minute in range(last // SLOT_S, max(last // SLOT_S - _LAST_MINUTES, _EPOCH_DIGITS // SLOT_S), -1):
        begin, end = max(_EPOCH_DIGITS, minute * SLOT_S), min(last, (minute + 1) * SLOT_S)
        bounds = (minute, f"{device}:{begin}:", f"{device}:{end}:")
        row = conn.execute(_LAST, bounds).fetchone()
        if row is not None:
            return int(row[0])
    return 0


def standing(fact: Sequence[Statement]) -> Statement | None:
    """Give the statement of a window that stands in the sums; None when none of them does."""
    return fact[-1] if fact[-1].counts else None


def counted_since(
    conn: sqlite3.Connection, plans: Plans, zone: str, since: int, before: int
) -> tuple[int, int]:
    """Sum who came into a zone and left it in the windows that began since, before its next reset (0: never)."""
    enters = exits = 0
    for (device,) in conn.execute(_SINCE_DEVICES, (since,)).fetchall():
        for fact in statements_of(conn, device, since, before or None):
            one = standing(fact)
            plan = plans.at(one.seq) if one else None
            if one is None or plan is None:
                continue
            for name, out in plan.shares(device, one.said.object, one.said.place):
                if name == zone:
                    came, left = one.said.tallies.get("enters", 0), one.said.tallies.get("exits", 0)
                    enters, exits = (enters + left, exits + came) if out else (enters + came, exits + left)
    return enters, exits
