"""A store, a poller and a made-up Camlytics PC in one process."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio
from keeping import Running, rows

from gateway.faults import Faults
from gateway.intake import Intake, Policy
from gateway.outbox import Outbox
from gateway.poller import Poller
from gateway.simulate.camlytics import Camlytics, Pc
from gateway.sources.camlytics import CamlyticsPoll, Instance, Rule

LISBON = ZoneInfo("Europe/Lisbon")
RULES = (Rule(rule="Enter", direction="in", zone="hall"), Rule(rule="exit", direction="out", zone="hall"))


class HandClock:
    """A clock that stands until a test moves it."""

    def __init__(self, now: float) -> None:
        self.at = now

    def now(self) -> float:
        return self.at


def instance(server: Camlytics, **more: object) -> Instance:
    given = {"name": server.pc.name, "endpoint": server.url, "zone": server.pc.zone, "rules": RULES}
    return Instance(**{**given, "period_s": 0.05, "wait_s": 0.0, "limit": 50, **more})


@dataclass
class Polled:
    """What runs, and what can be asked of it."""

    directory: Path
    outbox: Outbox
    poller: Poller
    faults: Faults
    tasks: anyio.abc.TaskGroup

    async def put(self, *polls: object) -> None:
        await self.poller.put(self.tasks, polls)

    def codes(self) -> set[str]:
        return {fault.code for fault in self.faults}

    def fault(self, code: str) -> str:
        return next(fault.sentence for fault in self.faults if fault.code == code)

    def events(self) -> list[dict]:
        """Give every event as a sink would see its fields."""
        found = rows(self.directory, "SELECT id, revision, kind, device, time, body FROM events ORDER BY seq")
        names = ("id", "revision", "kind", "device", "time_ms")
        return [{**dict(zip(names, row[:5], strict=True)), **json.loads(row[5])} for row in found]

    def people(self) -> Counter:
        """Give the tallies of all devices together."""
        sums: Counter = Counter()
        for measure, amount in rows(self.directory, "SELECT measure, amount FROM tallies"):
            sums[measure] += amount
        return sums

    async def until(self, happened, what: str, *, wait_s: float = 10.0) -> None:
        with anyio.move_on_after(wait_s):
            while not happened():
                await asyncio.sleep(0.01)
            return
        raise AssertionError(f"{what}; faults: {[fault.sentence for fault in self.faults]}")


async def _just_run(_name: str, part: Callable[[], Awaitable[None]]) -> None:
    await part()


@contextlib.asynccontextmanager
async def polled(directory: Path) -> AsyncIterator[Polled]:
    running = await Running.start(directory)
    faults = Faults()
    driven = Poller(running.outbox, Intake(running.outbox, Policy()), faults, _just_run)
    try:
        async with anyio.create_task_group() as tasks:
            yield Polled(directory, running.outbox, driven, faults, tasks)
            await driven.end()
    finally:
        await running.stop()


def expected(pc: Pc) -> Counter:
    """Say what a right gateway has counted of everything that the PC stored."""
    sums: Counter = Counter()
    for stored in pc.stored:
        sums["enters"] += stored.statement.truth.get("enters", 0)
        sums["exits"] += stored.statement.truth.get("exits", 0)
    return sums


def people(counted: Counter) -> tuple[int, int]:
    return counted["enters"], counted["exits"]


def poll(server: Camlytics, **more: object) -> CamlyticsPoll:
    return CamlyticsPoll(instance(server, **more))
