"""Read the store without disturbing the writer: for forwarders, and for commands when the daemon is down."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from gateway.errors import StoreUnavailable
from gateway.outbox import connection, letters, lost_places, opening, positions, statements
from gateway.outbox.damage import StoreDamaged, advice, is_damage
from gateway.outbox.entry import Entry
from gateway.outbox.letters import Letter
from gateway.outbox.positions import Position
from gateway.outbox.sums import CHECKED_COLUMNS, checked
from gateway.outbox.zoning import SOURCE

T = TypeVar("T")

_COUNT_ROWS = 100_000  # between two looks at the log others may fold the WAL back
_LOOK_BACK_ROWS = 200_000
_LOOK_AHEAD_ROWS = 100_000
_UNLIKE = (
    f"SELECT {CHECKED_COLUMNS} FROM events WHERE seq > ? AND seq <= ?"
    " AND kind NOT IN (SELECT value FROM json_each(?)) AND device NOT IN (SELECT value FROM json_each(?))"
    " ORDER BY seq LIMIT 1"
)
_NEWEST = f"SELECT {CHECKED_COLUMNS} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT 1"


class LogReader:
    """Reads the log in a thread, on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._conn = connection.open_reader(path, lasting=True)
        self._limiter = CapacityLimiter(1)

    async def read(self, after: int, last: int, limit: int) -> list[Entry]:
        """Give up to ``limit`` entries of the range (after, last], in order; numbers may have holes.

        Raises `StoreUnavailable`, or `StoreDamaged` when the file is.
        """
        return await self._in_thread(lambda: _entries(self._conn, after, last, limit))

    async def unlike(
        self, after: int, last: int, *, kinds: Collection[str] = (), devices: Collection[str] = ()
    ) -> Entry | None:
        """Give the first entry of the range (after, last], not too far in, that is of none of these."""
        wanted = (after, min(last, after + _LOOK_AHEAD_ROWS), json.dumps([*kinds]), json.dumps([*devices]))
        return await self._in_thread(lambda: _one(self._conn, _UNLIKE, *wanted))

    async def newest(self, after: int, last: int) -> Entry | None:
        """Give the last entry of the range (after, last]."""
        return await self._in_thread(lambda: _one(self._conn, _NEWEST, after, last))

    async def to_retry(self, sink: str) -> Letter | None:
        """Give the oldest letter that a person wants this sink to try again."""
        return await self._in_thread(lambda: letters.to_retry(self._conn, sink))

    def close(self) -> None:
        """Let go of the file."""
        self._conn.close()

    async def _in_thread(self, read: Callable[[], T]) -> T:
        try:
            return await to_thread.run_sync(read, limiter=self._limiter)
        except sqlite3.Error as error:
            sentence = f"The log cannot be read ({error}): check the disk."
            raise (StoreDamaged if is_damage(error) else StoreUnavailable)(sentence) from error


def _entries(conn: sqlite3.Connection, after: int, last: int, limit: int) -> list[Entry]:
    found = [Entry(*checked(row)) for row in conn.execute(statements.READ_LOG, (after, last, limit))]
    end = found[-1].seq if found else after
    if len(found) < limit and end < last:
        _nothing_is_behind(conn, end, last)
    return found


def _one(conn: sqlite3.Connection, query: str, *values: int | str) -> Entry | None:
    row = conn.execute(query, values).fetchone()
    return None if row is None else Entry(*checked(row))


def _nothing_is_behind(conn: sqlite3.Connection, end: int, last: int) -> None:
    """Look from the other side whether a range really ends there.

    A number that a flipped bit made larger ends a scan early, and everything behind it would count as a hole.
    """
    row = conn.execute(statements.LAST_UP_TO, (last,)).fetchone()
    if row is not None and row[0] > end:
        raise StoreDamaged(f"the log is out of order behind entry {end}")


def checked_entries(conn: sqlite3.Connection, after: int, last: int) -> list[Entry]:
    """Read a range of the log; raises `StoreDamaged` when an entry is not what was written."""
    return _entries(conn, after, last, max(last - after, 0))


