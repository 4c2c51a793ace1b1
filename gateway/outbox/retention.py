"""Remove what may go from the log.

In this order: settled and old; under pressure settled heartbeats, then all that is settled; and only if
the owner said so what a sink has not had yet, heartbeats first.

Every function works in small steps inside the writer's transactions, so that receiving goes on beside it.
"""

import sqlite3
from dataclasses import dataclass

from gateway.outbox import statements

STEP_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Retained:
    """What a removal must respect."""

    settled_up_to: int  # every configured sink has had everything up to here
    on_their_way: list[tuple[int, int]]  # ranges (first, last] that a sink may have in flight


@dataclass(frozen=True, slots=True)
class Removed:
    """What one step removed."""

    settled: int = 0
    owed: int = 0


def remove_old(conn: sqlite3.Connection, *, settled_up_to: int, received_before: int) -> Removed:
    """Remove entries that every sink has had and that are older than the keep-time."""
    rows = conn.execute(
        "SELECT seq FROM (SELECT seq, received FROM events WHERE seq <= ? ORDER BY seq LIMIT ?) WHERE received < ?",
        (settled_up_to, STEP_ROWS, received_before),
    ).fetchall()
    return Removed(settled=_remove(conn, [row[0] for row in rows]))


def remove_settled(
    conn: sqlite3.Connection, *, settled_up_to: int, heartbeats_from: int
) -> tuple[Removed, int | None]:
    """Make room from what every sink has had: heartbeats first, then the oldest of all.

    ``heartbeats_from`` is where the search for heartbeats goes on; the second value is where it goes on
    next time, None when there are no more.
    """
    rows = conn.execute(
        "SELECT seq, kind FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        (heartbeats_from, settled_up_to, STEP_ROWS),
    ).fetchall()
    beats = [seq for seq, kind in rows if kind == "heartbeat"]
    if rows:
        return Removed(settled=_remove(conn, beats)), rows[-1][0]
    oldest = conn.execute(
        "SELECT seq FROM events WHERE seq <= ? ORDER BY seq LIMIT ?", (settled_up_to, STEP_ROWS)
    )
    return Removed(settled=_remove(conn, [row[0] for row in oldest.fetchall()])), None


def remove_owed(conn: sqlite3.Connection, *, keep: list[tuple[int, int]], limit: int = STEP_ROWS) -> Removed:
    """Give up the oldest entries that a sink has not had yet, heartbeats before anything else.

    ``keep`` are the ranges (first, last] that are on their way to a sink right now. What is given up is
    counted as expired for every sink that was owed it.
    """
    for heartbeats_only in (True, False):
        rows = conn.execute(
            "SELECT seq FROM events WHERE (NOT ?1 OR kind = 'heartbeat') ORDER BY seq LIMIT ?2",
            (heartbeats_only, limit),
        ).fetchall()
        seqs = [row[0] for row in rows if not any(first < row[0] <= last for first, last in keep)]
        if seqs:
            _expire(conn, seqs)
            return Removed(owed=_remove(conn, seqs))
    return Removed()


def _expire(conn: sqlite3.Connection, seqs: list[int]) -> None:
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS going (seq INTEGER PRIMARY KEY)")
    conn.execute("DELETE FROM going")
    conn.executemany("INSERT INTO going VALUES (?)", [(seq,) for seq in seqs])
    conn.execute(
        "UPDATE sinks SET expired = expired + (SELECT count(*) FROM going WHERE seq > sinks.cursor OR EXISTS"
        " (SELECT 1 FROM arrears a WHERE a.sink = sinks.name AND NOT a.replay AND seq > a.first AND seq <= a.last))"
    )


def _remove(conn: sqlite3.Connection, seqs: list[int]) -> int:
    """Remove entries and note, per device, how far back its facts are gone."""
    if not seqs:
        return 0
    conn.execute(statements.KEEP_HEAD)
    low, high = seqs[0], seqs[-1]
    marks = ",".join("?" * len(seqs))
    conn.execute(
        "UPDATE devices SET pruned = max(pruned, gone.newest) FROM"
        f" (SELECT device, max(time) AS newest FROM events WHERE kind = 'count' AND seq IN ({marks})"
        "  GROUP BY device) AS gone WHERE devices.id = gone.device",
        seqs,
    )
    removed = conn.execute(
        f"DELETE FROM events WHERE seq BETWEEN ? AND ? AND seq IN ({marks})",
        (low, high, *seqs),
    ).rowcount
    return int(removed)
