"""Parts that die are started again, and a person is told."""

import anyio
import pytest
from hand_clock import HandClock

from gateway import clock
from gateway.daemon.supervision import GivingUp, supervise
from gateway.faults import Faults

pytestmark = pytest.mark.anyio


async def test_a_part_that_dies_is_started_again_and_told():
    """The second life runs to its end, and the fault names the part and its error."""
    faults, lives = Faults(), []

    async def part() -> None:
        lives.append(1)
        if len(lives) == 1:
            raise KeyError("first life")

    with anyio.fail_after(5):
        await supervise("sorter", part, faults)
    assert 2 == len(lives)
    (fault,) = faults
    assert ("task_restarted", "sorter") == (fault.code, fault.subject)
    assert "first life" in fault.sentence


async def test_an_essential_part_that_keeps_dying_ends_the_process():
    """Going on without a writer would lose events: after so many tries the process gives up."""

    async def part() -> None:
        raise OSError("no disk")

    with anyio.fail_after(10), pytest.raises(GivingUp, match="no disk"):
        await supervise("writer", part, Faults(), essential=True, tries=3)


def test_a_noisy_sender_pushes_out_nobody_elses_fault():
    """Faults are bounded per code: a thousand refused senders leave a full store standing."""
    faults = Faults()
    faults.report("store_full", "", "The store is full.")
    for number in range(1_000):
        faults.report("refused_sender", f"198.51.100.{number}", "refused")
    assert "store_full" in {fault.code for fault in faults}
    assert len(faults) <= 1 + Faults.MAX_ALIKE


def test_very_many_standing_faults_are_calm():
    """Of sixty silent devices each is news once, fifty are shown with their own start, and the rest is counted."""
    faults = Faults()
    names = [f"device-{number}" for number in range(60)]
    news = [
        sum(faults.report("device_silent", name, "It is silent.", again=False) for name in names)
        for _ in range(5)
    ]
    assert [60, 0, 0, 0, 0] == news
    shown = list(faults)
    assert names[:50] == [fault.subject for fault in shown]
    assert "10 more" in shown[-1].sentence
    assert "more" not in shown[0].sentence
    assert faults.clear("device_silent", "device-55")
    assert not faults.clear("device_silent", "device-55")
    assert faults.clear("device_silent", "device-0")
    assert not faults.report(
        "device_silent", "device-56", "It is silent.", again=False
    )  # there is room, and no news
    assert "8 more" in list(faults)[-1].sentence
    for name in names:
        faults.clear("device_silent", name)
    assert [] == list(faults)


def test_what_happened_once_is_forgotten_in_time():
    """A refused connection is no longer a fault when it has not happened again for an hour; a full store stays one."""
    hand = HandClock()
    before = clock.use(hand)
    try:
        faults = Faults()
        faults.report("refused_sender", "198.51.100.1", "refused")
        faults.report("store_full", "", "The store is full.")
        hand.go(7200)
        assert ["store_full"] == [fault.code for fault in faults]
    finally:
        clock.use(before)
