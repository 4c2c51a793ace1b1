"""A disk without a free byte under the running daemon: refused honestly, forwarded where it can, well again by itself."""

import asyncio
import hashlib
import time

import pytest
from lined_site import owed
from load import Load, mixed, terminal
from site_under_test import IN_ORDER
from small_disk import MIB, SmallDisk
from trouble import (
    acknowledged,
    acknowledged_more,
    attempt,
    cleared,
    fresh,
    judged,
    named,
    refusals,
    refused_more,
    until,
)

from gateway.simulate.facts import event_of
from gateway.simulate.ledger import Ledger
from gateway.simulate.receiver import Outcome
from gateway.simulate.terminal_json import Firmware

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WINDOW, BATCH = 100, 20
SITE = {"window": WINDOW, "batch": BATCH, "home": IN_ORDER}
SAID = {"disk_full", "store_full", "store_failed"}
AWAY = Outcome(status=503)


@pytest.fixture
def disk(site, tmp_path, experiment):
    """The store on a file system of its own, too big to be filled by it; the daemon is down when it is taken away."""
    small = SmallDisk(tmp_path / "disk.img", tmp_path / "store", size=64 * MIB)
    experiment.remarks.append(f"on {small.kind}")
    yield small
    if site.daemon.running:
        site.daemon.kill()
    small.close()


async def filled(site, disk, experiment, ledger, *, leave: int, rounds: int, seed: int, owing: int) -> int:
    devices = mixed(site.url, ledger, seed=seed)
    site.daemon.start()
    async with Load(devices):
        for _ in range(rounds):
            await acknowledged_more(devices, 20)
            # Something is kept for the upstream before the disk is full, and must go out while it is.
            site.upstream.decide = lambda _request: AWAY
            held = len(site.events_at("cloud"))
            await asyncio.sleep(0.7)
            disk.fill(leave=leave)
            assert disk.free <= leave
            experiment.hit("push refused on a full disk", await refused_more(devices, 10))
            fault = await named(site, SAID)
            assert "disk" in fault["action"] or "df" in fault["action"]
            site.upstream.decide = None
            await until(lambda held=held: len(site.events_at("cloud")) > held + 20, "forwarding goes on")
            experiment.hit("full disk")
            disk.empty()
            experiment.recovered(await fresh(site, ledger))
            await cleared(site, SAID)
        await owed(ledger, owing)
    return await judged(
        site, experiment, ledger, doubling=0
    )  # nothing ended: what was sent is not sent again


@pytest.mark.site_with(**SITE, store="min_free_bytes = 2097152")
async def test_disk_full_down_to_the_reserve(site, disk, experiment, scale):
    """At the reserve pushes are refused, all that is kept goes out meanwhile, and with room everything is taken again."""
    owing = scale.pick(30, 800)
    rounds = scale.pick(1, 8)
    doubled = await filled(site, disk, experiment, Ledger(), leave=MIB, rounds=rounds, seed=21, owing=owing)
    experiment.demand(obligations=owing, faults=10, doubled=doubled)


@pytest.mark.site_with(**SITE, store="min_free_bytes = 0")
async def test_disk_full_to_the_last_byte(site, disk, experiment, scale):
    """Without a reserve the disk itself refuses: no success without a commit, what is kept goes out, nothing is lost."""
    owing = scale.pick(30, 800)
    rounds = scale.pick(1, 5)
    doubled = await filled(site, disk, experiment, Ledger(), leave=0, rounds=rounds, seed=22, owing=owing)
    experiment.demand(obligations=owing, faults=10, doubled=doubled)


@pytest.mark.site_with(**SITE, store="min_free_bytes = 0")
async def test_disk_full_while_delivering(site, disk, experiment, scale):
    """A backlog that drains on a disk without a byte, with kills in between, comes whole; doubles stay in the window."""
    ledger, rounds, came_up = Ledger(), scale.pick(1, 6), 0
    site.daemon.start()
    async with Load(mixed(site.url, ledger, seed=30)):
        for _ in range(rounds):
            site.upstream.decide = lambda _request: AWAY
            await asyncio.sleep(scale.pick(1.5, 4.0))
            held = len(site.events_at("cloud"))
            disk.fill()
            site.upstream.decide = None
            await until(lambda held=held: len(site.events_at("cloud")) > held, "the drain begins")
            experiment.hit("drain on a full disk")
            site.daemon.kill()
            experiment.hit("kill -9")
            # Each start is an attempt, as systemd makes them: one that cannot be leaves everything as it is.
            came = await asyncio.to_thread(attempt, site)
            experiment.hit("start on a full disk")
            came_up += came
            await asyncio.sleep(0.5)
            disk.empty()
            ended = time.monotonic()
            if not site.daemon.running:
                await asyncio.to_thread(site.daemon.start)
            await fresh(site, ledger)
            experiment.recovered(time.monotonic() - ended)
    experiment.remarks.append(f"{came_up} starts came up on the full disk")
    # The kills, and the starts that ended by themselves on the full disk.
    doubled = await judged(site, experiment, ledger, doubling=2 * rounds - came_up)
    experiment.demand(obligations=scale.pick(30, 500), faults=3 * rounds, doubled=doubled)


@pytest.mark.site_with(**SITE, store="min_free_bytes = 0", more="[pictures]\nkeep = true\n")
async def test_disk_full_with_pictures(site, disk, experiment, scale):
    """With pictures to keep, a full disk costs pictures before it costs events; what was answered is not lost."""
    owing = scale.pick(20, 300)
    ledger, rounds = Ledger(), scale.pick(1, 8)  # what is kept must fit on the small disk
    shown = Firmware(picture_bytes=20_000)
    terminals = [
        terminal(site.url, n, ledger, seed=60, rate=60.0, alarms_per_hour=0.0, firmware=shown)
        for n in range(3)
    ]
    site.daemon.start()
    async with Load(terminals):
        for _ in range(rounds):
            await acknowledged_more(terminals, 20)
            disk.fill()
            given_up = await named(site, {"pictures_given_up"})
            assert "disk" in given_up["action"].lower()
            # Events are small and go on as long as the WAL has room within itself; then they are refused.
            answered = acknowledged(terminals) + refusals(terminals)
            await until(
                lambda answered=answered: acknowledged(terminals) + refusals(terminals) > answered + 20,
                "answers on a full disk",
                but=[terminal.figures for terminal in terminals],
            )
            given_up = await named(site, {"pictures_given_up"})
            experiment.hit("picture given up on a full disk", given_up["count"])
            disk.empty()
            experiment.recovered(await fresh(site, ledger))
            await cleared(site, SAID | {"pictures_given_up"})
        await owed(ledger, owing)
    doubled = await judged(
        site, experiment, ledger, doubling=0
    )  # nothing ended: what was sent is not sent again
    kept = [path for path in (disk.place / "pictures").iterdir() if path.suffix == ".jpg"]
    said = {event_of(one)["data"].get("picture_sha256") for one in site.events_at("cloud")} - {None}
    assert {path.stem for path in kept} == said, (
        "a picture without its event, or an event without its picture"
    )
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in kept)
    experiment.remarks.append(f"{len(kept)} pictures kept")
    experiment.demand(obligations=owing, faults=6 * rounds, doubled=doubled)
