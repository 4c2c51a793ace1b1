"""How far each poll has got: a small JSON object per poll, written in the transaction of what it brought."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.event import Json
from gateway.outbox import statements
from gateway.outbox.entry import dumps


@dataclass(frozen=True, slots=True)
class PollCursor:
    """A poll's place, to be written."""

    name: str
    value: Mapping[str, Json]


def save(conn: sqlite3.Connection, cursor: PollCursor, at: int) -> None:
    """Write a place; ``at`` in ms since 1970."""
    conn.execute(statements.PUT_POLL, (cursor.name, dumps(cursor.value), at))


def load(conn: sqlite3.Connection, name: str) -> Mapping[str, Json]:
    """Read a place; empty when the poll has none yet."""
    row = conn.execute(statements.GET_POLL, (name,)).fetchone()
    return {} if row is None else json.loads(row[0])
