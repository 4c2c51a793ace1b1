"""Check the store when the daemon starts; move a damaged file aside and save what can be read.

The daemon always starts: receiving must not wait for a person. The damaged file is kept for one.
"""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.outbox import connection, schema, statements
from gateway.outbox.positions import all_names, load

# A full check reads the whole file; above this size (some seconds on a slow card) it runs after the start.
CHECK_AT_START_BYTES = 128 * 1024 * 1024
_STEP_ROWS = 500
_PATIENCE_ROWS = 5_000
_TABLES = ("sinks", "arrears", "letters", "devices", "tallies", "meta")


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a damaged store."""

    problem: str
    kept_as: Path
    events: int
    lost: int  # events that were owed to a sink and could not be read


def check(path: Path, *, quick: bool) -> str | None:
    """Say what is wrong with the store's file, None when nothing was found.

    ``quick`` leaves out the check of every page, which takes time in proportion to the file.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        conn = sqlite3.connect(path, isolation_level=None)
        try:
            conn.execute("PRAGMA query_only=1")
            for table in ("events", *_TABLES):
                if conn.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
                    conn.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
            if not quick:
                found = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
                return None if found == "ok" else str(found)
        finally:
            conn.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None


def move_aside(path: Path) -> Path:
    """Rename the store's three files, so that nothing of them is touched again."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return kept


def salvage(kept: Path, fresh: sqlite3.Connection, problem: str) -> Salvaged:
    """Copy everything readable from the damaged file into the fresh store."""
    try:
        old = sqlite3.connect(kept, isolation_level=None)
        old.execute("PRAGMA query_only=1")
        old.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        return Salvaged(problem, kept, 0, 0)
    schema.migrate(fresh)
    fresh.execute("BEGIN IMMEDIATE")
    for table in _TABLES:
        _copy_table(old, fresh, table)
    events = _copy_events(old, fresh)
    lost = _count_lost(fresh)
    fresh.execute("COMMIT")
    old.close()
    return Salvaged(problem, kept, events, lost)


def _copy_table(old: sqlite3.Connection, fresh: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in fresh.execute(f"PRAGMA table_info({table})")]
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    try:
        for row in old.execute(f"SELECT {names} FROM {table}"):
            fresh.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", row)
    except sqlite3.DatabaseError:
        # The rest of this table cannot be read; what came before stays.
        return


def _copy_events(old: sqlite3.Connection, fresh: sqlite3.Connection) -> int:
    marks = ", ".join("?" * len(statements.ENTRY_COLUMNS.split(",")))
    copied = 0
    for rows in _readable(old):
        copied += fresh.executemany(
            f"INSERT OR IGNORE INTO events ({statements.ENTRY_COLUMNS}) VALUES ({marks})",
            rows,
        ).rowcount
    fresh.execute(statements.KEEP_HEAD)
    return copied


def _readable(old: sqlite3.Connection) -> Iterator[list[tuple[object, ...]]]:
    """Walk the log by number; where reading fails go on row by row, behind a large hole in growing leaps."""
    after, step, failures = -1, _STEP_ROWS, 0
    last = _last_seq(old)
    while after < last:
        try:
            rows = old.execute(statements.READ_LOG, (after, last, step)).fetchall()
        except sqlite3.DatabaseError:
            if step > 1:
                step = 1
                continue
            failures += 1
            after += 1 if failures < _PATIENCE_ROWS else 2 ** min(failures - _PATIENCE_ROWS, 20)
            continue
        if not rows:
            return
        yield rows
        after, step, failures = rows[-1][0], _STEP_ROWS, 0


def _last_seq(old: sqlite3.Connection) -> int:
    for query in (statements.LAST_SEQ, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'head'"):
        try:
            row = old.execute(query).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row and row[0]:
            return int(row[0])
    return 2**31


def _count_lost(fresh: sqlite3.Connection) -> int:
    """Account, per sink, for owed events that did not come through."""
    head = int(fresh.execute(statements.GET_META, ("head",)).fetchone()[0])
    worst = 0
    for name in all_names(fresh):
        position = load(fresh, name)
        if position is None:
            continue
        ranges = [(position.cursor, head), *((a.first, a.last) for a in position.arrears if not a.replay)]
        there = sum(
            fresh.execute("SELECT count(*) FROM events WHERE seq > ? AND seq <= ?", owed).fetchone()[0]
            for owed in ranges
        )
        missing = position.waiting(head) - there
        if missing > 0:
            fresh.execute("UPDATE sinks SET lost = lost + ? WHERE name = ?", (missing, name))
            worst = max(worst, missing)
    return worst


def open_checked(path: Path, *, max_bytes: int, unclean: bool) -> tuple[sqlite3.Connection, Salvaged | None]:
    """Open the store for writing; a damaged one is replaced by what can be saved of it."""
    quick = not unclean or (path.exists() and path.stat().st_size > CHECK_AT_START_BYTES)
    problem = check(path, quick=quick)
    if problem is None:
        try:
            conn = connection.open_writer(path, max_bytes=max_bytes)
            schema.migrate(conn)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "disk" not in str(error):
                raise
            problem = str(error)
        else:
            return conn, None
    kept = move_aside(path)
    conn = connection.open_writer(path, max_bytes=max_bytes)
    schema.migrate(conn)
    return conn, salvage(kept, conn, problem)
