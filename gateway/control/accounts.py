"""The accounts as a person checks them: per sink and device, from the counters, held against the log.

Everything is read in one snapshot of the store, so that what moves meanwhile makes no difference.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.errors import GatewayError
from gateway.outbox import Position, accounts, reading, rfc3339
from gateway.outbox.accounts import EARLIER, Account
from gateway.outbox.rescue import UNTOLD

MOST_ROWS = 500
_MOST_NAMED = 20
_FIGURES = ("delivered", "lettered", "expired", "lost")
_UNKNOWN = "all devices before there were accounts per device"


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure that two ways of counting do not agree about."""

    device: str | None  # None: all of them together
    figure: str
    counted: int  # by the counters, or by the sink's own row
    found: int  # in the log, among the letters, or by adding the devices up

    def as_json(self) -> dict[str, object]:
        """Give it as JSON values."""
        return {
            "device": self.device,
            "figure": self.figure,
            "counted": self.counted,
            "found": self.found,
        }

    def sentence(self) -> str:
        """Say it for a person."""
        where = "in all" if self.device is None else f"at {self.device or _UNKNOWN}"
        match self.figure:
            case "waiting":
                return f"{self.counted} wait by the counters and {self.found} in the log {where}"
            case "letters":
                return f"{self.found} letters are kept and {self.counted} were counted {where}"
            case _:
                return f"{self.counted} {self.figure} by the sink's own row and {self.found} by its devices"


@dataclass(frozen=True, slots=True)
class _Row:
    account: Account
    received: int
    in_log: int
    letters: int

    @property
    def waiting(self) -> int:
        return self.received - self.account.settled

    def differences(self) -> Iterator[Difference]:
        if self.waiting != self.in_log:
            yield Difference(self.account.device, "waiting", self.waiting, self.in_log)
        if self.letters > self.account.lettered:
            yield Difference(self.account.device, "letters", self.account.lettered, self.letters)

    def as_json(self) -> dict[str, object]:
        return {
            "device": self.account.device or None,
            "received": self.received,
            "delivered": self.account.delivered,
            "waiting": self.waiting,
            "lettered": self.account.lettered,
            "expired": self.account.expired,
            "lost": self.account.lost,
            "waiting_in_log": self.in_log,
            "letters_kept": self.letters,
            "balanced": not any(self.differences()),
        }


def audit(
    conn: sqlite3.Connection, *, sink: str | None = None, device: str | None = None
) -> list[dict[str, object]]:
    """Give the account of every sink, or of one, with its devices, or one of them, checked against the log.

    Takes time in proportion to what waits. Raises `GatewayError` for a sink or device that nobody knows.
    """
    conn.execute("BEGIN")
    try:
        wanted = None if device is None else _ids(conn, device)
        positions = [position for position in reading.sinks(conn) if sink in (None, position.name)]
        if sink is not None and not positions:
            raise GatewayError(f"There is no sink {sink[:60]!r}; `gateway sinks` lists them.")
        return [_audit(conn, position, wanted) for position in positions]
    finally:
        conn.execute("ROLLBACK")


def _ids(conn: sqlite3.Connection, device: str) -> set[str]:
    found = {str(page["id"]) for page in reading.devices(conn, device)}
    if not found:
        raise GatewayError(f"No device is called {device[:60]!r}; `gateway devices` lists them.")
    return found


def _audit(conn: sqlite3.Connection, position: Position, wanted: set[str] | None) -> dict[str, object]:
    head = reading.head(conn)
    rows = _rows(conn, position)
    found = [*_of_the_sink(position, rows, head), *(one for row in rows for one in row.differences())]
    shown = [row for row in rows if wanted is None or row.account.device in wanted]
    shown.sort(key=_worst_first)
    return {
        "sink": position.name,
        "balanced": not found,
        "sentence": _sentence(position, rows, head, found) + _untold(conn),
        "differences": [one.as_json() for one in found[:_MOST_NAMED]],
        "total": _total(position, rows, head),
        "devices": [row.as_json() for row in shown[:MOST_ROWS]],
        "left_out": max(len(shown) - MOST_ROWS, 0),
    }


def _rows(conn: sqlite3.Connection, position: Position) -> list[_Row]:
    known, events = accounts.read(conn, position.name), accounts.counters(conn)
    owed, letters = accounts.in_log(conn, position), accounts.letters_kept(conn, position.name)
    rows = []
    for device in {**events, **owed, **known, **letters}:
        account = known.get(device, Account(device))
        received = events.get(device, 0) - account.since
        if received or account.settled or owed[device] or device in letters:
            rows.append(_Row(account, received, owed[device], letters.get(device, 0)))
    return rows


def _of_the_sink(position: Position, rows: list[_Row], head: int) -> Iterator[Difference]:
    """Hold the sink's own row against the sum of its devices."""
    own = {name: getattr(position, name) for name in _FIGURES} | {"received": head - position.since}
    summed = {name: sum(getattr(row.account, name) for row in rows) for name in _FIGURES}
    summed["received"] = sum(row.received for row in rows)
    for name, figure in own.items():
        if figure != summed[name]:
            yield Difference(None, name, figure, summed[name])


def _total(position: Position, rows: list[_Row], head: int) -> dict[str, object]:
    return {
        "received": head - position.since,
        **{name: getattr(position, name) for name in _FIGURES},
        "waiting": position.waiting(head),
        "waiting_in_log": sum(row.in_log for row in rows),
        "letters_kept": sum(row.letters for row in rows),
        "replayed": position.replayed,
        "devices": sum(1 for row in rows if row.account.device != EARLIER),
    }


def _worst_first(row: _Row) -> tuple[object, ...]:
    account = row.account
    missed = account.lettered + account.expired + account.lost
    return not any(row.differences()), -missed, -row.waiting, account.device


def _sentence(position: Position, rows: list[_Row], head: int, found: list[Difference]) -> str:
    if not found:
        return f"Balances: {_sum(position, head)}. The log holds the {sum(row.in_log for row in rows)} that wait."
    named = "; ".join(one.sentence() for one in found[:3])
    more = f"; and {len(found) - 3} more differences" if len(found) > 3 else ""
    return (
        f"Does not balance: {named}{more}. Nothing is changed by looking. Keep a copy of the store, run"
        " `gateway account` again after a restart, and report both answers with the log."
    )


def _untold(conn: sqlite3.Connection) -> str:
    """Say where the accounts cannot name what was lost: a rescue did not find what had counted it."""
    since = reading.meta(conn, UNTOLD)
    if since is None or not since.isdecimal():
        return ""
    return (
        f" The store was damaged and rescued at {rfc3339(int(since))}: how many events of before were lost cannot be"
        " told, and they are in no figure here."
    )


def _sum(position: Position, head: int) -> str:
    parts: Mapping[str, int] = {
        "delivered": position.delivered,
        "waiting": position.waiting(head),
        "lettered": position.lettered,
        "expired": position.expired,
        "lost": position.lost,
    }
    said = [f"{count} {name}" for name, count in parts.items() if count or name in ("delivered", "waiting")]
    return f"{head - position.since} received = {' + '.join(said)}"
