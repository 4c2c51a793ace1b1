"""Power cuts of the whole daemon: its answers to real devices against everything that it put on its disk."""

import asyncio
import random
import shutil
import time

import left_over
import powercut
import pytest
import recorded_daemon
from killing import chance
from site_under_test import Site

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The compiled recorder."""
    return powercut.build(tmp_path_factory.mktemp("recorder"))


def cut(life, place, survival, rng, directory):
    """Put what a cut leaves into a directory of its own."""
    disk = powercut.after_cut(life.records[:place], survival, rng)
    powercut.put(disk, life.site, directory)
    (directory / "store").mkdir(parents=True, exist_ok=True)
    return directory


def cut_everywhere(life, cuts, rng):
    """Cut at random places and give what each cut left."""
    with powercut.disks() as directory:
        for number in range(cuts):
            place, survival = rng.randrange(len(life.records) + 1), powercut.SURVIVALS[number % 4]
            left = cut(life, place, survival, rng, directory / f"cut{number}")
            yield place, survival, left_over.look(left / "store", life, place)
            shutil.rmtree(left)


def losses(life, cuts, rng):
    """Give how many cuts lost something, and how many broke the store."""
    found = [remains for *_, remains in cut_everywhere(life, cuts, rng) if remains.owed]
    return sum(one.lost > 0 for one in found), sum(one.broken is not None for one in found), len(found)


async def test_power_cut_of_the_whole_daemon(library, tmp_path, experiment, scale):
    """After a cut at any moment the store is sound and holds all that devices were told; fewer syncs lose, and show it."""
    luck = chance(4720)
    life = await record(library, tmp_path / "full", "FULL", luck, scale)
    for place, survival, remains in cut_everywhere(life, scale.pick(60, 1_200), luck):
        experiment.hit("power cut")
        experiment.owe(remains.owed)
        experiment.found(missing=remains.lost, wrong=remains.broken is not None)
        assert remains.broken is None, f"{survival} at {place}: {remains.broken}"
    for number in range(scale.pick(1, 40)):
        place = luck.randrange(len(life.records) // 5, len(life.records) + 1)
        await start_again(
            life, place, powercut.SURVIVALS[number % 4], luck, tmp_path / f"again{number}", experiment
        )
    # No doubles are looked for: the far ends of a start are new ones.
    experiment.demand(obligations=scale.pick(2_500, 100_000), faults=scale.pick(61, 1_240), doubled=None)
    for synchronous in ("NORMAL", "OFF"):
        life = await record(library, tmp_path / synchronous, synchronous, luck, scale)
        losing, broken, cuts = losses(life, scale.pick(24, 200), luck)
        experiment.remarks.append(f"{synchronous}: {losing} of {cuts} cuts lose, {broken} break")
        assert losing + broken > cuts // 4, (
            f"with {synchronous} hardly anything is lost: the rig proves nothing"
        )


async def record(library, directory, synchronous, luck, scale):
    answers = scale.pick(150, 1_000)
    seed = luck.getrandbits(30)
    life = await recorded_daemon.record(directory, library, synchronous, answers=answers, seed=seed)
    assert len(life.acknowledged(len(life.records))) >= answers, "hardly anything was acknowledged"
    return life


async def start_again(life, place, survival, luck: random.Random, directory, experiment):
    """Start the real daemon on what a cut left: no rescue, all that was owed is delivered, a fresh event flows."""
    directory.mkdir()
    site = Site(directory, more=recorded_daemon.PICTURES)
    try:
        cut(life, place, survival, luck, directory)
        owed = {sink: left_over.still_owed(directory / "store", sink) for sink in ("home", "cloud")}
        started = time.monotonic()
        await asyncio.to_thread(site.daemon.start)
        await asyncio.to_thread(site.fresh_event)
        experiment.recovered(time.monotonic() - started)
        experiment.hit("start after a cut")
        assert not list((directory / "store").glob("*damaged*")), "the store had to be rescued"
        await asyncio.to_thread(nothing_waits, site)
        for far_end, marks in owed.items():
            experiment.owe(len(marks))
            experiment.found(missing=len(marks - marks_at(site, far_end)))
    finally:
        site.close()


def nothing_waits(site):
    """Wait until both sinks have everything; these far ends never saw what was settled before the cut."""
    deadline = time.monotonic() + 60
    while True:
        accounts = site.accounts()
        if all(account["waiting"] == 0 for account in accounts):
            assert [True, True] == [account["balanced"] for account in accounts]
            return
        assert time.monotonic() < deadline, f"not settled: {accounts}\n{site.daemon.tail()}"
        time.sleep(0.1)


def marks_at(site, far_end):
    return {(event["id"], event["revision"]) for event in site.events_at(far_end)}
