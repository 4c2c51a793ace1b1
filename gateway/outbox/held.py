"""What devices that nobody has adopted yet have said: kept event by event, in order, for no sink to see.

The events are held as they were parsed, so what is dropped on arrival was dropped here too. A statement that
comes again, because the device did not get our answer, is recognised by its mark and held once.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway.event import Device, Event, Json, Kind, ZoneRule
from gateway.outbox.entry import dumps

_ADD = (
    "INSERT INTO held (push, device, source, introducer, address, path, received, unsynced, mark, bytes, event)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_IS_HELD = "SELECT 1 FROM held WHERE device = ? AND mark = ? AND introducer = ?"
_DEVICE = (
    "id",
    "source",
    "serial",
    "mac",
    "label",
    "site",
    "address",
    "firmware",
    "hardware",
    "utc_offset_min",
)
_NEXT = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'held'"
# How a statement was sent and what the gateway made of its picture is no part of what it says.
_NO_STATEMENT = ("sent_at", "repaired", "device")
_PICTURE_KEPT = "picture_sha256"


@dataclass(frozen=True, slots=True)
class Held:
    """One event that waits, ready to be written."""

    device: str
    mark: str
    text: str

    @property
    def size(self) -> int:
        """What it takes up, in bytes, without the row around it."""
        return len(self.text.encode())


@dataclass(frozen=True, slots=True)
class Waiting:
    """One event that was read back; None in the place of one that the disk has damaged."""

    number: int
    introducer: str  # who sent it
    address: str
    path: str
    received: int  # ms
    unsynced: bool
    size: int
    text: str
    event: Event | None


@dataclass(frozen=True, slots=True)
class Push:
    """How the events of a push came in."""

    introducer: str
    address: str
    path: str
    received: int  # ms
    unsynced: bool


def as_json(event: Event) -> dict[str, Json]:
    """Give an event as JSON values, with all that is in it."""
    return {
        "id": event.id,
        "revision": event.revision,
        "kind": event.kind.value,
        "device": {name: getattr(event.device, name) for name in _DEVICE},
        "time": event.time.isoformat(),
        "end": None if event.end is None else event.end.isoformat(),
        "sent_at": None if event.sent_at is None else event.sent_at.isoformat(),
        "zone_rule": event.zone_rule.value,
        "repaired": event.repaired,
        "data": event.data,
        "personal": event.personal,
    }


def from_json(value: dict[str, Any]) -> Event:
    """Make the event again; raises `KeyError`, `TypeError` or `ValueError` for what `as_json` did not write."""
    end, sent_at = value["end"], value["sent_at"]
    return Event(
        id=value["id"],
        revision=value["revision"],
        kind=Kind(value["kind"]),
        device=Device(**value["device"]),
        time=datetime.fromisoformat(value["time"]),
        end=None if end is None else datetime.fromisoformat(end),
        sent_at=None if sent_at is None else datetime.fromisoformat(sent_at),
        zone_rule=ZoneRule(value["zone_rule"]),
        repaired=value["repaired"],
        data=value["data"],
        personal=value["personal"],
    )


def hold(event: Event) -> Held:
    """Make ready to be held. No picture of a stranger is kept, so the event must not say that it was."""
    if _PICTURE_KEPT in event.data:
        data = {name: value for name, value in event.data.items() if name != _PICTURE_KEPT}
        event = replace(event, data=data | {"picture": "present"})
    fields = as_json(event)
    said = dumps({name: value for name, value in fields.items() if name not in _NO_STATEMENT})
    return Held(event.device.id, hashlib.blake2b(said.encode(), digest_size=16).hexdigest(), dumps(fields))


def is_held(conn: sqlite3.Connection, one: Held, introducer: str) -> bool:
    """Say whether the same statement from the same sender waits already; what another one sent may be dropped."""
    return conn.execute(_IS_HELD, (one.device, one.mark, introducer)).fetchone() is not None


def add(conn: sqlite3.Connection, source: str, push: Push, held: Sequence[Held]) -> None:
    """Write the events of one push of one device."""
    first = conn.execute(_NEXT).fetchone()[0]
    how = (push.introducer, push.address, push.path, push.received, int(push.unsynced))
    conn.executemany(_ADD, [(first, one.device, source, *how, one.mark, one.size, one.text) for one in held])


def first_of(conn: sqlite3.Connection, device: str, limit: int) -> list[Waiting]:
    """Read the oldest events of a device, in the order in which they came."""
    rows = conn.execute(
        "SELECT number, introducer, address, path, received, unsynced, bytes, event FROM held WHERE device = ?"
        " ORDER BY number LIMIT ?",
        (device, limit),
    )
    return [
        Waiting(number, introducer, address, path, received, bool(unsynced), size, text, _read(text))
        for number, introducer, address, path, received, unsynced, size, text in rows
    ]


def remove(conn: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Remove events that are in the log now, or were set aside."""
    conn.executemany("DELETE FROM held WHERE number = ?", [(number,) for number in numbers])


def drop(conn: sqlite3.Connection, device: str) -> int:
    """Remove all that is held of a device."""
    return int(conn.execute("DELETE FROM held WHERE device = ?", (device,)).rowcount)


def drop_sent(conn: sqlite3.Connection, device: str, introducer: str) -> int:
    """Remove what is held of a device and was sent by one address; what others sent stays."""
    values = (device, introducer)
    return int(conn.execute("DELETE FROM held WHERE device = ? AND introducer = ?", values).rowcount)


def sums(conn: sqlite3.Connection) -> Iterator[tuple[str, str, str, int, int]]:
    """Give what waits, by device and who sent it, the first sender first: both, its address, events and bytes."""
    # A bare column beside min() is of the row that has it.
    for device, introducer, address, _, events, size in conn.execute(
        "SELECT device, introducer, address, min(number), count(*), sum(bytes) FROM held"
        " GROUP BY device, introducer ORDER BY min(number)"
    ):
        yield device, introducer, address, events, size


def _read(text: str) -> Event | None:
    try:
        return from_json(json.loads(text))
    except (KeyError, TypeError, ValueError):
        return None
