"""What people are told about the clock of the box, and about the clocks of devices, when time jumps."""

from datetime import timedelta

import pytest
from hand_clock import EPOCH, NOW, HandClock, in_use
from keeping import count, counter, opened

from gateway import clock
from gateway.daemon.clocks import judge_clocks
from gateway.daemon.own_clock import OwnClock
from gateway.faults import Faults
from gateway.projection import Projection

HOUR = timedelta(hours=1)


@pytest.fixture
def box():
    with in_use(HandClock(synced=False)) as by_hand:
        yield by_hand


def codes(faults):
    return [fault.code for fault in faults]


def test_a_box_gets_two_minutes_to_learn_the_time(box):
    """A clock that may be right and that nobody sets is a fault after a while, one, and until somebody does."""
    clock.anchor(None, believe=False)
    faults, told = Faults(), []
    own = OwnClock(faults, lambda: told.append(clock.now()))
    own.look()
    assert [] == codes(faults)
    for _ in range(200):
        box.go(1)
        own.look()
    assert ["clock_unsynced"] == codes(faults)
    assert 1 == next(iter(faults)).count
    box.synced = True
    own.look()
    assert [] == codes(faults)
    assert [clock.now()] == told


def test_a_clock_that_cannot_be_right_is_told_at_once(box):
    """In 1970 nobody waits for two minutes, and the owner's belief changes nothing."""
    box.set(EPOCH, synced=False)
    clock.anchor(NOW, believe=True)
    faults = Faults()
    OwnClock(faults, lambda: None).look()
    assert ["clock_unsynced"] == codes(faults)
    assert "not set" in next(iter(faults)).sentence


def test_a_clock_that_the_owner_believes_is_no_fault(box):
    """A site without any time server is quiet when the owner said so."""
    clock.anchor(NOW - HOUR, believe=True)
    faults = Faults()
    own = OwnClock(faults, lambda: None)
    for _ in range(200):
        box.go(1)
        own.look()
    assert [] == codes(faults)


def test_faults_follow_a_jump_and_pass_by_their_real_age(box):
    """A fault of a minute ago is one of a minute ago after a jump of decades, and is forgotten after its hour."""
    box.set(EPOCH, synced=False)
    clock.anchor(None, believe=False)
    faults = Faults()
    own = OwnClock(faults, lambda: None)
    faults.report("refused_sender", "x", "somebody came")
    box.go(60)
    box.set(NOW)
    own.look()
    assert ["refused_sender"] == codes(faults)
    assert NOW - timedelta(seconds=60) == next(iter(faults)).since
    box.set(NOW - HOUR)
    own.look()
    box.go(3500)
    assert ["refused_sender"] == codes(faults)
    box.go(100)
    assert [] == codes(faults)


@pytest.mark.anyio
async def test_the_clocks_of_devices_are_judged_by_a_trusted_clock_only(box, tmp_path):
    """While nobody vouches for our clock, no device is said to be wrong; then the sentence says how far and which way."""
    box.set(NOW)
    clock.anchor(None, believe=False)
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=NOW - HOUR, sent_at=NOW - HOUR)], clock.now())
        projection, faults = Projection(outbox.path, "gw", NOW.tzinfo), Faults()
        box.set(NOW, synced=False)
        await judge_clocks(projection, faults)
        assert [] == codes(faults)
        box.synced = True
        await judge_clocks(projection, faults)
        assert ["The clock of counter-a is 1 h behind the gateway's."] == [f.sentence for f in faults]
        projection.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("device", "behind_s", "advice"),
    [
        ("camlytics-hall-1", 9 * 3600 + 4, "`zone` of [camlytics.hall]"),
        ("camlytics-hall-east-1", 5.75 * 3600, "`zone` of [camlytics.hall-east]"),
        ("camlytics-hall-1", 450, "set the device's clock"),
        ("counter-a", 3600 + 20, "compare the one that is set on the device with `site.zone`"),
        ("counter-a", 2000, "set the device's clock"),
    ],
)
async def test_an_offset_of_a_time_zone_names_the_setting(box, tmp_path, device, behind_s, advice):
    """Whole quarters of an hour on a PC, and whole hours elsewhere, lead to the zone and not to the clock."""
    box.set(NOW)
    clock.anchor(None, believe=False)
    async with opened(tmp_path) as outbox:
        then = NOW - timedelta(seconds=behind_s)
        await outbox.append([count(time=then, sent_at=then, device=counter(device))], clock.now())
        projection, faults = Projection(outbox.path, "gw", NOW.tzinfo), Faults()
        await judge_clocks(projection, faults, ["hall", "hall-east", "yard"])
        (fault,) = faults
        assert advice in fault.action
        projection.close()


@pytest.mark.anyio
async def test_no_day_is_named_that_cannot_be(box, tmp_path):
    """In 1970 a state has no day and no numbers of today, and its totals are there; at the sync the day is right."""
    box.set(EPOCH, synced=False)
    clock.anchor(None, believe=False)
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=NOW, enters=3)], clock.now())
        projection = Projection(outbox.path, "gw", NOW.tzinfo)
        (state,) = projection._states(None)
        assert b'"day": null' in state.payload
        assert b'"enters_today": null' in state.payload
        assert b'"enters_total": 3' in state.payload
        box.set(NOW)
        (state,) = projection._states(None)
        assert b'"day": "2026-11-20"' in state.payload
        assert b'"enters_today": 3' in state.payload
        projection.close()
