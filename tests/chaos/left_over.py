"""What a power cut left of a daemon's disk, held against what devices had been told before it."""

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recorded_daemon import Life, Mark

from gateway.control.accounts import audit
from gateway.outbox import positions
from gateway.outbox.connection import FILE_NAME


@dataclass(frozen=True)
class Remains:
    """What one cut left."""

    owed: int  # statements that devices had been told are safe
    lost: int  # … and are not in the store
    broken: str | None  # why it is no sound store


def look(store: Path, life: Life, place: int) -> Remains:
    """Open the store as SQLite does after a cut, and look for everything by its id."""
    numbers = life.acknowledged(place)
    try:
        kept = _sound(store)
    except (sqlite3.Error, AssertionError) as error:
        return Remains(len(numbers), 0, str(error) or type(error).__name__)
    return Remains(len(numbers), sum(life.told[number].isdisjoint(kept) for number in numbers), None)


def _sound(store: Path) -> set[Mark]:
    """Give what is in the log after checking that the store is in order."""
    if not (store / FILE_NAME).exists():
        return set()
    with contextlib.closing(sqlite3.connect(store / FILE_NAME, isolation_level=None)) as conn:
        conn.execute("PRAGMA synchronous=OFF")  # this copy need not survive
        assert ("ok",) == conn.execute("PRAGMA integrity_check").fetchone(), "not intact"
        if not conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'pictures'").fetchone():
            return set()  # cut before it was ready
        for told in audit(conn):
            assert told["balanced"], told["sentence"]
        accepted, given = conn.execute(
            "SELECT (SELECT sum(events) FROM devices), max(seq) FROM events"
        ).fetchone()
        assert accepted == given, f"{accepted} accepted, {given} in the log"
        for (name,) in conn.execute("SELECT DISTINCT hash FROM pictures"):
            picture = store / "pictures" / f"{name}.jpg"
            assert picture.exists(), "a picture of an event is missing"
            assert name == hashlib.sha256(picture.read_bytes()).hexdigest(), "a picture is not whole"
        return set(conn.execute("SELECT id, revision FROM events"))


def still_owed(store: Path, sink: str) -> set[Mark]:
    """Give what a sink has not had according to the store."""
    with contextlib.closing(sqlite3.connect(store / FILE_NAME, isolation_level=None)) as conn:
        place = _place(conn, sink)
        log = conn.execute("SELECT seq, id, revision FROM events")
        return {(id_, revision) for seq, id_, revision in log if any(a < seq <= b for a, b in place)}


def _place(conn: sqlite3.Connection, sink: str) -> Iterable[tuple[float, float]]:
    if not conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'pictures'").fetchone():
        return []
    position = positions.load(conn, sink)
    if position is None:
        return [(0, float("inf"))]
    return [(position.cursor, float("inf")), *((owed.first, owed.last) for owed in position.arrears)]
