"""A disk that fails now and then, or has gone read-only: what was answered with success is there all the same."""

import asyncio
import errno
import random
import signal
import time

import pytest
from lined_site import owed
from load import Load, mixed
from site_under_test import IN_ORDER
from small_disk import MIB, SmallDisk
from steering import FaultyDisk
from trouble import acknowledged_more, attempt, cleared, fresh, judged, named, refusals, refused_more, until

from gateway.simulate.ledger import Ledger

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WINDOW, BATCH = 100, 20
SITE = {"window": WINDOW, "batch": BATCH, "home": IN_ORDER}
FAILED = {"store_failed", "store_full"}


@pytest.fixture
def faulty(site, tmp_path):
    """The daemon's disk fails when it is told to."""
    disk = FaultyDisk(tmp_path, tmp_path / "store")
    site.daemon.env |= disk.env
    yield disk
    disk.close()


async def failing(site, faulty, experiment, scale, *, kinds: int, seed: int) -> None:
    """Fail some operations at random moments, again and again; now and then kill the daemon right behind a failure."""
    ledger, rounds, owing = Ledger(), scale.pick(2, 60), scale.pick(30, 1_000)
    chance = random.Random(seed)
    devices = mixed(site.url, ledger, seed=seed)
    site.daemon.start()
    async with Load(devices):
        for _ in range(rounds):
            await acknowledged_more(devices, 5)
            faulty.lose(chance.random() < 0.7)
            failed = faulty.failed
            faulty.fail(kinds, skip=chance.randrange(6), times=chance.choice([1, 1, 2, 5]))
            await until(lambda failed=failed: faulty.failed > failed, "the disk fails", wait_s=20.0)
            if chance.random() < 0.3:
                site.daemon.kill()
                experiment.hit("kill -9 behind a failure")
                faulty.heal()
                await asyncio.to_thread(site.daemon.start)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            faulty.heal()
        # A disk that fails for good, until it does not.
        faulty.fail(kinds)
        experiment.hit("push refused on a failing disk", await refused_more(devices, 10))
        assert "disk" in (await named(site, FAILED))["action"]
        faulty.heal()
        experiment.recovered(await fresh(site, ledger))
        await cleared(site, FAILED)
        await owed(ledger, owing)
    # A disk that fails holds up what leaves, and sends nothing again; only a kill does.
    doubled = await judged(site, experiment, ledger, doubling=experiment.faults["kill -9 behind a failure"])
    name = "write failed" if kinds == FaultyDisk.WRITE else "sync failed"
    experiment.hit(name, faulty.failed)
    experiment.demand(obligations=owing, faults=scale.pick(12, 70), doubled=doubled)


@pytest.mark.site_with(**SITE)
async def test_disk_eio_on_write(site, faulty, experiment, scale):
    """Writes that fail at random moments cost no event that was answered with success."""
    await failing(site, faulty, experiment, scale, kinds=FaultyDisk.WRITE, seed=41)


@pytest.mark.site_with(**SITE)
async def test_disk_eio_on_sync(site, faulty, experiment, scale):
    """After a failed sync, whether its pages are gone or not, no success answer covers what was in that commit."""
    await failing(site, faulty, experiment, scale, kinds=FaultyDisk.SYNC, seed=42)
    experiment.remarks.append(f"{faulty['lost']} writes taken back")
    assert faulty["lost"] > scale.pick(0, 50), "no failed sync lost its pages: the worst case was not tried"


@pytest.mark.site_with(**SITE)
async def test_disk_that_does_not_fail(site, faulty, experiment, scale):
    """The control run: with the failing disk preloaded and well, nothing is refused, doubled or lost."""
    experiment.control = True
    ledger = Ledger()
    devices = mixed(site.url, ledger, seed=43)
    site.daemon.start()
    async with Load(devices):
        await asyncio.sleep(scale.pick(1.5, 8.0))
    assert 0 == refusals(devices)
    assert 0 == faulty.failed
    assert faulty["syncs"] > 5
    doubled = await judged(site, experiment, ledger, doubling=0)
    experiment.demand(obligations=scale.pick(30, 300), faults=0, doubled=doubled)


