"""Run what was held of a device through the normal way into the log, a piece per transaction.

The rows leave `held` in the transaction in which their events enter the log, so a crash in between neither loses
nor doubles anything; at the next start the rest goes on.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.errors import Unreadable
from gateway.event import Event
from gateway.outbox import held, letters
from gateway.outbox.admission import Admission
from gateway.outbox.appending import Appender
from gateway.outbox.entry import Draft, Drafting
from gateway.outbox.held import Waiting

PIECE = 200  # events in one transaction: receiving goes on beside it
_DAMAGED = "the disk has damaged what was held of it"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Settled:
    """What one piece came to."""

    new: int = 0
    duplicates: int = 0
    lettered: int = 0  # could not be read back
    left: int = 0  # events of this device that still wait


def settle(
    conn: sqlite3.Connection,
    admission: Admission,
    appender: Appender,
    drafting: Drafting,
    prepare: Callable[[Event], Event],
    bounds: letters.Bounds,
    device: str,
) -> Settled:
    """Take the oldest events of a device out of `held` and into the log."""
    said = admission.changing()
    new = duplicates = 0
    damaged: list[tuple[Waiting, str]] = []
    rows = held.first_of(conn, device, PIECE)
    for row in rows:
        try:
            draft = _draft(drafting, prepare, row)
        except Unreadable as error:
            damaged.append((row, str(error)))
            continue
        appended = appender.append([draft], row.path)
        new += appended.new
        duplicates += appended.duplicates
    for row, reason in damaged:
        letters.add_body(conn, _letter(device, row, reason), bounds)
    held.remove(conn, [row.number for row in rows])
    if not rows:
        admission.forget()  # the sums say that there is something: they are made anew
    else:
        for row in rows:
            said.subtract(device, row.introducer, row.size)
    waits = said.waiting.get(device)
    if waits is None:
        admission.settled(device)
    return Settled(new, duplicates, len(damaged), waits.events if waits else 0)


def _draft(drafting: Drafting, prepare: Callable[[Event], Event], row: Waiting) -> Draft:
    if row.event is None:
        raise Unreadable(_DAMAGED)
    try:
        received = _EPOCH + timedelta(milliseconds=row.received)
        # What matters is whether the clock could be believed then, not now.
        return drafting.draft(prepare(row.event), received, unsynced=row.unsynced)
    except (AttributeError, TypeError, KeyError) as error:  # JSON still, and not what was written
        raise Unreadable(_DAMAGED) from error


def _letter(device: str, row: Waiting, reason: str) -> letters.Body:
    """Keep what is left, but for what is personal: a letter is shown to people."""
    try:
        fields = json.loads(row.text)
        fields.pop("personal", None)
        body = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, AttributeError):
        body = b""
    return letters.Body("adopt", device, reason, row.received, {"path": row.path, "bytes": row.size}, body)
