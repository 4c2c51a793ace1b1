"""Remove what may go from the log.

In this order: settled and old; under pressure settled heartbeats, then all that is settled; and only if
the owner said so what a sink has not had yet, heartbeats first. Whatever goes is counted as expired for
every sink that the store knows and that was still owed it, configured or not.

Every function works in small steps inside the writer's transactions, so that receiving goes on beside it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from gateway import clock
from gateway.outbox import accounts, removal, statements
from gateway.outbox.entry import Flag
from gateway.outbox.slots import slot
from gateway.outbox.sums import with_flag

STEP_ROWS = 2_000
_LENT_PAGES = 64
_END = 2**62


@dataclass(frozen=True, slots=True)
class Retained:
    """What a removal must respect."""

    conn: sqlite3.Connection
    settled_up_to: int  # every configured sink has had everything up to here
    places: list[tuple[int, int]]  # a place of a sink, and how many entries behind it may be on their way

    @property
    def on_their_way(self) -> list[tuple[int, int]]:
        """Give the ranges (first, last] that a sink may have in flight."""
        reach = (
            (place, self.conn.execute(statements.REACH, (place, count)).fetchone()[0])
            for place, count in self.places
        )
        return [(place, place if last is None else last) for place, last in reach]


@dataclass(frozen=True, slots=True)
class Removed:
    """What one step removed."""

    rows: int = 0
    up_to: int = 0  # the newest of them


def remove_old(
    conn: sqlite3.Connection,
    *,
    settled_up_to: int,
    received_before: int,
    now: int,
    unsynced_up_to: int = 0,
    limit: int = STEP_ROWS,
) -> Removed:
    """Remove entries that every sink has had and that are older than the keep-time.

    What came in while nobody knew the time has no age of its own: it goes up to ``unsynced_up_to``.
    Entries that came "in the future" came while our clock was wrong; they do not stand in the way of the
    others. When even the newest did, it is wrong now: then age says nothing.
    """
    last = conn.execute("SELECT received, flags FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    if last is None or (last[0] > now and not last[1] & Flag.UNSYNCED):
        return Removed()
    rows = conn.execute(_OLD, (settled_up_to, now, limit, received_before, unsynced_up_to)).fetchall()
    return _remove(conn, [row[0] for row in rows])


def remove_settled(conn: sqlite3.Connection, *, settled_up_to: int, limit: int = STEP_ROWS) -> Removed:
    """Make room from what every sink has had: heartbeats first, then the oldest of all."""
    for query in (statements.OLDEST_HEARTBEATS, statements.OLDEST):
        rows = conn.execute(query, (0, settled_up_to, limit)).fetchall()
        if rows:
            return _remove(conn, [row[0] for row in rows])
    return Removed()


def remove_owed(conn: sqlite3.Connection, *, keep: list[tuple[int, int]], limit: int = STEP_ROWS) -> Removed:
    """Give up the oldest entries that a sink has not had yet, heartbeats before anything else.

    ``keep`` are the ranges (first, last] that are on their way to a sink right now.
    """
    for query in (statements.OLDEST_HEARTBEATS, statements.OLDEST):
        seqs: list[int] = []
        for first, last in _between(keep):
            seqs += [row[0] for row in conn.execute(query, (first, last, limit - len(seqs)))]
            if len(seqs) == limit:
                break
        if seqs:
            return _remove(conn, seqs)
    return Removed()


def _between(keep: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Give the ranges that lie between those that are kept."""
    place = 0
    for first, last in sorted(keep):
        if first > place:
            yield place, first
        place = max(place, last)
    yield place, _END


def _remove(conn: sqlite3.Connection, seqs: list[int]) -> Removed:
    """Remove entries; note who misses them and how far back each device's facts are gone."""
    if not seqs:
        return Removed()
    with _room_to_remove(conn):
        return _removed(conn, seqs)


@contextlib.contextmanager
def _room_to_remove(conn: sqlite3.Connection) -> Iterator[None]:
    """Lend a few pages: in a store that is full to the last one the notes about a removal must find room first."""
    bound = conn.execute("PRAGMA max_page_count").fetchone()[0]
    conn.execute(f"PRAGMA max_page_count={bound + _LENT_PAGES}")
    try:
        yield
    finally:
        conn.execute(f"PRAGMA max_page_count={bound}")


def _removed(conn: sqlite3.Connection, seqs: list[int]) -> Removed:
    conn.execute(statements.KEEP_HEAD)
    conn.execute(removal.GOING)
    conn.execute("DELETE FROM going")
    conn.executemany("INSERT INTO going VALUES (?)", [(seq,) for seq in seqs])
    accounts.expire(conn)
    conn.execute(_EXPIRE)
    conn.execute(_PRUNE, (clock.now_ms() if clock.plausible() else None,))
    conn.execute(_ORPHAN)
    return Removed(removal.remove(conn), seqs[-1])


_OLD = (
    "SELECT seq FROM (SELECT seq, received, flags FROM events WHERE seq <= ?1 AND (received <= ?2 OR flags & 16)"
    " ORDER BY seq LIMIT ?3) WHERE CASE WHEN flags & 16 THEN seq <= ?5 ELSE received < ?4 END"
)
_EXPIRE = (
    "UPDATE sinks SET expired = expired + (SELECT count(*) FROM going WHERE seq > sinks.cursor OR EXISTS"
    " (SELECT 1 FROM arrears a WHERE a.sink = sinks.name AND NOT a.replay AND seq > a.first AND seq <= a.last))"
    " WHERE cursor < (SELECT max(seq) FROM going) OR EXISTS"
    " (SELECT 1 FROM arrears a WHERE a.sink = sinks.name AND NOT a.replay)"
)
# A fact that a wrong clock put into the future, the device's or for a while our own, must not make all that comes later
# count as old: what left the log came before now, and a clock in a wrong zone is less than a day ahead. Nor is a receipt
# by a clock of ours that nobody vouched for a measure. What is in no sum for its date (64) counts no second time anyway.
_PRUNE = (
    "UPDATE devices SET pruned = max(pruned, latest.time) FROM (SELECT device,"
    " max(min(time, ifnull(?1, time), iif(flags & 16, ifnull(?1, received), received + 86400000))) AS time FROM events"
    "  WHERE kind <> 'heartbeat' AND NOT flags & 64 AND seq IN (SELECT seq FROM going) GROUP BY device) AS latest"
    " WHERE devices.id = latest.device"
)
# What stays behind without the newer statement about the same fact is no measure for what comes next.
_ORPHAN = (
    f"UPDATE events SET {with_flag('4')} WHERE seq IN (SELECT older.seq FROM going"
    " CROSS JOIN events AS gone ON gone.seq = going.seq"
    f" CROSS JOIN events AS older ON {slot('older.id')} = {slot('gone.id')} AND older.id = gone.id"
    " AND older.revision < gone.revision"
    " WHERE gone.kind <> 'heartbeat' AND older.seq NOT IN (SELECT seq FROM going))"
)
