"""Check the store when the daemon starts; replace a damaged file by what can be read of it.

The daemon always starts: receiving must not wait for a person. The damaged file is kept for one.

At every moment one of the two is there: the damaged file in its place, or the finished rescue. A start that
is interrupted begins again, or goes on, accordingly.
"""

import contextlib
import re
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anyio import to_thread

from gateway import durable
from gateway.errors import StoreUnavailable
from gateway.outbox import connection, rescue, schema, statements
from gateway.outbox.damage import READ_ERRORS, is_unreadable

_SIDES = ("-wal", "-shm", "-journal")
_PREPARED = (
    *(statements.NEWEST_OF_ID, statements.ONE_REVISION, statements.INSERT_EVENT, statements.READ_LOG),
    *(statements.MOVE_TALLY, statements.GET_DEVICE, statements.GET_SINK, statements.ARREARS),
    *(statements.ADD_ARREARS, statements.ADD_LETTER, statements.PUT_META),
)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a damaged store."""

    problem: str
    kept_as: Path
    events: int
    lost: int  # events that were owed to a sink and could not be read
    places_lost: bool = False  # nobody knows how far each sink had got
    book_lost: bool = False  # pages of devices are missing, or were made anew of the log
    altered: Sequence[str] = ()  # some of the entries that could be read and were not what was written
    untold: bool = False  # places or counters are gone: nobody can say how many events were lost


def kept_beside(directory: Path) -> list[Path]:
    """Give the damaged stores that were set aside and that nobody has taken away yet."""
    kept = sorted(directory.glob(f"{connection.FILE_NAME}.damaged-*"))
    return [one for one in kept if not one.name.endswith(_SIDES)]


def check(path: Path, *, whole: bool, known: bool = False) -> str | None:
    """Say what is wrong with the store's file, None when nothing was found.

    ``whole`` looks at every page, which takes time in proportion to the file. ``known``: there was a store before.
    """
    if not path.exists() or path.stat().st_size == 0:
        # SQLite would throw away what is in the WAL of an empty file.
        wal = _beside(path, "-wal")
        emptied = known and path.exists()
        return "the file is empty" if emptied or (wal.exists() and wal.stat().st_size) else None
    return _close_after_look(connection.open_reader(path), whole=whole)


async def check_beside(path: Path) -> str | None:
    """Look at every page while the store is in use; a stop does not wait for the end."""
    conn = connection.open_reader(path)
    try:
        return await to_thread.run_sync(partial(_close_after_look, conn, whole=True), abandon_on_cancel=True)
    finally:
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed: it has come to its end
            conn.interrupt()


def _close_after_look(conn: sqlite3.Connection, *, whole: bool) -> str | None:
    with contextlib.closing(conn):
        return _look(conn, whole=whole)


def _look(conn: sqlite3.Connection, *, whole: bool) -> str | None:
    try:
        conn.execute("PRAGMA query_only=1")
        if conn.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION:
            names = {row[0] for row in conn.execute("SELECT name FROM sqlite_master")}
            missing = schema.NAMES - names
            if missing:
                return f"{', '.join(sorted(missing))} is missing"
            if schema.is_altered(conn):
                return "the list of tables is not as it was written"
            for statement in _PREPARED:
                conn.execute(f"EXPLAIN {statement}", _blanks(statement))
            for table in schema.TABLES:
                conn.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()
        if whole:
            found = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
            return None if found == "ok" else str(found)
    except READ_ERRORS as error:
        altered = (
            getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR
        )  # a column has another name
        if not altered and not is_unreadable(error):
            raise
        return str(error)
    return None


def _blanks(statement: str) -> tuple[None, ...]:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    return (None,) * (max(numbered) if numbered else statement.count("?"))


def finish(path: Path) -> None:
    """Clear up after a start that was interrupted while it saved a damaged store."""
    fresh = _fresh(path)
    if path.exists():
        _remove(fresh)  # not finished, or not yet in use: the damaged file is still there, and is tried again
    elif fresh.exists():
        _put_in_place(fresh, path, _free_name(path))


def replace(path: Path, problem: str) -> Salvaged:
    """Put a fresh store with everything readable in the place of the damaged one, which is kept beside it."""
    fresh, kept = _fresh(path), _free_name(path)
    _remove(fresh)
    conn = sqlite3.connect(fresh, isolation_level=None)
    try:
        # Nothing here has to survive a crash before the end.
        conn.execute(f"PRAGMA page_size={connection.PAGE_BYTES}")
        conn.execute("PRAGMA journal_mode=MEMORY")
        conn.execute("PRAGMA synchronous=OFF")
        schema.migrate(conn)
        report = rescue.Rescue(path, conn).run()
    except (sqlite3.Error, OSError) as error:
        conn.close()
        _remove(fresh)
        raise StoreUnavailable(
            f"The store {path} is damaged ({problem}) and what can be read of it cannot be saved ({error}): "
            f"free at least {_size(path) >> 20} MiB on its disk."
        ) from error
    conn.close()
    durable.sync(fresh)
    if path.exists():
        path.rename(kept)
    _put_in_place(fresh, path, kept)
    told = (report.events, report.lost, report.places_lost, report.book_lost, report.altered, report.untold)
    return Salvaged(problem, kept, *told)


def _put_in_place(fresh: Path, path: Path, kept: Path) -> None:
    """Give the rescue the store's name, after what belongs to the damaged file is out of its way."""
    for suffix in _SIDES:
        if _beside(path, suffix).exists():
            _beside(path, suffix).rename(_beside(kept, suffix))
    fresh.rename(path)


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while any(_beside(kept, suffix).exists() for suffix in ("", *_SIDES)):
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    return kept


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.rescue")


def _remove(fresh: Path) -> None:
    for suffix in ("", *_SIDES):
        _beside(fresh, suffix).unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    parts = (_beside(path, suffix) for suffix in ("", "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
