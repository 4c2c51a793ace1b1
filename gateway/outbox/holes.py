"""Read a damaged log: a page that cannot be read costs its own rows and no others.

The log is walked from both ends of what has not been read, then from its middle, the largest holes first.
"""

import heapq
import sqlite3
from collections.abc import Generator, Iterator
from typing import Any

from gateway.outbox import statements
from gateway.outbox.damage import READ_ERRORS

Row = tuple[Any, ...]

_PROBES = 20_000  # reads that fail at once; a page has some ten rows, so this is enough for a thousand pages
_MOST_ASTRAY = 10_000
_FAR = 1_000_000  # no retention leaves such a gap between two rows beside a damaged page
_LAST = 2**53
_CRC_AT = 11  # the columns before it every version has had
_UP = f"SELECT {statements.ENTRY_COLUMNS}, {{crc}} FROM events WHERE seq > ? ORDER BY seq"
_DOWN = f"SELECT {statements.ENTRY_COLUMNS}, {{crc}} FROM events WHERE seq < ? ORDER BY seq DESC"


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
        except READ_ERRORS:
            self.broke_off = True


class _Run:
    """The rows of the log from one place on, upwards or downwards, up to the first that cannot be had.

    A number out of line is a damaged one. Each row is held back until the next one has shown which of the
    two is out of line; where reading breaks off, one that lies far out is not believed either.
    """

    def __init__(self, conn: sqlite3.Connection, query: str, *, start: int, before: int, sign: int) -> None:
        self._conn = conn
        self._query = query
        self._before = before
        self._sign = sign
        self.place = start  # everything up to here has been read
        self.finished = False
        self.astray = 0  # rows out of line

    def __iter__(self) -> Iterator[Row]:
        while not self.finished:
            started = self.place
            yield from self._stretch()
            if not self.finished:
                yield from self._swallowed()
                if self.place == started:
                    return

    def _stretch(self) -> Iterator[Row]:
        """Give rows until reading breaks off."""
        reading = Reading(self._conn, self._query, self.place)
        held: Row | None = None
        for row in reading:
            if self._ahead(row) <= 0:
                self.astray += 1
                if self.astray > _MOST_ASTRAY:
                    return  # pages that point in circles
            elif held is None or (row[0] - held[0]) * self._sign <= 0:
                held = row
            elif not self._within(held):
                self.finished = True
                return
            else:
                yield self._confirmed(held)
                held = row
        self.finished = not reading.broke_off
        if held is not None and self._within(held) and (self.finished or self._ahead(held) < _FAR):
            yield self._confirmed(held)

    def _swallowed(self) -> Iterator[Row]:
        """Give the last good row: Python asks for the next one before it gives it, and it goes down with the bad."""
        for row in Reading(self._conn, f"{self._query} LIMIT 1", self.place):
            if 0 < self._ahead(row) < _FAR and self._within(row):
                yield self._confirmed(row)

    def _within(self, row: Row) -> bool:
        return bool((row[0] - self._before) * self._sign < 0)

    def _ahead(self, row: Row) -> int:
        return int((row[0] - self.place) * self._sign)

    def _confirmed(self, row: Row) -> Row:
        self.place = row[0]
        return row


def walk(conn: sqlite3.Connection) -> Generator[Row, None, bool]:
    """Give every row of the log that can be read, with its sum, in no certain order; True when none was hidden."""
    crc = _crc_column(conn)
    up_from, down_from = _UP.format(crc=crc), _DOWN.format(crc=crc)
    newest = next(iter(Reading(conn, f"{down_from} LIMIT 1", _LAST)), None)
    end = _LAST if newest is None else newest[0] + 1
    holes, effort = [(-end, 0, end)], 0  # (for the order, last read from below, first read from above)
    whole = True
    while holes and effort < _PROBES:
        _, low, high = heapq.heappop(holes)
        up = _Run(conn, up_from, start=low, before=high, sign=1)
        yield from up
        if up.finished:
            continue
        whole = False
        down = _Run(conn, down_from, start=high, before=up.place, sign=-1)
        yield from down
        low, high = up.place, down.place
        effort += 2 + (up.astray + down.astray) // 100
        middle = (low + high) // 2
        if not down.finished and low < middle < high - 1:
            heapq.heappush(holes, (low - middle, low, middle + 1))
            heapq.heappush(holes, (middle - high, middle, high))
    return whole


def _crc_column(conn: sqlite3.Connection) -> str:
    """Name the column of the sums, by its place: a letter of the list of tables may be damaged; older logs have none."""
    names = [str(row[1]) for row in Reading(conn, "PRAGMA table_info(events)")]
    return '"' + names[_CRC_AT].replace('"', '""') + '"' if len(names) > _CRC_AT else "NULL"
