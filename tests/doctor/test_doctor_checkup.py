"""The daemon's own look at the box: what the doctor's cheap checks find are its faults, and none of them flaps."""

import threading
import time

import pytest
from box_under_test import a_box
from pages import PAGES

from gateway.config import Config
from gateway.daemon import checkup
from gateway.daemon.checkup import Checkup
from gateway.doctor.box import Check, hindered, well, wrong
from gateway.doctor.checks import BOX_CHECKS
from gateway.doctor.examining import examine
from gateway.doctor.memory import CHECK as MEMORY
from gateway.doctor.power import TEMPERATURE
from gateway.faults import ACTIONS, Faults

pytestmark = pytest.mark.anyio


class Scripted:
    """A check that finds what the test says."""

    def __init__(self, code="too_hot", *, looks=1, cheap=True):
        self.found = [well("heat", "It is cool.")]
        self.times = 0
        self.check = Check("heat", self._look, frozenset({code}), cheap=cheap, looks=looks)

    def _look(self, box):
        self.times += 1
        yield from self.found


def codes(faults):
    return [fault.code for fault in faults]


async def rounds(look, number=1):
    for _ in range(number):
        await look.look()


async def test_what_is_found_is_a_fault_and_goes_with_it():
    """A finding stands as a fault with its own sentence and action, once, until it is gone."""
    heat, faults = Scripted(), Faults()
    look = Checkup(Config(), faults, [heat.check])
    heat.found = [wrong("heat", "too_hot", "It is 83 °C hot.", remedy="Open the door.")]
    await rounds(look, 3)
    (fault,) = faults
    assert ("too_hot", "It is 83 °C hot.", "Open the door.", 1) == (
        fault.code,
        fault.sentence,
        fault.action,
        fault.count,
    )
    heat.found = [wrong("heat", "too_hot", "It is 84 °C hot.")]
    await rounds(look)
    assert [("It is 84 °C hot.", ACTIONS["too_hot"])] == [(fault.sentence, fault.action) for fault in faults]
    heat.found = []
    await rounds(look)
    assert [] == codes(faults)


async def test_what_comes_and_goes_neither_begins_nor_ends_a_fault():
    """A check that wants three looks in a row is not moved by one look that says otherwise."""
    heat, faults = Scripted(looks=3), Faults()
    look = Checkup(Config(), faults, [heat.check])
    hot, cool = [wrong("heat", "too_hot", "It is hot.")], [well("heat", "It is cool.")]
    told = []
    for heat.found in (hot, hot, cool, hot, hot, hot, cool, cool, hot, cool, cool, cool):
        await rounds(look)
        told.append(len(faults))
    assert [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0] == told


async def test_what_cannot_be_told_leaves_the_fault_as_it_is():
    """A look that failed is no sign of health."""
    heat, faults = Scripted(), Faults()
    look = Checkup(Config(), faults, [heat.check])
    heat.found = [wrong("heat", "too_hot", "It is hot.")]
    await rounds(look)
    heat.found = [hindered("heat", "It does not answer.")]
    await rounds(look, 5)
    assert ["too_hot"] == codes(faults)


async def test_advice_is_no_fault_of_the_daemon():
    """What is only worth doing never stands in the status: it would hide what is broken."""
    lease, faults = Scripted("reboot_needed"), Faults()
    lease.found = [wrong("heat", "reboot_needed", "An update waits.")]
    await rounds(Checkup(Config(), faults, [lease.check]), 3)
    assert [] == codes(faults)


async def test_a_change_of_the_file_is_not_told_beside_its_rejection():
    """The daemon says itself when it could not use the file; that is one fault."""
    changed, faults = Scripted("config_changed"), Faults()
    look = Checkup(Config(), faults, [changed.check])
    changed.found = [wrong("heat", "config_changed", "The file was changed.")]
    faults.report("config_rejected", "", "The new configuration was not taken over.")
    await rounds(look, 2)
    assert ["config_rejected"] == codes(faults)
    faults.clear("config_rejected")
    await rounds(look)
    assert ["config_changed"] == codes(faults)


async def test_a_check_that_hangs_holds_up_no_other(monkeypatch):
    """It is waited for once, not begun again while it hangs, and judged when it comes back."""
    monkeypatch.setattr(checkup, "_LIMIT_S", 0.2)
    free, begun = threading.Event(), []

    def hang(box):
        begun.append(box)
        free.wait(60)
        yield wrong("disk", "disk_read_only", "It takes no writes.")

    heat, faults = Scripted(), Faults()
    heat.found = [wrong("heat", "too_hot", "It is hot.")]
    stuck = Check("disk", hang, frozenset({"disk_read_only"}), cheap=True)
    look = Checkup(Config(), faults, [stuck, heat.check])
    await rounds(look, 3)
    assert ["too_hot"] == codes(faults)
    assert (1, 3) == (len(begun), heat.times)
    free.set()
    await rounds(look)
    assert {"too_hot", "disk_read_only"} == set(codes(faults))


def test_only_checks_without_network_run_in_the_daemon():
    """Every minute is too often to start a program, or to call anybody; these are the ones that do neither."""
    cheap = {check.name for check in BOX_CHECKS if check.cheap}
    assert not cheap & {"gateway", "port", "drive", "kernel log", "store", "devices", "clock", "space"}
    assert {
        "disk",
        "card",
        "power",
        "temperature",
        "memory",
        "address",
        "permissions",
        "configuration",
    } <= cheap


def test_checks_that_hang_do_not_hide_what_was_found(tmp_path):
    """All run side by side within one limit; what a check found before it hung is kept, and that it hangs is said."""
    free = threading.Event()

    def hang(box):
        yield well("slow", "The first step went well.")
        free.wait(60)

    def die(box):
        raise RuntimeError("no such thing")
        yield

    heat = Scripted()
    checks = [Check(f"slow {number}", hang, frozenset()) for number in range(20)]
    checks += [Check("dead", die, frozenset()), heat.check]
    began = time.monotonic()
    found = list(examine(checks, a_box(tmp_path), 0.5))
    assert time.monotonic() - began < 10  # twenty times that, one after the other
    free.set()
    assert 42 == len(found)
    assert 21 == sum(one.hindered for one in found)
    assert "RuntimeError: no such thing" in found[-2].sentence
    assert found[-1].well and found[-1].known


@pytest.mark.parametrize(("page", "said"), [("operate.md", "at three looks in a row, a minute apart"),
                                            ("doctor.md", "at three looks in a row")])  # fmt: skip
def test_the_pages_say_how_often_it_is_looked(page, said):
    """How many looks a figure must be over its mark, and how far they are apart, is so in the pages too."""
    assert (3, 3, 60.0) == (TEMPERATURE.looks, MEMORY.looks, checkup._ROUND_S)
    assert said in " ".join(PAGES[page].split())
