"""A store with a backlog and something in every table, and what a whole life of it must give after damage."""

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeping import NOON, Running, audited, count, counter, fill, heartbeat, rows

from gateway.errors import StoreUnavailable
from gateway.forwarder import Rendering
from gateway.outbox import Arrears, Entry, LogReader, Outbox, Position, StoreDamaged
from gateway.outbox.damage import is_damage, mark

EVENTS, DELIVERED = 240, 80
ARREARS = Arrears(30, 60)
_MOST_STARTS = 5
_COLUMNS = "seq, id, revision, kind, device, device_seq, time, received, flags, body, personal"
_RENDERING = Rendering("gw", "far", b"key", frozenset(), 60_000)
_FILLINGS = (
    """INSERT INTO polls VALUES ('incidents', '{"after":5}', 1), ('camlytics', '{"page":{"2":1}}', 2)""",
    "INSERT INTO verdicts VALUES ('counter-9', 'ignored', '', 1), ('10.0.0.9', 'adopted', 'counter-1', 2)",
    "INSERT INTO pictures (hash, event, device, received, unsynced, bytes) VALUES ('ab', 'x', 'y', 1, 0, 5)",
    "INSERT INTO letters VALUES (77, 'parse', '', '10.0.0.9', 'odd', 1, 0, '{\"n\":1}', x'0102')",
)


def event(number: int):
    device = counter(f"counter-{number % 5}", label=f"door {number % 5}")
    if number % 11 == 0:
        return heartbeat(number, device=device)
    return count(number, number % 9, device=device, pad="x" * (number * 37 % 700))


async def build(directory: Path) -> None:
    """Make the store, and leave pages that are free."""
    running = await Running.start(directory)
    outbox = running.outbox
    await fill(outbox, [event(n) for n in range(EVENTS)], at_once=40)
    for name, cursor, arrears in (("strict", DELIVERED, []), ("live", EVENTS, [ARREARS])):
        position = await outbox.sinks.enlist(name, start="oldest", window=50)
        had = [n for n in range(cursor) if not arrears or not ARREARS.first <= n < ARREARS.last]
        position.settle(event(n).device.id for n in had)
        position.cursor, position.arrears = cursor, arrears
        await outbox.sinks.settle_now(position)
    for statement in _FILLINGS:
        await outbox.write(lambda conn, statement=statement: conn.execute(statement))
    await outbox.write(lambda conn: conn.execute("CREATE TABLE gone (a)"))
    await outbox.write(lambda conn: conn.executemany("INSERT INTO gone VALUES (?)", [("x" * 900,)] * 12))
    await outbox.write(lambda conn: conn.execute("DROP TABLE gone"))
    await running.stop()


def contents(directory: Path) -> dict[tuple[str, int], Entry]:
    return {(row[1], row[2]): Entry(*row) for row in rows(directory, f"SELECT {_COLUMNS} FROM events")}


@dataclass
class Life:
    """What became of a damaged store."""

    delivered: dict[str, list[Entry]] = field(default_factory=dict)
    starts: int = 0
    named: list[str] = field(default_factory=list)  # what a person was told
    lost: Mapping[str, int] = field(default_factory=dict)
    places_lost: bool = False  # nobody can know what was owed; the gateway says so


async def live(directory: Path) -> Life:
    """Let the store live as in a daemon that systemd starts again: drain it, take something new, stop in order."""
    life = Life({"strict": [], "live": []})
    while True:
        life.starts += 1
        assert life.starts <= _MOST_STARTS, f"it never comes up: {life.named}"
        running = await Running.start(directory)
        if running.outbox.salvaged is not None:
            life.named.append(running.outbox.salvaged.problem)
            life.places_lost |= running.outbox.salvaged.places_lost
        try:
            await _work(running.outbox, life)
        except (StoreDamaged, sqlite3.DatabaseError) as damaged:
            # What any part of the daemon runs into ends it, and the next start is told.
            if not is_damage(damaged) and not isinstance(damaged, StoreDamaged):
                raise
            life.named.append(str(damaged))
            mark(directory, str(damaged))
            running.outbox.damaged(StoreDamaged(str(damaged)))
            with contextlib.suppress(StoreDamaged):
                await running.writing
            await running.abandon()
            continue
        await running.stop()
        try:
            life.lost = {name: _lost(directory, name) for name in life.delivered}
        except sqlite3.DatabaseError as damaged:
            # A page that nobody needed so far; the check after the next unclean stop finds it.
            life.named.append(str(damaged))
            mark(directory, str(damaged))
            continue
        return life


def _lost(directory: Path, sink: str) -> int:
    audited(directory, sink)
    return int(rows(directory, "SELECT lost FROM sinks WHERE name = ?", sink)[0][0])


async def _work(outbox: Outbox, life: Life) -> None:
    readers = {name: LogReader(outbox.path) for name in life.delivered}
    try:
        positions = {}
        for name, reader in readers.items():
            positions[name] = await outbox.sinks.enlist(name, start="oldest", window=50)
            await _drain(outbox, reader, positions[name], life.delivered[name])
        await outbox.append([event(EVENTS + life.starts)], NOON)
        # What the devices still have comes again: it is known, or what was lost comes back.
        await fill(outbox, [event(n) for n in range(0, EVENTS, 7)], at_once=10)
        for name, reader in readers.items():
            await _drain(outbox, reader, positions[name], life.delivered[name])
    finally:
        for reader in readers.values():
            reader.close()


async def _drain(outbox: Outbox, reader: LogReader, position: Position, far_end: list[Entry]) -> None:
    for owed in list(position.arrears):
        left: Arrears | None = owed
        while left is not None:
            entries = await _read(outbox, reader, left.first, left.last)
            position.settle(entry.device for entry in entries)
            far_end += entries
            left = position.advance_arrears(left, entries[-1].seq if entries else left.last)
    while position.cursor < outbox.head:
        entries = await _read(outbox, reader, position.cursor, outbox.head)
        position.settle(entry.device for entry in entries)
        far_end += entries
        position.cursor = entries[-1].seq if entries else outbox.head
    await outbox.sinks.settle_now(position)


async def _read(outbox: Outbox, reader: LogReader, first: int, last: int) -> list[Entry]:
    try:
        entries = await reader.read(first, last, 50)
    except StoreDamaged as damaged:
        outbox.damaged(damaged)
        raise
    except StoreUnavailable as stuck:
        raise AssertionError(f"the forwarder would stand for ever: {stuck}") from stuck
    return entries


def rendered(entry: Entry) -> Any:
    """Give what a far end reads; raises when it is no JSON."""
    return json.loads(_RENDERING.render(entry, 0).payload)
