"""Copy everything readable out of a damaged store, and put the accounts right.

What was read is looked at before it is believed: a damaged page may hold anything. Entries and the places of sinks
have sums (`sums.py`); in all else, text that changed and is still text cannot be told from what was written.
"""

import contextlib
import json
import sqlite3
import string
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.outbox import (
    accounts,
    connection,
    epochs,
    heading,
    leaves,
    lost_places,
    occupancy,
    polls,
    schema,
    statements,
    sums,
    zoning,
)
from gateway.outbox.damage import READ_ERRORS, StoreDamaged
from gateway.outbox.holes import Reading, walk
from gateway.outbox.positions import all_names, load

Row = tuple[Any, ...]

_CHUNK_ROWS = 5_000
_SMALLEST_ROW_BYTES = 64
_EXACT = 2**53
_HOUR_BITS = 2**60
_KEY_DIGITS = 64
UNTOLD = "untold"  # what the store remembers of a rescue after which no account can name all that was lost
NEEDED_META = ("head", "skipped", "pseudonym_key", epochs.META)
_MARKS = ",".join("?" * len(sums.CHECKED_COLUMNS.split(",")))
_KEEP_EVENT = f"INSERT OR IGNORE INTO events ({sums.CHECKED_COLUMNS}) VALUES ({_MARKS})"
_MOST_NAMED = 10
# What can be made anew of the other tables.
_LIFETIMES = (
    "INSERT OR IGNORE INTO lifetimes SELECT device, measure, sum(amount), max(sum(amount), 0) FROM tallies"
    " GROUP BY device, measure"
)
# What retention has removed came before all that is left; from the first number on nothing is missing. Receipts by a
# clock that nobody vouched for (flag 16) measure nothing.
_PRUNED = (
    "(SELECT iif(min(seq) > 1, coalesce(min(received) FILTER (WHERE NOT flags & 16), 0), 0) FROM events)"
)
_PAGES = (
    "INSERT INTO devices (id, source, first_seen, last_seen, events, duplicates, repaired, pruned)"
    " SELECT device, coalesce(min(json_extract(body, '$.source')), ''), min(received), max(received),"
    f" max(device_seq % {epochs.SPAN}),"
    f" 0, 0, {_PRUNED} FROM events WHERE true"
    " GROUP BY device ON CONFLICT (id) DO UPDATE SET events = max(events, excluded.events)"
)
_FORGET_PLACE = tuple(
    f"DELETE FROM {table} WHERE {column} = ?"
    for table, column in (("sinks", "name"), ("arrears", "sink"), ("accounts", "sink"))
)
_KEYS = {
    "tallies": ("device", "day", "measure"),
    "meta": ("key",),
    "accounts": ("sink", "device"),
    "polls": ("name",),
    "verdicts": ("name",),
    "coverage": ("device", "hour"),
    "zones": ("name",),
    "lifetimes": ("device", "measure"),
}


@dataclass(frozen=True, slots=True)
class Report:
    """What could be saved."""

    events: int = 0
    lost: int = 0
    places_lost: bool = True
    book_lost: bool = True  # pages of devices are missing, or were made anew of the log
    altered: Sequence[str] = ()  # some of the entries that could be read and were not what was written
    untold: bool = True  # places or counters are gone: nobody can say how many events were lost


