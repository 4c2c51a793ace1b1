"""How far each poll has got: a small JSON object per poll, written in the transaction of what it brought."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from gateway.event import Json
from gateway.outbox import statements
from gateway.outbox.entry import dumps
from gateway.outbox.windows import statements_of

log = structlog.get_logger()

_DAY_MS = 86_400_000  # what lies further ahead than that is a slip of a clock
_GET = "SELECT CAST(cursor AS BLOB) FROM polls WHERE name = ?"


@dataclass(frozen=True, slots=True)
class PollCursor:
    """A poll's place, to be written."""

    name: str
    value: Mapping[str, Json]


def save(conn: sqlite3.Connection, cursor: PollCursor, at: int) -> None:
    """Write a place; ``at`` in ms since 1970."""
    conn.execute(statements.PUT_POLL, (cursor.name, dumps(cursor.value), at))


def load(conn: sqlite3.Connection, name: str) -> Mapping[str, Json]:
    """Read a place; empty when the poll has none yet, or the disk has damaged it: then the poll begins anew."""
    row = conn.execute(_GET, (name,)).fetchone()
    place = {} if row is None else read(row[0])
    if place is None:
        log.error("poll_place_damaged", poll=name)
    return place or {}


def read(text: str | bytes) -> Mapping[str, Json] | None:
    """Read what `save` wrote; None for anything else."""
    try:
        place = json.loads(text)
    except ValueError:
        return None
    return place if isinstance(place, dict) else None


def _fact(device: str, data: str | None) -> Mapping[str, Json]:
    """Read what a newest fact says; one that the disk has damaged says nothing, and the poll goes on."""
    fact = read(data) if data else {}
    if fact is None:
        log.error("newest_fact_damaged", device=device)
    return fact or {}


def devices_of(conn: sqlite3.Connection, source: str) -> set[str]:
    """Give the ids of all devices that a source has brought."""
    return {device for (device,) in conn.execute("SELECT id FROM devices WHERE source = ?", (source,))}


def told_until(conn: sqlite3.Connection, source: str) -> dict[str, tuple[int, Mapping[str, Json]]]:
    """Say for each device of a source until when (ms) its newest fact tells, and what that fact says."""
    told = {}
    query = "SELECT id, newest, newest_data FROM devices WHERE source = ? AND typeof(newest) = 'integer'"
    for device, newest, data in conn.execute(query, (source,)).fetchall():
        ends = (fact[-1].over for fact in statements_of(conn, device, newest, newest + _DAY_MS))
        told[device] = max([newest, *ends]), _fact(device, data)
    return told
