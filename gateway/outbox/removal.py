"""How rows leave the log, so that nothing about a person is left where they were.

SQLite writes over what a deleted row held when `secure_delete` is ON, which it is on every connection that writes
(`connection.py`), and so also when an erasure changes a row. FAST leaves out the pages that become free. These hold
not only what was deleted: rows that stay have moved off them when neighbours were joined. So FAST is right only
where no row of a person can ever have been.
"""

import sqlite3

# The rows to remove: the caller fills it.
GOING = "CREATE TEMP TABLE IF NOT EXISTS going (seq INTEGER PRIMARY KEY)"
_DELETE = "DELETE FROM events WHERE seq IN (SELECT seq FROM going)"
# No way leads from a people counter to personal data (`docs/privacy.md`). Pages of the book are never removed, so
# that a site which once had anything else stays one that has.
_COUNTERS = "source IN ('people_counter', 'gateway')"
_IMPERSONAL = "(kind IN ('count', 'heartbeat', 'occupancy', 'liveness', 'alarm') AND personal IS NULL)"
_TELLS_OF_PEOPLE = (
    f"SELECT EXISTS (SELECT 1 FROM devices WHERE NOT {_COUNTERS})"
    f" OR EXISTS (SELECT 1 FROM events WHERE seq IN (SELECT seq FROM going) AND NOT {_IMPERSONAL})"
)


def remove(conn: sqlite3.Connection) -> int:
    """Delete the rows in ``going``, inside the writer's transaction; say how many there were."""
    if conn.execute(_TELLS_OF_PEOPLE).fetchone()[0]:
        return int(conn.execute(_DELETE).rowcount)
    # Counts are not worth a second write: their pages are used again.
    conn.execute("PRAGMA secure_delete=FAST")
    try:
        return int(conn.execute(_DELETE).rowcount)
    finally:
        conn.execute("PRAGMA secure_delete=ON")
