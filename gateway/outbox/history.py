"""Let go of days that lie long back, or far ahead: their totals and minutes leave the store, lifetimes stay.

Days are kept for longer than the log, because a year compares with the one before it. What was dated so while
nobody could judge it goes with the next round, in steps that hold up nobody.
"""

import sqlite3
from datetime import UTC, datetime, timedelta

from gateway.outbox.entry import Flag

KEEP = timedelta(days=400)
AHEAD = timedelta(days=4)  # more than may lie ahead of its receipt, wherever the site's day begins
STEP_ROWS = 2_000
_NEWEST = (
    "SELECT max(received) FROM (SELECT received, flags FROM events ORDER BY seq DESC LIMIT 10000)"
    f" WHERE NOT flags & {Flag.UNSYNCED}"
)
_OWNERS = "SELECT id FROM devices UNION SELECT device FROM lifetimes"
_DAYS = (
    "DELETE FROM tallies WHERE device = ?1 AND (day, measure) IN (SELECT day, measure FROM tallies"
    " WHERE device = ?1 AND day < ?2 UNION ALL SELECT day, measure FROM tallies"
    " WHERE device = ?1 AND day > ?3 LIMIT ?4)"
)
_MINUTES = (
    "DELETE FROM coverage WHERE device = ?1 AND hour IN (SELECT hour FROM coverage WHERE device = ?1 AND hour < ?2"
    " UNION ALL SELECT hour FROM coverage WHERE device = ?1 AND hour > ?3 LIMIT ?4)"
)


def remove_old_days(conn: sqlite3.Connection, now: datetime) -> int:
    """Remove one step of what is too old or too far ahead, in the running transaction; say how many rows went.

    What came later than ``now`` came while our clock was ahead, or it is behind: then nothing lies too far ahead.
    """
    newest = conn.execute(_NEWEST).fetchone()[0]
    latest = now if newest is None else max(now, datetime.fromtimestamp(newest / 1000, UTC))
    first, last = (now - KEEP).astimezone(UTC), (latest + AHEAD).astimezone(UTC)
    days = (first.date().isoformat(), last.date().isoformat())
    hours = (int(first.timestamp()) // 3600, int(last.timestamp()) // 3600)
    removed = 0
    for (owner,) in conn.execute(_OWNERS).fetchall():
        for query, bounds in ((_DAYS, days), (_MINUTES, hours)):
            if removed < STEP_ROWS:
                removed += conn.execute(query, (owner, *bounds, STEP_ROWS - removed)).rowcount
    return removed
