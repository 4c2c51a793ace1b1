"""A disk that somebody else has filled to the last byte, with a backlog to send: with the ballast, and without it."""

import asyncio
import sqlite3
import time

import pytest
from lined_site import owed
from load import Load, mixed
from site_under_test import IN_ORDER
from small_disk import MIB, SmallDisk
from trouble import attempt, cleared, fresh, judged, named, refused_more, until

from gateway.outbox import ballast
from gateway.simulate.ledger import Ledger
from gateway.simulate.receiver import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WINDOW, BATCH = 20, 10
SITE = {"window": WINDOW, "batch": BATCH, "home": IN_ORDER}
AWAY = Outcome(status=503, take=False)
BALLAST = "min_free_bytes = 0\nballast_bytes = 4194304"
NONE = "min_free_bytes = 0\nballast_bytes = 0"


@pytest.fixture
def disk(site, tmp_path, experiment):
    """The store on a file system of its own; the daemon is down when it is taken away."""
    small = SmallDisk(tmp_path / "disk.img", tmp_path / "store", size=24 * MIB)
    experiment.remarks.append(f"on {small.kind}")
    yield small
    if site.daemon.running:
        site.daemon.kill()
    small.close()


def waiting(site) -> int:
    return next((account["waiting"] for account in site.accounts() if account["name"] == "cloud"), 0)


async def backlog(site, devices, number: int) -> None:
    """Have so many events wait for the upstream, which is away."""
    site.upstream.decide = lambda _request: AWAY
    async with Load(devices):
        last = time.monotonic() + 60
        while waiting(site) < number:
            assert time.monotonic() < last
            await asyncio.sleep(0.1)


def fill_up(disk) -> None:
    """Leave no byte, and none inside the write-ahead log either, which would be room for a while."""
    disk.fill(leave=5 * MIB)  # to empty the log the store itself must grow
    with sqlite3.connect(disk.place / "gateway.db", isolation_level=None) as conn:
        last = time.monotonic() + 20
        while conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            assert time.monotonic() < last
            time.sleep(0.02)
    conn.close()
    disk.fill()


@pytest.mark.site_with(**SITE, store=NONE)
async def test_without_ballast_a_full_disk_holds_up_deliveries(site, disk, experiment):
    """The control: no more than two windows leave the box, and not one of them can be noted; with room all goes on."""
    ledger = Ledger()
    site.daemon.start()
    devices = mixed(site.url, ledger, seed=41)
    await backlog(site, devices, 100)
    fill_up(disk)
    before, sent = waiting(site), len(site.events_at("cloud"))
    site.upstream.decide = None
    await until(lambda: len(site.events_at("cloud")) > sent, "the drain begins")
    await asyncio.sleep(2)
    assert len(site.events_at("cloud")) - sent <= 2 * WINDOW + BATCH
    assert before - waiting(site) <= WINDOW  # what found room in the last block of the log
    await named(site, {"store_failed"})
    experiment.hit("deliveries held up by a full disk")
    disk.empty()
    experiment.recovered(await fresh(site, ledger))
    # Nothing ended, so nothing that was sent is sent again, noted or not.
    doubled = await judged(site, experiment, ledger, doubling=0)
    experiment.demand(obligations=30, faults=1, doubled=doubled)


@pytest.mark.site_with(**SITE, store=BALLAST)
async def test_with_ballast_a_full_disk_holds_up_nothing_that_is_kept(site, disk, experiment, scale):
    """Without a byte on the disk the backlog leaves and is noted, a kill and a start change nothing, and it comes back."""
    ledger, rounds, owing = Ledger(), scale.pick(1, 8), scale.pick(30, 400)
    site.daemon.start()
    size = 4 * MIB
    await until(lambda: ballast.held(disk.place) == size, "the ballast is made")
    devices = mixed(site.url, ledger, seed=50)  # once: their clocks run fast, and go on
    for _ in range(rounds):
        await backlog(site, devices, 100)
        fill_up(disk)
        assert disk.free < size
        sent = len(site.events_at("cloud"))
        site.upstream.decide = None
        await until(lambda: waiting(site) == 0, "all that was kept is sent and noted", every_s=0.2)
        assert len(site.events_at("cloud")) - sent >= 100
        assert ballast.is_given_back(disk.place)
        experiment.hit("backlog noted on a full disk")
        fault = await named(site, {"disk_full"})
        assert "The ballast was given back" in fault["sentence"]
        async with Load(devices):
            experiment.hit("push refused on a full disk", await refused_more(devices, 5))
        site.daemon.kill()
        assert await asyncio.to_thread(attempt, site), "a start on the full disk"
        experiment.hit("start on a full disk")
        assert 0 == waiting(site)
        disk.empty()
        ended = time.monotonic()
        await fresh(site, ledger)
        experiment.recovered(time.monotonic() - ended)
        await until(lambda: ballast.held(disk.place) == size, "the ballast is made again")
        await cleared(site, {"disk_full", "store_failed"})
    async with Load(devices):
        await owed(ledger, owing)
    doubled = await judged(site, experiment, ledger, doubling=rounds)  # the kills
    experiment.demand(obligations=owing, faults=3 * rounds, doubled=doubled)
