"""Letters: what could not be read, adopted or delivered, kept for a person with the reason.

Bounded per sender and in all. When a bound is hit the sender's own oldest parse letters go first, so that
a noisy sender never pushes out somebody else's; events that a sink rejected are never removed to make room.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from gateway.outbox import statements
from gateway.outbox.entry import Entry, dumps


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
        """The log entry inside a letter of the deliver stage."""
        return Entry(**self.head) if self.stage == "deliver" else None  # type: ignore[arg-type]  # written by `from_entry`


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many letters are kept."""

    per_sender: int = 100
    in_all: int = 1_000
    total_bytes: int = 50 * 1024 * 1024


_COLUMNS = "number, stage, sink, sender, reason, received, retry, head, body"


def add_parse(
    conn: sqlite3.Connection,
    *,
    stage: str,
    sender: str,
    reason: str,
    received: int,
    head: Mapping[str, object],
    body: bytes,
    bounds: Bounds,
) -> int:
    """Keep a body that could not be read; give how many older letters had to go for it."""
    removed = _make_room(conn, sender, len(body), bounds)
    conn.execute(statements.ADD_LETTER, (stage, "", sender, reason, received, dumps(head), body))
    return removed


def add_rejected(conn: sqlite3.Connection, sink: str, entry: Entry, reason: str, received: int) -> None:
    """Keep an event that a sink will never take, with all it needs to be sent again."""
    conn.execute(
        statements.ADD_LETTER, ("deliver", sink, entry.device, reason, received, dumps(asdict(entry)), b"")
    )


def _make_room(conn: sqlite3.Connection, sender: str, size: int, bounds: Bounds) -> int:
    mine = conn.execute(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM letters WHERE stage = 'parse' AND sender = ?",
        (sender,),
    ).fetchone()
    total = conn.execute(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM letters WHERE stage = 'parse'"
    ).fetchone()
    share = bounds.total_bytes // 4  # one sender never takes more than a quarter of the space
    removed = 0
    if mine[0] >= bounds.per_sender or mine[1] + size > share:
        removed += _remove_oldest(conn, mine[0] - bounds.per_sender + 1, mine[1] + size - share, sender)
    if total[0] - removed >= bounds.in_all or total[1] + size > bounds.total_bytes:
        loudest = conn.execute(
            "SELECT sender FROM letters WHERE stage = 'parse' GROUP BY sender ORDER BY count(*) DESC, sum(length(body)) DESC"
        ).fetchone()[0]
        removed += _remove_oldest(
            conn, total[0] - removed - bounds.in_all + 1, total[1] + size - bounds.total_bytes, loudest
        )
    return removed


def _remove_oldest(conn: sqlite3.Connection, count: int, size: int, sender: str) -> int:
    removed = freed = 0
    rows = conn.execute(
        "SELECT number, length(body) FROM letters WHERE stage = 'parse' AND sender = ? ORDER BY number",
        (sender,),
    ).fetchall()
    for number, length in rows:
        if removed >= count and freed >= size:
            break
        conn.execute("DELETE FROM letters WHERE number = ?", (number,))
        removed += 1
        freed += length
    return removed


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
    return Letter(number, stage, sink, sender, reason, received, bool(retry), json.loads(head), body)
