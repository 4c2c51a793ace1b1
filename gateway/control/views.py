"""What commands show, read from the store: the same with the daemon up or down."""

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import date, tzinfo

from gateway import clock
from gateway.errors import GatewayError
from gateway.outbox import Entry, Flag, Position, letters, reading, rfc3339
from gateway.outbox.day_facts import day_facts
from gateway.outbox.letters import Letter
from gateway.outbox.readable import instant
from gateway.outbox.recent import from_log
from gateway.projection import Day, describe, named

_NO_NAMES: Mapping[str, str] = {}


def sink_account(conn: sqlite3.Connection, position: Position, *, verify: bool = False) -> dict[str, object]:
    """Give one sink's account: received = delivered + waiting + lettered + expired + lost.

    ``verify`` also counts the log, which takes time in proportion to what waits.
    """
    head = reading.head(conn)
    account: dict[str, object] = {
        "name": position.name,
        "received": position.owed(head),
        "delivered": position.delivered,
        "waiting": position.waiting(head),
        "lettered": position.lettered,
        "expired": position.expired,
        "lost": position.lost,
        "replayed": position.replayed,
        "oldest_waiting_s": _oldest_age_s(conn, position, head),
        "stopped": position.stopped,
    }
    if verify:
        in_log = reading.count_owed(conn, position, head)
        in_letters = conn.execute(
            "SELECT count(*) FROM letters WHERE stage = 'deliver' AND sink = ?", (position.name,)
        ).fetchone()[0]
        account |= {
            "waiting_in_log": in_log,
            "letters_kept": in_letters,
            "balanced": in_log == account["waiting"] and in_letters <= position.lettered,
        }
    return account


def _oldest_age_s(conn: sqlite3.Connection, position: Position, head: int) -> float | None:
    place = position.settled_up_to()
    row = conn.execute(
        "SELECT received, flags FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT 1", (place, head)
    ).fetchone()
    if row is None or row[1] & Flag.UNSYNCED:
        return None  # there is none, or nobody knows when it came
    return max(round(clock.now().timestamp() - int(row[0]) / 1000, 1), 0.0)


def sink_accounts(conn: sqlite3.Connection, *, verify: bool = False) -> list[dict[str, object]]:
    """Give every sink's account, also of sinks that are no longer configured."""
    return [sink_account(conn, position, verify=verify) for position in reading.sinks(conn)]


def device_states(
    conn: sqlite3.Connection, zone: tzinfo, device: str | None = None, names: Mapping[str, str] = _NO_NAMES
) -> list[dict[str, object]]:
    """Give the state of every device, or of one named by id, serial or label; ``names`` are those of the owner."""
    day = Day.of(clock.now(), zone)
    return [
        named(
            describe(
                conn,
                page,
                day,
                zone,
                from_log(conn, str(page["id"]), _whole(page["newest"]), _whole(page["clock_offset_ms"])),
            ),
            names,
        )
        | {
            "first_seen": instant(page["first_seen"]),
            "duplicates": page["duplicates"],
            "repaired": page["repaired"],
            "serial": page["serial"],
            "mac": page["mac"],
            "path": page["path"],
        }
        for page in reading.devices(conn, device)
    ]


def device_day(conn: sqlite3.Connection, zone: tzinfo, device: str, day: str) -> list[dict[str, object]]:
    """Give one day of a device, named by id, serial or label; the day is YYYY-MM-DD, "today" or "yesterday"."""
    now = clock.now()
    today = Day.of(now, zone)
    try:
        wanted = {"today": today, "yesterday": today.before(zone)}.get(day) or Day.on(
            date.fromisoformat(day), zone
        )
    except (ValueError, OverflowError) as error:
        raise GatewayError(f"{day[:30]!r} is not a day; write it as 2026-11-20.") from error
    believed = now if clock.plausible() else None
    return [day_facts(conn, page, wanted, zone, believed) for page in reading.devices(conn, device)]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def letter_row(letter: Letter, *, whole: bool = False) -> dict[str, object]:
    """Give a letter as JSON values; ``whole`` with its body."""
    row: dict[str, object] = {
        "number": letter.number,
        "stage": letter.stage,
        "sink": letter.sink or None,
        "sender": letter.sender,
        "reason": letter.reason,
        "received": rfc3339(letter.received),
        "retry": letter.retry,
    }
    if whole:
        row["head"] = {name: value for name, value in letter.head.items() if name != "personal"}
        row["body"] = letter.body.decode("utf-8", "replace")
    return row


def letter_rows(conn: sqlite3.Connection, stage: str | None = None) -> list[dict[str, object]]:
    """List letters, oldest first."""
    return [letter_row(letter) for letter in letters.find(conn, stage=stage)]


def entry_rows(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Give log entries as JSON values, without personal fields."""
    return [
        {
            "seq": entry.seq,
            "id": entry.id,
            "revision": entry.revision,
            "kind": entry.kind,
            "device": entry.device,
            "time": rfc3339(entry.time),
            "received_at": rfc3339(entry.received),
            "flags": entry.flags,
            "body": entry.body,
        }
        for entry in entries
    ]


def letter_counts(conn: sqlite3.Connection) -> Mapping[str, int]:
    """Count letters by stage."""
    return letters.counts(conn)


def store_facts(conn: sqlite3.Connection) -> dict[str, object]:
    """Give the store's own figures."""
    return {
        "head": reading.head(conn),
        "received": reading.received(conn),
        "letters": letters.counts(conn),
        "devices": conn.execute("SELECT count(*) FROM devices WHERE source <> 'gateway'").fetchone()[0],
    }