@contextmanager
def looking(directory: Path) -> Iterator[sqlite3.Connection]:
    """Open the store of a directory for looking only; raises `StoreUnavailable` when this user may not, too."""
    path = directory / connection.FILE_NAME
    _demand_readable(path)
    try:
        conn = connection.open_reader(path)
        conn.execute("SELECT 1 FROM meta").fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailable(
            f"The store in {directory} cannot be read ({error}). {advice(directory)}"
        ) from error
    try:
        yield conn
    finally:
        conn.close()


def _demand_readable(path: Path) -> None:
    # SQLite cannot say whether there is no file, or one that this user may not open.
    directory = path.parent
    try:
        path.stat()
        closed = not os.access(path, os.R_OK)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreUnavailable(
            f"There is no store in {directory}: the gateway has not run here yet."
        ) from None
    except OSError as error:
        # Root may act as the owner of the store: sudo changes nothing then.
        closed = isinstance(error, PermissionError) and os.getuid() != 0
        if not closed:
            raise StoreUnavailable(
                f"The store in {directory} cannot be used ({error.strerror}). {advice(directory)}"
            ) from error
    if closed:
        raise StoreUnavailable(
            f"This user may not look into the store in {directory}: run the command with sudo."
        )


def head(conn: sqlite3.Connection) -> int:
    """Give the last number of the log, also when its row is gone."""
    return opening.last_number(conn)


def received(conn: sqlite3.Connection) -> int:
    """Give the number of events accepted since the store began."""
    return opening.last_number(conn) - opening.skipped_numbers(conn)


def meta(conn: sqlite3.Connection, key: str) -> str | None:
    """Read one fact about the store itself."""
    row = conn.execute(statements.GET_META, (key,)).fetchone()
    return None if row is None else str(row[0])


