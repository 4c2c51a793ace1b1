"""Each sink's account, device by device; the rows of a sink add up to its own row in `sinks`.

received = delivered + waiting + lettered + expired + lost. What was received is the device's own counter of
events minus ``since``; what waits is what remains. A device without a row came after the sink began and has
had nothing settled. The row of `EARLIER` holds what cannot be told apart by device any more: what was settled
before there were accounts per device, or what a damaged file no longer says. Nothing ever waits in it.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.outbox.positions import Moves, Position, all_names, look

EARLIER = ""

_MOVE = (
    "INSERT INTO accounts (sink, device, since, delivered, lettered, expired, lost) VALUES (?, ?, 0, ?, ?, 0, 0)"
    " ON CONFLICT (sink, device) DO UPDATE SET delivered = delivered + excluded.delivered,"
    " lettered = lettered + excluded.lettered"
)
_PUT = (
    "INSERT OR REPLACE INTO accounts (sink, device, since, delivered, lettered, expired, lost)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# The same rows of `going` as in the statement that moves `sinks.expired`; see `retention`.
_EXPIRE = (
    "INSERT INTO accounts (sink, device, since, delivered, lettered, expired, lost)"
    " SELECT sinks.name, events.device, 0, 0, 0, count(*), 0 FROM sinks JOIN going JOIN events USING (seq)"
    " WHERE going.seq > sinks.cursor OR EXISTS (SELECT 1 FROM arrears a"
    "  WHERE a.sink = sinks.name AND NOT a.replay AND going.seq > a.first AND going.seq <= a.last)"
    " GROUP BY sinks.name, events.device"
    " ON CONFLICT (sink, device) DO UPDATE SET expired = expired + excluded.expired"
)
_ROWS = (
    "SELECT device, since, delivered, lettered, expired, lost FROM accounts WHERE sink = ? ORDER BY device"
)
_EVENTS = "SELECT id, events FROM devices"
_LETTERS = "SELECT sender, count(*) FROM letters WHERE stage = 'deliver' AND sink = ? GROUP BY sender"
_IN_RANGE = "SELECT device, count(*) FROM events WHERE seq > ? AND seq <= ? GROUP BY device"
_END = 2**62


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one device's events at one sink."""

    device: str
    since: int = 0
    delivered: int = 0
    lettered: int = 0
    expired: int = 0
    lost: int = 0

    @property
    def settled(self) -> int:
        """Count what no longer waits."""
        return self.delivered + self.lettered + self.expired + self.lost


# In the writer's transaction


def move(conn: sqlite3.Connection, sink: str, batches: Iterable[Moves]) -> None:
    """Add what batches settled, one row for each device that they touch."""
    delivered: Counter[str] = Counter()
    lettered: Counter[str] = Counter()
    for batch in batches:
        for device, (taken, refused) in batch.items():
            delivered[device] += taken
            lettered[device] += refused
    if delivered:
        rows = [(sink, device, count, lettered[device]) for device, count in delivered.items()]
        conn.executemany(_MOVE, rows)


def begin(conn: sqlite3.Connection, sink: str, owed: Mapping[str, int]) -> int:
    """Open the account of a new sink: of each device it is owed so many events that are in the log now.

    Gives how many letters it has: they outlive a place that was lost, and may still be delivered.
    """
    events, kept = _numbers(conn, _EVENTS), _numbers(conn, _LETTERS, sink)
    conn.execute("DELETE FROM accounts WHERE sink = ?", (sink,))  # of a sink whose place was lost
    rows = [_opened(device, events, owed, kept) for device in {**events, **owed, **kept}]
    conn.executemany(_PUT, [_row(sink, row) for row in rows])
    return sum(kept.values())


def expire(conn: sqlite3.Connection) -> None:
    """Account for the events of the table `going` that are still owed to a sink."""
    conn.execute(_EXPIRE)


# Where the rows are not what they should be


def reconstruct(conn: sqlite3.Connection) -> None:
    """Open the accounts of a store that had none per device: each begins with what waits and its letters."""
    for name in all_names(conn):
        position = look(conn, name)
        if position is not None:
            reconcile(conn, position, whole=False)


