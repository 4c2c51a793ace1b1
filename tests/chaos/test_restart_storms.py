"""Killed again before it is ready, several times in a row: a start that never ends loses nothing."""

import asyncio
import contextlib
import shutil
import time
from pathlib import Path
from random import Random

import pytest
from first_version import as_first_version
from keeping import NOON, count, counter, fill, opened, rows
from killing import IN_A_ROW, WINDOW, chance, may_double, under_load

from gateway.outbox import schema

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.site_with(**IN_A_ROW)]


async def test_kill_again_before_it_is_ready(site, experiment, scale):
    """Storms of kills at random moments of the start, under load, between short spells of work."""
    kills, early = scale.pick(6, 240), scale.pick(2, 120)
    async with under_load(site, experiment, chance(4714), owing=10 * kills) as victim:
        start_s = 0.5
        while experiment.faults.total() < kills:
            await asyncio.sleep(victim.luck.uniform(0.05, 0.4))
            victim.kill()
            for _ in range(victim.luck.randint(2, 5)):
                await victim.kill_before_ready(within_s=start_s * 1.1)
            began = time.monotonic()
            await asyncio.to_thread(site.daemon.start)
            start_s = min(time.monotonic() - began, 3.0)
    doubled = sum(may_double(experiment.faults).values())
    experiment.demand(obligations=10 * kills, faults=kills, doubled=doubled)
    assert experiment.faults["kill -9 before ready"] >= early


Owed = dict[tuple[str, int], int]  # (id, revision): who came in


async def old_store(site, number: int, events: int) -> Owed:
    """Put a store of the first version in the place of the site's: its events are owed to both sinks."""
    store = site.directory / "store"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    said = [count(n, n % 7, device=counter(f"counter-{number}-{n % 5}")) for n in range(events)]
    async with opened(store) as outbox:
        for sink in ("home", "cloud"):
            await outbox.sinks.enlist(sink, start="oldest", window=WINDOW)
        await fill(outbox, said, received=NOON)
    as_first_version(store)
    return {(event.id, event.revision): event.data["enters"] for event in said}


async def kill_in_the_opening(site, luck: Random, within_s: float) -> bool:
    """Kill a start a moment after it began to write to the store; say whether the migration was under way."""
    wal = site.directory / "store" / "gateway.db-wal"
    before = _state(wal)
    site.daemon.launch()
    deadline = time.monotonic() + 10
    while _state(wal) in (before, None, 0) and time.monotonic() < deadline and site.daemon.running:
        await asyncio.sleep(0)  # a fast disk is done with all of it in a few milliseconds
    await asyncio.sleep(luck.uniform(0.0, within_s))
    site.daemon.kill()
    return begun_and_not_done(site.directory / "store", site.directory / "left")


def _state(wal: Path) -> int | None:
    """Give something that differs after every write; 0 for an empty file, None for none."""
    with contextlib.suppress(FileNotFoundError):
        told = wal.stat()
        return told.st_mtime_ns if told.st_size else 0
    return None


def begun_and_not_done(store: Path, copy: Path) -> bool:
    """Look at a copy of what the kill left: something is written, and it is still no store of this version."""
    copy.mkdir()
    for part in ("gateway.db", "gateway.db-wal"):
        if (store / part).exists():
            shutil.copy(store / part, copy / part)
    wal = copy / "gateway.db-wal"
    begun = wal.exists() and wal.stat().st_size > 0
    try:
        return begun and [(schema.VERSION,)] != rows(copy, "PRAGMA user_version")
    finally:
        shutil.rmtree(copy)


def counted(site, far_end: str) -> list[tuple[tuple[str, int], int]]:
    return [
        ((one["id"], one["revision"]), one["data"]["enters"])
        for one in site.events_at(far_end)
        if one["kind"] == "count"
    ]


def wait_for(site, owed: Owed) -> None:
    """Wait until both far ends have all of it."""
    deadline = time.monotonic() + 60
    while any(owed.keys() - dict(counted(site, far_end)).keys() for far_end in ("home", "cloud")):
        assert time.monotonic() < deadline, f"it does not come after the migration\n{site.daemon.tail()}"
        time.sleep(0.05)


async def test_kill_while_the_store_migrates(site, experiment, scale):
    """A store of the first version, owing events, is migrated by starts that are killed in the middle of it."""
    luck, kills = chance(4715), scale.pick(4, 100)
    owed: Owed = {}
    stores = 0
    inside_wanted, most = scale.pick(1, 20), 5 * kills
    within_s = 0.03  # narrowed until it meets the migration, however fast the disk is
    while experiment.faults.total() < kills or experiment.faults["kill -9 while migrating"] < inside_wanted:
        if experiment.faults.total() > most:
            break
        stores += 1
        new = await old_store(site, len(owed), events=300)
        for _ in range(luck.randint(2, 4)):
            inside = await kill_in_the_opening(site, luck, within_s)
            within_s = max(within_s, 0.002) * (1.5 if inside else 0.6)
            experiment.hit("kill -9 while migrating" if inside else "kill -9")
        started = time.monotonic()
        await asyncio.to_thread(site.daemon.start)
        await asyncio.to_thread(wait_for, site, new)
        await asyncio.to_thread(site.fresh_event)
        experiment.recovered(time.monotonic() - started)
        assert not list((site.directory / "store").glob("*damaged*"))
        site.daemon.kill()
        experiment.hit("kill -9")
        owed |= new
    experiment.owe(len(owed))
    for far_end in ("home", "cloud"):
        came = counted(site, far_end)
        experiment.found(
            missing=len(owed.keys() - dict(came).keys()),
            wrong=sum(owed.get(mark, value) != value for mark, value in came),
            spurious=sum(mark not in owed for mark, _ in came),
            duplicated=len(came) - len(dict(came)),
        )
    for far_end in site.in_order:
        site.doubles_in_flight(far_end, WINDOW)
    # A start that is killed while it migrates has sent nothing yet, and the last kill of each store is its end.
    doubled = sum(may_double({"kill -9": experiment.faults["kill -9"] - stores}).values())
    experiment.demand(obligations=300, faults=kills, doubled=doubled)
    assert experiment.faults["kill -9 while migrating"] >= inside_wanted
