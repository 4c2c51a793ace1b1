"""The store alone: a process that keeps events until it ends, and what must be true of what it leaves."""

import contextlib
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from keeping import audited
from powercut import Record
from store_child import event_of

from gateway.outbox.connection import FILE_NAME

_PROGRAM = Path(__file__).with_name("store_child.py")


def child(directory: Path, events: int, *how: str, env: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Start a process that keeps events below the directory."""
    given = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(map(str, filter(None, (_PROGRAM.parent.parent, given))))
    return subprocess.Popen(
        [sys.executable, str(_PROGRAM), str(directory), str(events), *how],
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
    )


def answered(directory: Path) -> dict[int, int]:
    """Give the events that a process which ended has answered for, with their numbers in the log."""
    content = (directory / "ack").read_bytes()
    return dict(struct.iter_unpack("<QQ", content[: len(content) // 16 * 16]))


def answered_before(records: Iterable[Record]) -> dict[int, int]:
    """Give the same before a power cut."""
    acks = (record for record in records if record.kind == "w" and record.path.endswith("/ack"))
    return dict(struct.unpack("<QQ", record.data) for record in acks)


def lost(directory: Path, acknowledged: Mapping[int, int], events: int) -> list[int]:
    """Give what was acknowledged and is neither in the log nor settled, and hold the store to its own sums."""
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as conn:
        conn.execute("PRAGMA synchronous=OFF")  # what is looked at need not survive
        if conn.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("not intact")
        kept = {(id_, revision) for id_, revision in conn.execute("SELECT id, revision FROM events")}
        (counted,) = conn.execute(
            "SELECT coalesce(sum(amount), 0) FROM tallies WHERE measure = 'enters'"
        ).fetchone()
        (accepted,) = conn.execute("SELECT coalesce(sum(events), 0) FROM devices").fetchone()
        place = conn.execute("SELECT cursor, delivered FROM sinks").fetchone()
        (newest,) = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    # Each event and each correction added one to its day; each took one number.
    assert accepted == counted
    cursor, delivered = place or (0, 0)
    assert cursor == delivered <= accepted
    assert newest == accepted or newest < cursor
    if place is not None:
        audited(directory)
    return [
        number
        for number, seq in acknowledged.items()
        if seq > cursor and _key(event_of(number % events, revision=number // events)) not in kept
    ]


def _key(event) -> tuple[str, int]:
    return event.id, event.revision
