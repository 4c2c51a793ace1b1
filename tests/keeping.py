"""Events and stores for the tests of what keeps and forwards them."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.control.accounts import audit
from gateway.event import Device, Event, Kind, ZoneRule, event_id
from gateway.outbox import Drafting, Outbox, Position, Settings, positions, reading
from gateway.outbox.connection import FILE_NAME

NOON = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def counter(name: str = "counter-a", **known: Any) -> Device:
    return Device(id=name, source="people_counter", **known)


def count(
    minute: int = 0,
    enters: int = 1,
    *,
    revision: int = 0,
    device: Device | None = None,
    sent_at: datetime | None = None,
    time: datetime | None = None,
    **data: Any,
) -> Event:
    """One minute of one counter; the same minute again is the same fact."""
    device = device or counter()
    start = time or NOON + minute * MINUTE
    return Event(
        id=event_id(device.id, "count", int(start.timestamp()), order=int(start.timestamp())),
        revision=revision,
        kind=Kind.COUNT,
        device=device,
        time=start,
        end=start + MINUTE,
        sent_at=sent_at,
        zone_rule=ZoneRule.UNIX,
        data={"view": "total", "enters": enters, "exits": 0, **data},
    )


def access(number: int = 0, *, device: Device | None = None, time: datetime = NOON, **more: Any) -> Event:
    """One record of a terminal; `personal` and `sent_at` as in an Event, the rest goes into its data."""
    device = device or Device(id="terminal-t", source="face_terminal")
    own = {name: more.pop(name) for name in ("personal", "sent_at") if name in more}
    data = {"result": "allowed", "person": "known", "uuid": f"u{number}", **more}
    return Event(
        id=event_id(device.id, "access", f"u{number}"),
        revision=0,
        kind=Kind.ACCESS,
        device=device,
        time=time,
        zone_rule=ZoneRule.UNIX,
        data=data,
        **own,
    )


def heartbeat(number: int = 0, *, device: Device | None = None, time: datetime | None = None) -> Event:
    device = device or counter()
    at = time or NOON + number * MINUTE
    return Event(
        id=event_id(device.id, "heartbeat", number, order=number),
        revision=0,
        kind=Kind.HEARTBEAT,
        device=device,
        time=at,
        sent_at=at,
        zone_rule=ZoneRule.UNIX,
        data={"mode": "heartbeat"},
    )


def settings(directory: Path, **more: Any) -> Settings:
    return Settings(**{"directory": directory, "drafting": Drafting(), "min_free_bytes": 0, **more})


class Running:
    """An open store whose writer runs; more than one test of a crash never closes it."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.writing = asyncio.create_task(outbox.run())

    @classmethod
    async def start(cls, directory: Path, **more: Any) -> "Running":
        return cls(await Outbox.open(settings(directory, **more)))

    async def stop(self) -> None:
        """Stop as the daemon does."""
        await self.outbox.close()
        await self.writing
        self.outbox.release()

    async def abandon(self) -> None:
        """Let go of everything without writing anything more; the files stay as they are."""
        self.outbox._places.stop()
        self.writing.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self.writing
        self.outbox._opened.gauge.close()
        # Closing the connection would fold the WAL back; a copy taken before is what a crash leaves.
        self.outbox._opened.release()


@contextlib.asynccontextmanager
async def opened(directory: Path, **more: Any) -> AsyncIterator[Outbox]:
    """Give a running store, and stop it as the daemon does."""
    running = await Running.start(directory, **more)
    try:
        yield running.outbox
    finally:
        await running.stop()


def after_crash(directory: Path, to: Path) -> Path:
    """Copy what a process that is killed now leaves on its disk."""
    to.mkdir()
    for suffix in ("", "-wal"):
        part = directory / (FILE_NAME + suffix)
        if part.exists():
            shutil.copy(part, to / part.name)
    return to


def rows(directory: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask a store as a person with a shell would, on a connection of its own."""
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as conn:
        return conn.execute(query, values).fetchall()


def alter(directory: Path, *statements: str) -> None:
    """Change a store as a bad disk or a person with a shell would, behind the gateway's back."""
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as conn:
        for statement in statements:
            conn.execute(statement)


def tallies(directory: Path, device: str = "counter-a") -> dict[tuple[str, str], int]:
    """Give what the days say, by day and measure."""
    found = rows(directory, "SELECT day, measure, amount FROM tallies WHERE device = ?", device)
    return {(day, measure): amount for day, measure, amount in found}


def account(directory: Path, sink: str) -> tuple[Position, int, int]:
    """Give a sink's place, what its account says is waiting, and what waits in the log."""
    with reading.looking(directory) as conn:
        position = positions.load(conn, sink)
        head = reading.head(conn)
        return position, position.waiting(head), reading.count_owed(conn, position, head)


def audited(directory: Path, sink: str = "sink") -> dict[str, Any]:
    """Give a sink's account as `gateway account` has it, by device, after checking that all of it balances."""
    with reading.looking(directory) as conn:
        (told,) = audit(conn, sink=sink)
    assert told["balanced"], told["sentence"]
    for row in [*told["devices"], told["total"]]:
        settled = sum(row[name] for name in ("delivered", "lettered", "expired", "lost"))
        assert row["received"] == settled + row["waiting"], row
        assert row["waiting"] == row["waiting_in_log"], row
        assert min(row[name] for name in ("delivered", "waiting", "lettered", "expired", "lost")) >= 0, row
    for name in ("received", "delivered", "waiting", "lettered", "expired", "lost"):
        assert told["total"][name] == sum(row[name] for row in told["devices"]), name
    return {row["device"]: row for row in told["devices"]}


def data_of(body: str) -> dict[str, Any]:
    return json.loads(body)["data"]


async def fill(
    outbox: Outbox, events: Iterable[Event], *, received: datetime = NOON, at_once: int = 200
) -> None:
    """Append events in pushes of some hundred."""
    pending = list(events)
    for start in range(0, len(pending), at_once):
        await outbox.append(pending[start : start + at_once], received)
