"""What the gateway takes for the time, on a box that does not know it, or learns it later."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hand_clock import EPOCH, NOW, HandClock, in_use

from gateway import clock
from gateway.clock import RELEASED, Standing, SystemClock, kernel

HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)


@pytest.fixture
def box():
    """A box whose clock shows the right time, and that nobody synchronises."""
    with in_use(HandClock(synced=False)) as by_hand:
        yield by_hand


def anchored(newest=None, *, believe=False):
    clock.anchor(newest, believe=believe)


def test_a_box_that_starts_in_1970_goes_on_from_the_newest_receipt(box):
    """Instants never fall behind what the store knows; they grow at the pace of time and are called a guess."""
    box.set(EPOCH, synced=False)
    anchored(NOW)
    assert NOW == clock.now()
    box.go(90)
    assert NOW + timedelta(seconds=90) == clock.now()
    assert not clock.trusted()
    assert not clock.plausible()
    assert Standing.UNSET == clock.standing()


def test_a_box_that_starts_in_1970_with_an_empty_store_says_so(box):
    """Without anything to go on from the clock shows 1970, and nobody takes that for the time."""
    box.set(EPOCH, synced=False)
    anchored(None, believe=True)
    assert EPOCH == clock.now()
    assert (False, False, Standing.UNSET) == (clock.trusted(), clock.plausible(), clock.standing())


def test_the_guess_ends_when_the_box_is_told_the_time(box):
    """A synchronised clock is believed at once, and instants read before are not vouched for."""
    box.set(EPOCH, synced=False)
    anchored(NOW)
    box.go(60)
    before = clock.now()
    box.set(NOW + 2 * HOUR)
    assert NOW + 2 * HOUR == clock.now()
    assert (True, Standing.SYNCED) == (clock.trusted(), clock.standing())
    assert not clock.vouches(before)
    assert clock.vouches(clock.now())


def test_a_synchronised_clock_is_believed_although_the_store_knows_a_later_instant(box):
    """What was received by a clock that was a year ahead does not hold back the right one."""
    box.set(NOW)
    anchored(NOW + YEAR)
    assert NOW == clock.now()
    assert clock.trusted()


def test_a_step_while_running_is_followed_in_both_directions(box):
    """Somebody who sets the clock is believed to know why, also when it goes back; but never to 1970."""
    anchored(NOW + HOUR)
    assert NOW + HOUR == clock.now()
    box.go(10)
    box.set(NOW + timedelta(minutes=20), synced=False)
    assert NOW + timedelta(minutes=20) == clock.now()
    assert Standing.UNSYNCED == clock.standing()
    box.set(NOW - 3 * HOUR, synced=False)
    assert NOW - 3 * HOUR == clock.now()


def test_a_step_to_where_no_clock_can_be_right_is_not_followed(box):
    """The guess goes on without a gap when the box is set to another impossible time."""
    box.set(EPOCH, synced=False)
    anchored(NOW)
    box.go(10)
    box.set(EPOCH + YEAR, synced=False)
    assert NOW + timedelta(seconds=10) == clock.now()
    box.go(5)
    assert NOW + timedelta(seconds=15) == clock.now()


def test_a_clock_that_nobody_sets_is_plausible_and_trusted_only_if_the_owner_says_so(box):
    """By default a clock needs a time server; "plausible" believes it, until it cannot be right."""
    anchored(NOW - HOUR)
    assert (False, True, Standing.UNSYNCED) == (clock.trusted(), clock.plausible(), clock.standing())
    clock.believe(True)
    assert (True, True, Standing.BELIEVED) == (clock.trusted(), clock.plausible(), clock.standing())
    box.set(RELEASED - HOUR, synced=False)
    assert (False, False, Standing.UNSET) == (clock.trusted(), clock.plausible(), clock.standing())


def test_an_instant_that_lies_ahead_of_a_corrected_clock_is_not_vouched_for(box):
    """What was read from a clock that was a year ahead was wrong."""
    box.set(NOW + YEAR, synced=False)
    anchored(None)
    ahead = clock.now()
    box.set(NOW)
    assert clock.trusted()
    assert not clock.vouches(ahead)


class Kernel:
    """What the kernel says, as the test wants it."""

    def __init__(self):
        self.synced = True
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return self.synced


def test_the_kernel_is_asked_about_once_a_second(monkeypatch):
    """The verdict is cached, because it is asked for with every push."""
    steady = 50.0
    monkeypatch.setattr(time, "monotonic", lambda: steady)
    said = Kernel()
    box = SystemClock(said)
    assert all(box.trusted() for _ in range(1000))
    assert 1 == said.asked
    steady += 1.5
    assert box.trusted()
    assert 2 == said.asked


def test_a_clock_that_was_right_stays_good_for_days_without_its_time_server(monkeypatch):
    """An uplink that is away for a night makes nothing doubtful; a step meanwhile, or a week, does."""
    steady, ahead = 50.0, NOW.timestamp()
    monkeypatch.setattr(time, "monotonic", lambda: steady)
    said = Kernel()
    box = SystemClock(said)
    monkeypatch.setattr(SystemClock, "now", lambda _self: datetime.fromtimestamp(ahead + steady, UTC))
    assert box.trusted()
    said.synced = False
    steady += 86_400
    assert box.trusted()
    steady += 7 * 86_400
    assert not box.trusted()
    said.synced = True
    steady += 2
    assert box.trusted()
    said.synced = False
    ahead += 3600
    steady += 2
    assert not box.trusted()


def test_a_kernel_that_calls_1970_synchronised_is_not_believed(monkeypatch):
    """A time server may be as wrong as anybody."""
    monkeypatch.setattr(SystemClock, "now", lambda _self: EPOCH)
    assert not SystemClock(Kernel()).trusted()


def test_the_kernel_of_this_machine_answers():
    """The question needs no rights and has an answer everywhere."""
    assert kernel.synced() in (True, False)
