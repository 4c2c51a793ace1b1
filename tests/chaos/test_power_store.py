"""Power cuts of the store alone, also while it folds back its WAL and removes what is old."""

import random
import shutil
import sqlite3
from pathlib import Path

import powercut
import pytest
from keeping import NOON, account, opened
from killing import chance
from store_child import event_of
from store_life import answered_before, child, lost

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The compiled recorder."""
    return powercut.build(tmp_path_factory.mktemp("recorder"))


def recorded(library, directory, events, *how):
    """Let a process live its whole life and give all that it asked of its disk."""
    watched, log = directory / "watched", directory / "log"
    watched.mkdir(parents=True)
    assert 0 == child(watched, events, *how, env=powercut.environment(library, log, watched)).wait(300)
    records = powercut.read(log)
    left = {str(file): file.read_bytes() for file in watched.iterdir() if not file.name.endswith("-shm")}
    assert left == powercut.uncut(records), "the recorder missed what the store does"
    assert [] == powercut.strange(records)
    return records


def cut(records, survival, rng, directory):
    """Put what a cut leaves into a directory of its own."""
    directory.mkdir()
    for path, content in powercut.after_cut(records, survival, rng).items():
        (directory / Path(path).name).write_bytes(content)
    return directory


def cut_everywhere(records, events, cuts, rng: random.Random):
    """Cut the power at random places; give for each cut what was owed, and how much is lost, None for a broken store."""
    with powercut.disks() as directory:
        for number in range(cuts):
            before = records[: rng.randrange(len(records) + 1)]
            owed = answered_before(before)
            disk = cut(before, powercut.SURVIVALS[number % 4], rng, directory / f"cut{number}")
            try:
                yield len(owed), len(lost(disk, owed, events)) if owed else 0
            except (sqlite3.DatabaseError, AssertionError):
                yield len(owed), None
            shutil.rmtree(disk)


async def test_power_cut_of_the_store(library, tmp_path, experiment, scale):
    """With FULL no cut loses or breaks anything; with NORMAL and OFF the same cuts lose, so the rig would show it."""
    luck, cuts, events = chance(11), scale.pick(120, 1_500), scale.pick(150, 400)
    records = recorded(library, tmp_path / "full", events)
    assert 20 < sum(record.kind in "sd" for record in records)
    for owed, missing in cut_everywhere(records, events, cuts, luck):
        experiment.hit("power cut")
        experiment.owe(owed)
        experiment.found(missing=missing or 0, wrong=missing is None)
    await opens_again(records, events, scale.pick(6, 100), luck, tmp_path)
    for synchronous in ("NORMAL", "OFF"):
        fewer = recorded(library, tmp_path / synchronous, events, synchronous)
        found = [one for one in cut_everywhere(fewer, events, scale.pick(120, 750), luck) if one[0]]
        losing, broken = sum(bool(missing) for _, missing in found), sum(gone is None for _, gone in found)
        experiment.remarks.append(f"{synchronous}: {losing} of {len(found)} cuts lose, {broken} break")
        assert losing + broken > len(found) // 3
        assert (losing if synchronous == "NORMAL" else broken) > len(found) // 10
    # The store alone: there is no far end.
    experiment.demand(obligations=cuts * events // 4, faults=cuts, doubled=None)


async def opens_again(records, events, cuts, luck, directory):
    """The daemon's own start finds nothing to salvage after a cut, and goes on behind the last number."""
    for number in range(cuts):
        place = luck.randrange(len(records) // 3, len(records) + 1)
        disk = cut(records[:place], powercut.SURVIVALS[number % 4], luck, directory / f"open{number}")
        async with opened(disk) as outbox:
            assert outbox.salvaged is None
            head = outbox.head
            assert head + 1 == (await outbox.append([event_of(events + 1)], NOON)).first_seq
            _, waiting, counted = account(disk, "sink")
            assert waiting == counted
        shutil.rmtree(disk)