def reconcile(conn: sqlite3.Connection, position: Position, *, whole: bool) -> None:
    """Make a sink's rows fit the log, and each other, after a migration or a rescue.

    With ``whole`` rows an event that is owed and not in the log is lost. Else a device without a row gets
    one that begins here. What is left of the sink's own figures goes to `EARLIER`; where the devices say more
    than the sink's own row, that row is the older one and follows them.
    """
    known, kept = read(conn, position.name), _numbers(conn, _LETTERS, position.name)
    events, owed = _numbers(conn, _EVENTS), in_log(conn, position)
    rows = []
    for device in {**events, **owed, **known, **kept}:
        if device == EARLIER:
            continue
        account = known.get(device)
        if account is None:
            account = Account(device) if whole else _opened(device, events, owed, kept)
        rows.append(_fitting(account, events.get(device, 0), owed.get(device, 0), kept.get(device, 0)))
    figures = [("delivered", position.delivered), ("lettered", position.lettered)]
    figures += [("expired", position.expired), ("lost", position.lost)]
    total = {name: max(sum(getattr(row, name) for row in rows), stated) for name, stated in figures}
    rest = {name: total[name] - sum(getattr(row, name) for row in rows) for name in total}
    if any(rest.values()):
        rows.append(Account(EARLIER, since=-sum(rest.values()), **rest))
    conn.execute("DELETE FROM accounts WHERE sink = ?", (position.name,))
    conn.executemany(_PUT, [_row(position.name, row) for row in rows])
    more = sum(total[name] - stated for name, stated in figures)
    conn.execute(
        "UPDATE sinks SET since = since - ?, delivered = ?, lettered = ?, expired = ?, lost = ? WHERE name = ?",
        (more, *total.values(), position.name),
    )


def _opened(
    device: str, events: Mapping[str, int], owed: Mapping[str, int], kept: Mapping[str, int]
) -> Account:
    """Begin a device's account with what waits and the letters that may still be delivered."""
    lettered = kept.get(device, 0)
    return Account(device, since=events.get(device, 0) - owed.get(device, 0) - lettered, lettered=lettered)


def _fitting(account: Account, events: int, owed: int, kept: int) -> Account:
    """Have what waits equal what is in the log; what is missing there is lost, what is more came before."""
    account = replace(account, lettered=max(account.lettered, kept))
    missing = events - account.since - account.settled - owed
    if missing > 0:
        return replace(account, lost=account.lost + missing)
    return replace(account, since=account.since + missing)


def _row(sink: str, account: Account) -> tuple[str | int, ...]:
    a = account
    return (sink, a.device, a.since, a.delivered, a.lettered, a.expired, a.lost)


# Looking


def read(conn: sqlite3.Connection, sink: str) -> dict[str, Account]:
    """Read a sink's rows, by device."""
    return {row[0]: Account(*row) for row in conn.execute(_ROWS, (sink,))}


def in_log(conn: sqlite3.Connection, position: Position) -> Counter[str]:
    """Count what a sink is owed by looking at the log, by device."""
    found: Counter[str] = Counter()
    for first, last in [
        (position.cursor, _END),
        *((a.first, a.last) for a in position.arrears if not a.replay),
    ]:
        found.update(count(conn, first, last))
    return found


def count(conn: sqlite3.Connection, first: int, last: int) -> dict[str, int]:
    """Count the entries of a range (first, last] of the log, by device."""
    return _numbers(conn, _IN_RANGE, first, last)


def counters(conn: sqlite3.Connection) -> dict[str, int]:
    """Read how many events each device has had accepted."""
    return _numbers(conn, _EVENTS)


def letters_kept(conn: sqlite3.Connection, sink: str) -> dict[str, int]:
    """Count the letters of a sink, by device."""
    return _numbers(conn, _LETTERS, sink)


def _numbers(conn: sqlite3.Connection, query: str, *values: str | int) -> dict[str, int]:
    return dict(conn.execute(query, values).fetchall())
