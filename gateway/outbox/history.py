"""Let go of days that lie long back: their totals and minutes leave the store, lifetimes stay.

Days are kept for longer than the log, because a year compares with the one before it. A day that a device put
into 1970 goes at once, with the next round.
"""

import sqlite3
from datetime import UTC, datetime, timedelta

KEEP = timedelta(days=400)
_OWNERS = "SELECT id FROM devices UNION SELECT device FROM lifetimes"
_DAYS = "DELETE FROM tallies WHERE device = ? AND day < ?"
_MINUTES = "DELETE FROM coverage WHERE device = ? AND hour < ?"


def remove_old_days(conn: sqlite3.Connection, now: datetime) -> int:
    """Remove what is older than that, inside the running transaction; say how many rows went."""
    first = (now - KEEP).astimezone(UTC)
    hour = int(first.timestamp()) // 3600
    removed = 0
    for (owner,) in conn.execute(_OWNERS).fetchall():
        removed += conn.execute(_DAYS, (owner, first.date().isoformat())).rowcount
        removed += conn.execute(_MINUTES, (owner, hour)).rowcount
    return removed