@pytest.mark.site_with(**SITE)
async def test_disk_read_only_for_a_while(site, faulty, experiment, scale):
    """While every write and every opening for writing is answered with EROFS pushes are refused; then all goes on."""
    ledger, rounds, owing = Ledger(), scale.pick(1, 10), scale.pick(30, 500)
    devices = mixed(site.url, ledger, seed=44)
    site.daemon.start()
    async with Load(devices):
        for _ in range(rounds):
            await acknowledged_more(devices, 20)
            faulty.fail(FaultyDisk.WRITE | FaultyDisk.OPEN, error=errno.EROFS)
            failed = faulty["writes_failed"]
            experiment.hit("push refused on a read-only disk", await refused_more(devices, 10))
            assert "disk" in (await named(site, FAILED))["action"]
            # A quick machine refuses ten pushes with few writes: it goes on until so many were refused by the disk.
            await until(lambda failed=failed: faulty["writes_failed"] >= failed + 10, "ten writes fail")
            faulty.heal()
            experiment.recovered(await fresh(site, ledger))
            await cleared(site, FAILED)
        await owed(ledger, owing)
    experiment.hit("write answered with EROFS", faulty["writes_failed"])
    doubled = await judged(
        site, experiment, ledger, doubling=0
    )  # nothing ended: what was sent is not sent again
    experiment.demand(obligations=owing, faults=20 * rounds, doubled=doubled)


@pytest.fixture
def breaking(site, tmp_path, experiment):
    """The store on an ext4 of its own, which the kernel makes read-only when it meets an error."""
    small = SmallDisk(tmp_path / "disk.img", tmp_path / "store", size=24 * MIB, need_ext4=True)
    experiment.remarks.append(f"on {small.kind}")
    yield small
    if site.daemon.running:
        site.daemon.kill()
    small.close()


async def between_two_calls(daemon, happens) -> None:
    """Have something happen while the daemon is in no call of the kernel.

    A sync that runs while ext4 meets an error may be told as done and be gone after the repair: no program can know.
    docs/reliability.md has the figures.
    """
    daemon.signal(signal.SIGSTOP)
    await asyncio.sleep(0.3)  # what it was in ends meanwhile
    happens()
    daemon.signal(signal.SIGCONT)


@pytest.mark.site_with(**SITE, store="min_free_bytes = 1048576")
async def test_disk_remounted_read_only_by_the_kernel(site, breaking, experiment, scale):
    """An error makes the file system read-only under the daemon: refused, named, and all is there after its repair."""
    ledger, rounds = Ledger(), scale.pick(1, 8)
    devices = mixed(site.url, ledger, seed=50)
    async with Load(devices):
        for number in range(rounds):
            await asyncio.to_thread(site.daemon.start)
            await acknowledged_more(devices, 40)
            await between_two_calls(site.daemon, breaking.break_down)
            experiment.hit("push refused on a read-only disk", await refused_more(devices, 10))
            assert breaking.read_only
            experiment.hit("remount read-only")
            assert "disk" in (await named(site, FAILED | {"disk_full"}))["action"]
            assert await asyncio.to_thread(site.daemon.stop) in (0, 1)
            assert not await asyncio.to_thread(attempt, site), "a start on a read-only disk"
            experiment.hit("start on a read-only disk")
            breaking.repair()
            repaired = time.monotonic()
            await asyncio.to_thread(site.daemon.start)
            await fresh(site, ledger)
            experiment.recovered(time.monotonic() - repaired)
            if number < rounds - 1:
                await asyncio.to_thread(site.daemon.stop)
    doubled = await judged(
        site, experiment, ledger, doubling=rounds
    )  # each stop on a disk that notes nothing
    experiment.demand(obligations=scale.pick(20, 300), faults=12 * rounds, doubled=doubled)
