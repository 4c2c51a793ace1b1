"""Letters: what could not be read, adopted or delivered, kept for a person with the reason.

Bounded per sender and in all. When a bound is hit the oldest letters of the noisiest sender go, so that it
never pushes out somebody else's; events that a sink rejected are never removed to make room.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from gateway.outbox import statements
from gateway.outbox.entry import Entry, Flag, dumps


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter as a person sees it."""

    number: int
    stage: str
    sink: str
    sender: str
    reason: str
    received: int  # ms
    retry: bool
    head: Mapping[str, object]
    body: bytes

    @property
    def entry(self) -> Entry | None:
        """The log entry inside a letter of the deliver stage; None when the disk has damaged it."""
        if self.stage != "deliver":
            return None
        try:
            return Entry(**self.head)  # type: ignore[arg-type]  # written by `add_rejected`
        except TypeError:
            return None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many letters are kept."""

    per_sender: int = 100
    in_all: int = 1_000
    total_bytes: int = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """A body that could not be read, as it came in, to be kept as a letter."""

    stage: str
    sender: str
    reason: str
    received: int  # ms
    head: Mapping[str, object]
    body: bytes


_COLUMNS = "number, stage, sink, sender, reason, received, retry, head, body"
_ERASED = "SELECT flags, body FROM events WHERE seq = ? AND flags & ?"
_BODIES = "FROM letters WHERE stage IN ('parse', 'adopt')"  # the other letters hold events, not bodies


def add_body(conn: sqlite3.Connection, letter: Body, bounds: Bounds) -> int:
    """Keep a body; give how many older letters had to go for it."""
    share = bounds.total_bytes // 4  # one sender never takes more than a quarter of the space
    body, head = letter.body, dict(letter.head)
    if len(body) > share:
        body, head["cut"] = body[:share], True
    removed = _make_room_for_sender(conn, letter.sender, len(body), share, bounds.per_sender)
    removed += _make_room(conn, len(body), bounds)
    row = (letter.stage, "", letter.sender, letter.reason, letter.received, dumps(head), body)
    _add(conn, *row)
    return removed


def add_rejected(conn: sqlite3.Connection, sink: str, entry: Entry, reason: str, received: int) -> None:
    """Keep an event that a sink will never take, with all it needs to be sent again."""
    erased = conn.execute(_ERASED, (entry.seq, Flag.ERASED)).fetchone()
    if erased is not None:  # the person in it was removed while it was on its way
        entry = replace(entry, flags=erased[0], body=erased[1], personal=None)
    _add(conn, "deliver", sink, entry.device, reason, received, dumps(asdict(entry)), b"")


def _add(conn: sqlite3.Connection, *row: object) -> None:
    conn.execute(statements.ADD_LETTER, row)
    conn.execute(statements.KEEP_LETTER_NUMBER)


def _make_room_for_sender(conn: sqlite3.Connection, sender: str, size: int, share: int, most: int) -> int:
    """Remove a sender's oldest until its new one fits into its own bounds."""
    rows = conn.execute(
        f"SELECT number, length(body) {_BODIES} AND sender = ? ORDER BY number", (sender,)
    ).fetchall()
    taken, removed = sum(length for _, length in rows), 0
    while rows[removed:] and (len(rows) - removed >= most or taken + size > share):
        conn.execute("DELETE FROM letters WHERE number = ?", (rows[removed][0],))
        taken -= rows[removed][1]
        removed += 1
    return removed


def _make_room(conn: sqlite3.Connection, size: int, bounds: Bounds) -> int:
    """Remove the oldest of whoever takes the most, until one more fits into the bounds of all."""
    removed = 0
    while True:
        count, taken = conn.execute(f"SELECT count(*), coalesce(sum(length(body)), 0) {_BODIES}").fetchone()
        too_many = count >= bounds.in_all
        if not count or not (too_many or taken + size > bounds.total_bytes):
            return removed
        most = "count(*)" if too_many else "sum(length(body))"
        conn.execute(
            f"DELETE FROM letters WHERE number = (SELECT min(number) {_BODIES} GROUP BY sender ORDER BY {most} DESC)"
        )
        removed += 1


def find(
    conn: sqlite3.Connection, *, stage: str | None = None, sink: str | None = None, limit: int = 1_000
) -> Iterator[Letter]:
    """List letters, oldest first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM letters WHERE (?1 IS NULL OR stage = ?1) AND (?2 IS NULL OR sink = ?2)"
        " ORDER BY number LIMIT ?3",
        (stage, sink, limit),
    )
    return (_letter(row) for row in rows)


def get(conn: sqlite3.Connection, number: int) -> Letter | None:
    """Read one letter."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM letters WHERE number = ?", (number,)).fetchone()
    return None if row is None else _letter(row)


def to_retry(conn: sqlite3.Connection, sink: str) -> Letter | None:
    """Give the oldest letter that a person wants a sink to try again."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM letters WHERE sink = ? AND retry = 1 ORDER BY number LIMIT 1",
        (sink,),
    ).fetchone()
    return None if row is None else _letter(row)


def counts(conn: sqlite3.Connection) -> dict[str, int]:
    """Count letters by stage."""
    return dict(conn.execute("SELECT stage, count(*) FROM letters GROUP BY stage").fetchall())


def _letter(row: tuple[int, str, str, str, str, int, int, str, bytes]) -> Letter:
    number, stage, sink, sender, reason, received, retry, head, body = row
    return Letter(number, stage, sink, sender, reason, received, bool(retry), _head(head), body)


def _head(text: str) -> Mapping[str, object]:
    """Read a letter's head; one that the disk has damaged says nothing, and keeps nobody from the other letters."""
    try:
        head = json.loads(text)
    except ValueError:
        return {}
    return head if isinstance(head, dict) else {}
