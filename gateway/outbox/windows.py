"""Counted windows as the log holds them: of each fact the statement that counts, found by its id.

The id of a counted window is "device:start:…" with the start in seconds, so the windows of a device since an
instant lie together in the index. An id without a start is not found here.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.event import Kind
from gateway.outbox.entry import Earlier, Flag, earlier
from gateway.outbox.zoning import Plans

_IN_ORDER = (
    "SELECT id, revision, kind, device, time, flags, body, seq, received FROM events WHERE id >= ? AND id < ?"
    " ORDER BY id, revision"
)
_LAST = "SELECT time FROM events WHERE id >= ? AND id < ? AND kind = 'count' ORDER BY id DESC LIMIT 1"
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
    first = max(since // 1000, _EPOCH_DIGITS)
    last = f"{device}:{-(-before // 1000)}:" if before is not None else f"{device};"
    fact: list[Statement] = []
    for id_, _, kind, owner, time, flags, body, seq, received in conn.execute(
        _IN_ORDER, (f"{device}:{first}:", last)
    ):
        if kind != Kind.COUNT or time < since or (before is not None and time >= before):
            continue
        if fact and fact[0].id != id_:
            yield fact
            fact = []
        counts = not flags & (Flag.SUPERSEDED | Flag.UNTALLIED)
        fact.append(Statement(id_, seq, owner, time, received, counts, earlier(kind, body)))
    if fact:
        yield fact


def last_before(conn: sqlite3.Connection, device: str, before: int) -> int:
    """Give when the last counted window of a device before an instant began, in ms; 0 when there is none."""
    row = conn.execute(_LAST, (f"{device}:{_EPOCH_DIGITS}:", f"{device}:{-(-before // 1000)}:")).fetchone()
    return 0 if row is None else int(row[0])


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
