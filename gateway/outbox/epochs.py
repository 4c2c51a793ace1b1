"""The numbers of a store that came out of a backup: they leap, because the old box went on counting behind it.

Each restore begins a new epoch, and `seq` and `device_seq` go on at a multiple of `SPAN`. The counters in the book say
how many events there were, so they do not leap: what is added to them is kept in `meta`.
"""

import json
import secrets
import sqlite3
from dataclasses import asdict, dataclass

from gateway import clock
from gateway.errors import GatewayError
from gateway.outbox import statements

SPAN = 2**32  # of events that a box may have given out behind its backup
_DRAWN = 1024  # two boxes that restore one backup draw among so many
_LAST = 2**53 // SPAN - 1  # beyond it JSON readers round
META, TOLD = "epoch", "restored"
_NEWEST = "SELECT device_seq FROM events ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Restored:
    """When this store came out of a backup."""

    at: int  # ms
    taken: int  # ms: what came in between is in it only if a device sent it again
    received: int  # events at that moment


def leap(conn: sqlite3.Connection) -> int:
    """Say what is added to a device's counter to make its `device_seq`; also when damage took the note of it."""
    noted = conn.execute(statements.GET_META, (META,)).fetchone()
    newest = conn.execute(_NEWEST).fetchone()
    return max(int(noted[0]) if noted else 0, newest[0] // SPAN if newest else 0) * SPAN


def begin(conn: sqlite3.Connection, taken: int, *, head: int, skipped: int, beyond: int) -> None:
    """Have all numbers go on in a new epoch, also ``beyond`` the last one of the store that is replaced."""
    epoch = max(head, beyond, leap(conn)) // SPAN + 1 + secrets.randbelow(_DRAWN)
    if epoch > _LAST:
        raise GatewayError("This backup was restored so often that its numbers are used up.")
    step = epoch * SPAN - head
    told = Restored(clock.now_ms(), taken, head - skipped)
    facts = {"head": head + step, "skipped": skipped + step, META: epoch, TOLD: json.dumps(asdict(told))}
    conn.executemany(statements.PUT_META, [(key, str(value)) for key, value in facts.items()])
    # What was never given out is owed to nobody: the accounts begin later by as much.
    conn.execute("UPDATE sinks SET since = since + ?", (step,))


def restored(conn: sqlite3.Connection) -> Restored | None:
    """Say whether, and when, this store came out of a backup."""
    row = conn.execute(statements.GET_META, (TOLD,)).fetchone()
    try:
        return Restored(**json.loads(row[0])) if row else None
    except (ValueError, TypeError):
        return None  # damaged; nothing rests on it
