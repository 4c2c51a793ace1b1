"""By when entries were there that came in while nobody knew the time: the only age that they have.

Each time that the clock becomes right, a pair is noted: the head of the log and the instant. What lies up to that
head came before that instant.
"""

import json
import sqlite3

from gateway.outbox import statements

_KEY = "clock_dates"
_MOST = 64


def date(conn: sqlite3.Connection, now: int, cutoff: int) -> None:
    """Note that the clock is right now, and forget the pairs that a newer one makes needless."""
    pairs = [
        pair for pair in _read(conn) if pair[1] <= now
    ]  # a pair from the future was noted by a wrong clock
    old = [pair for pair in pairs if pair[1] < cutoff]
    pairs = old[-1:] + [pair for pair in pairs if pair[1] >= cutoff]
    head = conn.execute(statements.LAST_SEQ).fetchone()[0]
    if not pairs or pairs[-1][0] < head:
        pairs.append((head, now))
    # Of many the older of two neighbours goes: what it stood for is kept until the younger one is old.
    while len(pairs) > _MOST:
        pairs = pairs[:1] + pairs[2::2]
    conn.execute(statements.PUT_META, (_KEY, json.dumps(pairs)))


def older_than(conn: sqlite3.Connection, cutoff: int) -> int:
    """Give the number up to which everything came before an instant."""
    return max((seq for seq, at in _read(conn) if at < cutoff), default=0)


def _read(conn: sqlite3.Connection) -> list[tuple[int, int]]:
    row = conn.execute(statements.GET_META, (_KEY,)).fetchone()
    try:
        return [(int(seq), int(at)) for seq, at in json.loads(row[0])] if row else []
    except (ValueError, TypeError):  # damaged: as if nothing had been noted
        return []
