"""Read a damaged log: a page that cannot be read costs its own rows and no others.

The log is walked from both ends of what has not been read, then from its middle, the largest holes first.
"""

import heapq
import sqlite3
from collections.abc import Iterator
from typing import Any

from gateway.outbox import statements

Row = tuple[Any, ...]

_PROBES = 20_000  # reads that fail at once; a page has some ten rows, so this is enough for a thousand pages
_LAST = 2**53
_UP = f"SELECT {statements.ENTRY_COLUMNS} FROM events WHERE seq > ? ORDER BY seq"
_DOWN = f"SELECT {statements.ENTRY_COLUMNS} FROM events WHERE seq <= ? ORDER BY seq DESC"


class Reading:
    """Rows up to the first that cannot be read."""

    def __init__(self, conn: sqlite3.Connection, query: str, *values: int) -> None:
        self._conn = conn
        self._query = query
        self._values = values
        self.broke_off = False

    def __iter__(self) -> Iterator[Row]:
        try:
            yield from self._conn.execute(self._query, self._values)
        except sqlite3.DatabaseError:
            self.broke_off = True


def walk(conn: sqlite3.Connection) -> Iterator[Row]:
    """Give every row of the log that can be read, in no certain order."""
    holes, probes = [(-_LAST, 0, _LAST)], 0
    while holes and probes < _PROBES:
        _, low, high = heapq.heappop(holes)
        up = Reading(conn, _UP, low)
        for row in _in_line(up, last=high):
            low = row[0]
            yield row
        if not up.broke_off:
            continue
        down = Reading(conn, _DOWN, high)
        for row in _in_line(down, last=low + 1, sign=-1):
            high = row[0] - 1
            yield row
        probes += 2
        middle = (low + high) // 2
        if down.broke_off and low < middle < high:
            heapq.heappush(holes, (low - middle, low, middle))
            heapq.heappush(holes, (middle - high, middle, high))


def _in_line(rows: Reading, *, last: int, sign: int = 1) -> Iterator[Row]:
    """Give rows whose numbers grow (or fall), up to ``last``; a number out of line is a damaged one.

    Each row is held back until the next one has shown which of the two is out of line.
    """
    held: Row | None = None
    place = before = -_LAST
    for row in rows:
        following = sign * row[0]
        if held is None:
            held, place = row, following
        elif following > place:
            if place > sign * last:
                return
            yield held
            before, held, place = place, row, following
        elif following > before:
            held, place = row, following
    if held is not None and place <= sign * last:
        yield held
