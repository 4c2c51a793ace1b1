"""The rows of the pictures that the owner keeps: which file belongs to which event, and how old it is.

A row comes with its event in one transaction, after the file; a file without a row belongs to nobody.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.outbox.entry import Flag
from gateway.outbox.slots import slot

_ADD = (
    "INSERT OR IGNORE INTO pictures (hash, event, device, person, received, unsynced, bytes)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
    # The event in the log must say so: of a repeat it may not, and one whose person was erased never does.
    f" WHERE EXISTS (SELECT 1 FROM events WHERE {slot('id')} = {slot('?2')} AND id BETWEEN ?2 AND ?2"
    " AND instr(body, ?1) AND NOT flags & ?8)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture of one event."""

    hash: str  # SHA-256 of the file, its name
    event: str
    device: str
    person: str | None  # the mark of the person (`persons.mark_of`), so that it can be erased
    bytes: int


def add(conn: sqlite3.Connection, pictures: Iterable[Picture], received: int, *, unsynced: bool) -> None:
    """Note pictures that the log refers to; one of a record whose person was erased is not noted again."""
    conn.executemany(
        _ADD,
        [(p.hash, p.event, p.device, p.person, received, unsynced, p.bytes, Flag.ERASED) for p in pictures],
    )


def date_anew(conn: sqlite3.Connection, now: int) -> None:
    """Let what came while our clock was wrong age from now on; ``now`` must be an instant to believe."""
    conn.execute(
        "UPDATE pictures SET received = ?1, unsynced = 0 WHERE unsynced = 1 OR received > ?1", (now,)
    )


def older_than(conn: sqlite3.Connection, received_before: int) -> list[str]:
    """Name the files of pictures that have had their time, and forget the rows."""
    return _forget(conn, "received < ?", (received_before,))


def beyond(conn: sqlite3.Connection, max_bytes: int) -> list[str]:
    """Name the oldest files until the rest has room, and forget their rows."""
    going: list[str] = []
    left = total(conn)[1] - max_bytes
    if left > 0:
        for name, size in conn.execute(
            "SELECT hash, max(bytes) FROM pictures GROUP BY hash ORDER BY max(received), hash"
        ):
            going.append(name)
            left -= size
            if left <= 0:
                break
    for name in going:
        conn.execute("DELETE FROM pictures WHERE hash = ?", (name,))
    return going


def of_events(conn: sqlite3.Connection, events: Sequence[str]) -> list[str]:
    """Name the files of these events, and forget the rows."""
    return [name for event in events for name in _forget(conn, "event = ?", (event,))]


def forget_missing(conn: sqlite3.Connection, there: Iterable[str]) -> None:
    """Forget the rows of files that are not there: no row ever names a file that is gone."""
    if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'pictures'").fetchone():
        known = {row[0] for row in conn.execute("SELECT DISTINCT hash FROM pictures")}
        conn.executemany("DELETE FROM pictures WHERE hash = ?", [(name,) for name in known - set(there)])


def total(conn: sqlite3.Connection) -> tuple[int, int]:
    """Count the files and their bytes."""
    row = conn.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM (SELECT max(bytes) AS size FROM pictures GROUP BY hash)"
    ).fetchone()
    return int(row[0]), int(row[1])


def known(conn: sqlite3.Connection, names: Iterable[str]) -> set[str]:
    """Say which of these files belong to an event."""
    query = "SELECT 1 FROM pictures WHERE hash = ? LIMIT 1"
    return {name for name in names if conn.execute(query, (name,)).fetchone()}


def _forget(conn: sqlite3.Connection, which: str, values: tuple[object, ...]) -> list[str]:
    found = [
        row[0] for row in conn.execute(f"SELECT DISTINCT hash FROM pictures WHERE {which}", values).fetchall()
    ]
    conn.execute(f"DELETE FROM pictures WHERE {which}", values)
    return found
