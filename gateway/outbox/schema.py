"""Brings the tables of a store to this version, and knows its own.

sqlite_utils is imported only when there is something to migrate: it costs 5 MB and 40 ms that a daemon
with an up-to-date store does not need.
"""

import hashlib
import json
import sqlite3

from gateway.errors import StoreUnavailable
from gateway.outbox import slots, versions

VERSION = 3
_SIGNED = "schema"  # in `meta`
_STEPS = {"0001_first", "0002_truth", "0003_slots"}
_REBUILT_AT_ONCE = 1_000_000  # rows; some seconds on a slow box
TABLES = (
    *("events", "sinks", "arrears", "letters", "devices", "tallies", "meta"),
    *("accounts", "polls", "held", "verdicts", "coverage", "zones", "lifetimes", "pictures"),
)
NAMES = {
    *TABLES,
    "events_by_id",
    "events_heartbeats",
    "letters_to_retry",
    "held_by_device",
    "pictures_by_person",
    "pictures_by_file",
}  # not events_alarms: it holds nothing of its own, and is made again when it is missing


def sign(conn: sqlite3.Connection) -> None:
    """Remember how the tables are written down, so that damage of it shows at the next start."""
    digest = _digest(conn)
    if _signed(conn) != digest:
        conn.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_SIGNED, digest))


def is_altered(conn: sqlite3.Connection) -> bool:
    """Say whether the tables are written down otherwise than when they were signed."""
    return _signed(conn) not in (None, _digest(conn))


def _signed(conn: sqlite3.Connection) -> str | None:
    row = conn.execute("SELECT value FROM meta WHERE key = ?", (_SIGNED,)).fetchone()
    return None if row is None else str(row[0])


def _digest(conn: sqlite3.Connection) -> str:
    # What a person has added with a shell is not ours.
    written = conn.execute(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
    ours = [[name, sql] for name, sql in written if name in NAMES]
    return hashlib.sha256(json.dumps(ours).encode()).hexdigest()


def migrate(conn: sqlite3.Connection) -> None:
    """Bring the store to this version; each step and its record are one transaction."""
    version = conn.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION and not _is_ours(conn):
        raise StoreUnavailable(
            f"The store was written by a newer gateway (its version is {version}, this one knows {VERSION}): "
            "install the newer gateway again, or set another store.path."
        )
    if version == VERSION:
        _rebuild_when_small(conn)
        return
    from sqlite_utils import Database, Migrations  # noqa: PLC0415 - see the module docstring

    if version:
        # The tables are about to change: a start that is killed in between must not look like damage to the next.
        conn.execute("DELETE FROM meta WHERE key = ?", (_SIGNED,))
    migrations = Migrations("gateway")
    migrations(name="0001_first")(versions.first)
    migrations(name="0002_truth")(versions.truth)
    migrations(name="0003_slots")(versions.sums)
    migrations.apply(Database(conn, execute_plugins=False))
    conn.execute(f"PRAGMA user_version={VERSION}")
    _rebuild_when_small(conn)


def _is_ours(conn: sqlite3.Connection) -> bool:
    """Say whether no step was taken that this version does not know: then the version in the file's head is damaged."""
    steps = {
        row[0] for row in conn.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'gateway'")
    }
    return steps == _STEPS and not is_altered(conn)


def _rebuild_when_small(conn: sqlite3.Connection) -> None:
    """Put the index of the ids in the order of their minutes, at the first start that finds few enough rows.

    The index of alarms comes with it, and again when it is gone.

    Every statement finds its way in the old order too, so a large store starts at once and changes when it is small.
    """
    there = dict(conn.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
    wanted = {"events_by_id": slots.INDEX, "events_alarms": slots.ALARMS_INDEX}
    other = [name for name, sql in wanted.items() if there.get(name) != sql]
    if not other or "events_by_id" not in there:
        return  # a store without the index of the ids is a damaged one, and not for us
    first, last = conn.execute(
        "SELECT (SELECT min(seq) FROM events), (SELECT max(seq) FROM events)"
    ).fetchone()
    if last is not None and last - first >= _REBUILT_AT_ONCE:
        return
    conn.execute("PRAGMA temp_store=FILE")  # sorting must not take the memory of the box
    conn.execute("BEGIN IMMEDIATE")
    try:
        for name in other:
            conn.execute(f"DROP INDEX IF EXISTS {name}")
            conn.execute(wanted[name])
        sign(conn)  # with the change: killed before it, the next start would take the new index for damage
        conn.execute("COMMIT")
    except BaseException:  # however it ends, a kill by a signal too, the index is the old one or the new one
        conn.execute("ROLLBACK")
        raise
    finally:
        conn.execute("PRAGMA temp_store=MEMORY")