def sinks(conn: sqlite3.Connection) -> list[Position]:
    """Read every sink's place and account."""
    found = (positions.look(conn, name) for name in positions.all_names(conn))
    return [position for position in found if position is not None]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a new sink would be owed, counted beside the work; what came after ``head`` comes on top."""

    after: int | None  # None: nothing, it begins with what comes next
    head: int = 0
    owed: Mapping[str, int] = field(default_factory=dict)  # by device


def survey(path: Path, sink: str, from_now: bool) -> Survey:
    """Look at what is in the log for a sink that begins at the oldest entry."""
    with closing(connection.open_reader(path)) as conn:
        if positions.load(conn, sink) is not None or (from_now and not lost_places.matter(conn)):
            return Survey(None)
        last = opening.last_number(conn)
        oldest = conn.execute(statements.FIRST_SEQ).fetchone()[0]
        after = last if oldest is None else oldest - 1
        return Survey(after, last, _count_devices(conn, after, last))


def count_owed(conn: sqlite3.Connection, position: Position, last: int) -> int:
    """Count the entries that a sink is still owed by looking at the log, to check the account against it."""
    ranges = [(position.cursor, last), *((a.first, a.last) for a in position.arrears if not a.replay)]
    return sum(_count(conn, first, last) for first, last in ranges)


def _count(conn: sqlite3.Connection, first: int, last: int) -> int:
    """Count a range piece by piece: a reader that stays for long keeps the WAL growing."""
    total = 0
    while first < last:
        count, first = conn.execute(
            "SELECT count(*), max(seq) FROM (SELECT seq FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?)",
            (first, last, _COUNT_ROWS),
        ).fetchone()
        total += count
        if count < _COUNT_ROWS:
            break
    return total


def _count_devices(conn: sqlite3.Connection, first: int, last: int) -> Counter[str]:
    """Count a range by device, piece by piece as above."""
    total: Counter[str] = Counter()
    while first < last:
        piece = conn.execute(
            "SELECT device, count(*), max(seq) FROM (SELECT seq, device FROM events WHERE seq > ? AND seq <= ?"
            " ORDER BY seq LIMIT ?) GROUP BY device",
            (first, last, _COUNT_ROWS),
        ).fetchall()
        total.update({device: count for device, count, _ in piece})
        first = max((seq for *_, seq in piece), default=last)
    return total


def newest_receipt(conn: sqlite3.Connection) -> int | None:
    """Give the last instant that the store knows, in ms: it was at least as late as that."""
    row = conn.execute("SELECT received FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    row = row or conn.execute("SELECT max(last_seen) FROM devices").fetchone()
    return None if row is None else row[0]


def device_ids(conn: sqlite3.Connection) -> list[str]:
    """Name the devices in the book."""
    return [row[0] for row in conn.execute("SELECT id FROM devices ORDER BY id")]


def devices(conn: sqlite3.Connection, device: str | None = None) -> list[dict[str, object]]:
    """Read the book of devices, the most recently seen first; or one, by its id, or else by serial or label."""
    if device is None:
        pages = _pages(conn, "SELECT * FROM devices ORDER BY last_seen DESC")
    else:
        pages = _pages(conn, statements.GET_DEVICE, device) or _pages(
            conn, "SELECT * FROM devices WHERE serial = ?1 OR label = ?1 ORDER BY last_seen DESC", device
        )
    return [page for page in pages if page["source"] != SOURCE]  # zones have pages too, and are no devices


def _pages(conn: sqlite3.Connection, query: str, *values: str) -> list[dict[str, object]]:
    cursor = conn.execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def day_tallies(conn: sqlite3.Connection, device: str, day: str) -> dict[str, int]:
    """Read what one device counted on one day of the site."""
    return dict(
        conn.execute(
            "SELECT measure, amount FROM tallies WHERE device = ? AND day = ?", (device, day)
        ).fetchall()
    )


def lifetime_tallies(conn: sqlite3.Connection, device: str) -> dict[str, int]:
    """Read what one device or zone counted since the store began; it never falls.

    A correction changes its own day. Where it takes something away, the sum of all days is lower for a while
    than what was shown before; then that is shown until the counts have caught up.
    """
    return dict(conn.execute("SELECT measure, high FROM lifetimes WHERE device = ?", (device,)).fetchall())


def known_at(conn: sqlite3.Connection, source: str, address: str) -> str | None:
    """Name the only device of a source that was last seen at an address; None when there are none or several."""
    rows = conn.execute(
        "SELECT id FROM devices WHERE source = ? AND address = ? AND id NOT LIKE '%-at-%' LIMIT 2",
        (source, address),
    ).fetchall()
    return str(rows[0][0]) if len(rows) == 1 else None


def seen_at(conn: sqlite3.Connection, source: str, address: str) -> list[str]:
    """Name the devices of a source that were last seen at an address."""
    rows = conn.execute("SELECT id FROM devices WHERE source = ? AND address = ?", (source, address))
    return [str(device) for (device,) in rows]


def clock_offsets(conn: sqlite3.Connection) -> dict[str, float]:
    """Give the seconds that each device's clock is ahead of ours, as far as it is known."""
    rows = conn.execute("SELECT id, clock_offset_ms FROM devices WHERE clock_offset_ms IS NOT NULL")
    return {device: offset / 1000 for device, offset in rows}


def alarms_of(conn: sqlite3.Connection, family: str, last: int) -> list[Entry]:
    """Read the alarms of all devices of a family, up to an entry, oldest first."""
    # Ids begin with the device, so the index of the ids finds them; "." is the character behind "-".
    rows = conn.execute(
        f"SELECT {CHECKED_COLUMNS} FROM events"
        " WHERE id >= ?1 || '-' AND id < ?1 || '.' AND kind = 'alarm' AND seq <= ?2 ORDER BY seq",
        (family, last),
    )
    return [Entry(*checked(row)) for row in rows]


def last_entries(conn: sqlite3.Connection, count: int, device: str | None = None) -> Sequence[Entry]:
    """Read the newest entries, oldest first; of one device only where it has any among the newest 200,000."""
    rows = conn.execute(
        f"SELECT {statements.ENTRY_COLUMNS} FROM events WHERE seq > ?1 AND (?2 IS NULL OR device = ?2)"
        " ORDER BY seq DESC LIMIT ?3",
        (head(conn) - _LOOK_BACK_ROWS if device else 0, device, count),
    ).fetchall()
    return [Entry(*row) for row in reversed(rows)]