class Rescue:
    """One salvage: from the damaged file into a fresh store with the tables of this version."""

    def __init__(self, damaged: Path, fresh: sqlite3.Connection) -> None:
        self._damaged = damaged
        self._fresh = fresh
        parts = (damaged, damaged.with_name(damaged.name + "-wal"))
        size = sum(part.stat().st_size for part in parts if part.exists())
        self._capacity = size // _SMALLEST_ROW_BYTES  # more rows than this the file never held
        self._altered: list[str] = []

    def run(self) -> Report:
        """Save what can be read. Raises only when the fresh store cannot be written."""
        old = _open(self._damaged)
        if old is not None:
            with contextlib.closing(old):
                report = self._copy(old)
        else:
            with (
                heading.opened(self._damaged)
                if self._damaged.exists()
                else contextlib.nullcontext() as headed
            ):
                report = self._copy(headed)
        with self._transaction():
            self._skip_numbers()
            if report.places_lost:
                lost_places.note(self._fresh, self._meta("head") + 1)
        return report

    def _copy(self, old: sqlite3.Connection | None) -> Report:
        others = [table for table in schema.TABLES if table != "events"]
        whole = {table: old is not None and self._copy_table(old, table) for table in others}
        whole["sinks"] &= self._drop_wrong_places()
        self._copy_events(old)
        with self._transaction():
            lost = self._settle_accounts(books_whole=whole["devices"] and whole["meta"])
            if not whole["lifetimes"]:
                self._fresh.execute(_LIFETIMES)
            if not whole["devices"]:
                self._fresh.execute(_PAGES)
            self._settle_devices(whole=whole["devices"] and whole["accounts"])
            places_lost = not (whole["sinks"] and whole["arrears"])
            untold = places_lost or not (whole["devices"] and whole["meta"])
            if untold:
                self._fresh.execute(statements.PUT_META, (UNTOLD, str(time.time_ns() // 1_000_000)))
        events = self._number("SELECT count(*) FROM events")
        book_lost = not whole["devices"]
        return Report(events, lost, places_lost, book_lost, self._altered, untold)

    def _copy_table(self, old: sqlite3.Connection, table: str) -> bool:
        """Copy a small table from its beginning, and if it breaks off from its end; True when it did not."""
        columns = self._columns(old, table)
        if not columns:
            return False  # an older version had no such table
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        keys = _KEYS.get(table, ("rowid",))
        with self._transaction():
            for direction in ("", " DESC"):
                order = ", ".join(key + direction for key in keys)
                reading = Reading(old, f"SELECT {names} FROM {table} ORDER BY {order}")
                for row in reading:
                    self._keep(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", table, row)
                if not reading.broke_off:
                    return not direction
        return False

    def _columns(self, old: sqlite3.Connection, table: str) -> list[str]:
        """Name the columns that both have: the damaged file may be of an older version."""
        query = f"PRAGMA table_info({table})"
        there = {row[1] for row in Reading(old, query)}
        return [row[1] for row in self._fresh.execute(query) if row[1] in there]

    def _copy_events(self, old: sqlite3.Connection | None) -> None:
        self._fresh.execute("BEGIN")
        for number, row in enumerate(self._found(old), 1):
            self._keep(_KEEP_EVENT, "events", row)
            if number % _CHUNK_ROWS == 0:
                self._fresh.execute("COMMIT")
                self._fresh.execute("BEGIN")
        self._fresh.execute("COMMIT")

    def _found(self, old: sqlite3.Connection | None) -> Iterator[Row]:
        """Give what SQLite can read of the log; where that is not all, also what lies on pages that nothing leads to."""
        whole = old is not None and (yield from walk(old))
        if not whole:
            yield from leaves.rows(self._damaged)

    def _drop_wrong_places(self) -> bool:
        """Have a sink whose place is not what was written begin anew; True when there was none."""
        right = True
        with self._transaction():
            for name in all_names(self._fresh):
                try:
                    load(self._fresh, name)
                except StoreDamaged:
                    right = False
                    for statement in _FORGET_PLACE:
                        self._fresh.execute(statement, (name,))
        return right

    def _keep(self, statement: str, table: str, row: Row) -> None:
        if table == "events" and not sums.is_whole(row):
            if len(self._altered) < _MOST_NAMED:
                self._altered.append(sums.named(row))
        elif _believable(table, row):
            # A value of another type than its column's says that the row is damaged.
            with contextlib.suppress(sqlite3.IntegrityError):
                self._fresh.execute(statement, row)

    # Accounts and numbers

    def _settle_accounts(self, *, books_whole: bool) -> int:
        """Account, per sink, for owed events that did not come through; give the worst case."""
        head = self._head(books_whole=books_whole)
        self._fresh.execute(statements.PUT_META, ("head", str(head)))
        worst = 0
        for name in all_names(self._fresh):
            position = load(self._fresh, name)
            if position is None:
                continue
            ranges = [(position.cursor, head), *((a.first, a.last) for a in position.arrears if not a.replay)]
            count = "SELECT count(*) FROM events WHERE seq > ? AND seq <= ?"
            missing = position.waiting(head) - sum(self._number(count, *owed) for owed in ranges)
            if missing > 0:
                self._fresh.execute("UPDATE sinks SET lost = lost + ? WHERE name = ?", (missing, name))
                worst = max(worst, missing)
            elif missing < 0:  # the row of the sink was older than the log
                self._fresh.execute("UPDATE sinks SET since = since + ? WHERE name = ?", (missing, name))
        return worst

    def _settle_devices(self, *, whole: bool) -> None:
        """Have the accounts of the devices add up to those of the sinks."""
        for name in all_names(self._fresh):
            position = load(self._fresh, name)
            if position is not None:
                accounts.reconcile(self._fresh, position, whole=whole)

    def _head(self, *, books_whole: bool) -> int:
        """Find the last number given out: in what is left of the log, and in all that has counted along."""
        head = max(
            self._number("SELECT coalesce(max(cursor), 0) FROM sinks"),
            self._number("SELECT coalesce(max(last), 0) FROM arrears"),
            self._meta("head"),
        )
        if books_whole:
            counted = self._number("SELECT coalesce(sum(events), 0) FROM devices") + self._meta("skipped")
            head = max(head, counted)
            # No log runs so far ahead of all books: such a number is a damaged one.
            self._fresh.execute("DELETE FROM events WHERE seq > ?", (head + self._capacity,))
        return max(head, self._number(statements.LAST_SEQ))

    def _skip_numbers(self) -> None:
        """Go on behind every number that may have been given out, so that none ever means two events.

        Beyond the traces at most as many were given as the file had room for. Without any trace the
        clock helps: fewer than a thousand events a second have come since 1970.
        """
        head = self._meta("head")
        leap = self._capacity if head else time.time_ns() // 1_000_000
        self._fresh.execute(statements.PUT_META, ("head", str(head + leap)))
        self._fresh.execute(statements.PUT_META, ("skipped", str(self._meta("skipped") + leap)))
        # What was never given out is owed to nobody: the accounts begin later by as much.
        self._fresh.execute("UPDATE sinks SET since = since + ?", (leap,))

    def _meta(self, key: str) -> int:
        row = self._fresh.execute(statements.GET_META, (key,)).fetchone()
        return int(row[0]) if row and row[0].isdecimal() and int(row[0]) < _EXACT else 0

    def _number(self, query: str, *values: int) -> int:
        return int(self._fresh.execute(query, values).fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._fresh.execute("BEGIN")
        yield
        self._fresh.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection | None:
    """Open the damaged file without changing it; None when nothing of it can be read."""
    if not path.exists() or not path.stat().st_size:
        return None  # SQLite would delete the WAL of an empty file
    conn = None
    try:
        conn = connection.open_reader(path)
        # Takes a file that was cut off for what is left of it, and a list of tables as far as it can be read. The
        # file is open for reading only all the same.
        conn.execute("PRAGMA writable_schema=ON")
        conn.execute("SELECT 1 FROM sqlite_master").fetchone()
    except READ_ERRORS:
        if conn is not None:
            conn.close()
        return None
    return conn


def _believable(table: str, row: Row) -> bool:
    """Say whether a row can be what was written; types are the tables' own business."""
    numbers = [value for value in row if isinstance(value, int)]
    low, high = (-1, _HOUR_BITS) if table == "coverage" else (-_EXACT, _EXACT)
    if not all(low < number < high for number in numbers):
        return False
    match table, row:
        case "events", (int(seq), _, int(revision), *_, body, personal, _):
            return (
                seq > 0
                and revision >= 0
                and "data" in _fields(body)
                and (personal is None or bool(_fields(personal)))
            )
        case "sinks", _:
            return all(number >= 0 for number in numbers[1:])  # `since` may lie before the first number
        case "arrears", (_, _, int(first), int(last), _):
            return 0 <= first < last
        case "letters", (*_, head, _):
            return bool(_fields(head))
        case _:
            return table not in ("events", "arrears", "letters") and _readable(table, row)


def _readable(table: str, row: Row) -> bool:
    """Say whether what a row holds as JSON is what was written."""
    match table, row:
        case "zones", (_, _, _, _, _, _, str(ahead), *_):
            return occupancy.ahead(ahead) is not None
        case "polls", (_, str(cursor), _):
            return polls.read(cursor) is not None
        case "meta", (str(key), str(text)):
            return is_readable_meta(key, text) and (key != zoning.META or zoning.Plans.readable(text))
        case _:
            return True


def is_readable_meta(key: str, text: str) -> bool:
    """Say whether a fact about the store itself can be what was written; without it no start is possible."""
    match key:
        case "head" | "skipped" | "letters" | epochs.META:
            return text.isascii() and text.isdecimal() and int(text) < _EXACT
        case "pseudonym_key":
            return len(text) == _KEY_DIGITS and all(digit in string.hexdigits for digit in text)
        case _:
            return True


def _fields(text: object) -> dict[str, Any]:
    """Read a JSON object; what is none gives an empty one."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
