"""Look at a store that came from elsewhere before anything is asked of it: it may hold statements of its own."""

import re
import sqlite3

from gateway.backup.about import NotABackup
from gateway.outbox import schema

_NAMES = schema.NAMES | {"events_alarms", "_sqlite_migrations"}
_THEIRS = ("sqlite_", "idx_")  # of SQLite itself, and indexes as sqlite_utils names them
_PLAIN = re.compile(r"create\s+(table|(unique\s+)?index)\s", re.IGNORECASE)  # neither virtual nor temporary
_OBJECTS = "SELECT type, name, sql FROM sqlite_master"
_STEPS = 100_000  # of SQLite's machine between two looks
_FREE_STEPS = 200_000_000  # some seconds
_STEPS_PER_BYTE = 100  # a check of every row takes fewer


def distrust(conn: sqlite3.Connection, size: int) -> None:
    """Let nothing run that a backup of ours does not hold, nor for ever. Raises `NotABackup`, or `sqlite3.Error`."""
    left = (_FREE_STEPS + _STEPS_PER_BYTE * size) // _STEPS

    def looked() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    conn.set_progress_handler(looked, _STEPS)
    conn.execute("PRAGMA trusted_schema=OFF")
    for kind, name in strangers(conn):
        raise NotABackup(
            f"The store in the backup holds a {kind} {name[:60]!r}, which is none of the gateway's."
        )


def strangers(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """Name what is in a store and not of our making, with its kind."""
    return [
        (str(kind), str(name))
        for kind, name, sql in conn.execute(_OBJECTS).fetchall()
        if not _is_ours(str(kind), str(name), sql)
    ]


def leave_out(conn: sqlite3.Connection) -> None:
    """Take out of a copy what is not of our making."""
    for kind, name in strangers(conn):
        if name not in _NAMES or kind in {"view", "trigger"}:
            quoted = name.replace('"', '""')
            conn.execute(f'DROP {kind} IF EXISTS "{quoted}"')


def _is_ours(kind: str, name: str, sql: object) -> bool:
    if kind not in {"table", "index"} or (name not in _NAMES and not name.startswith(_THEIRS)):
        return False
    if kind == "table" and name.startswith("idx_"):
        return False
    return sql is None or _PLAIN.match(str(sql)) is not None
