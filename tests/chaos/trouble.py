"""What the experiments with disks share: devices that can be asked, a status that is waited for, a fresh event."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from gateway.control.client import Client
from gateway.simulate.device import Device
from gateway.simulate.ledger import Ledger

WAIT_S = 60.0  # bounded, and generous: the machine of a test may be busy with something else


def refusals(devices: Sequence[Device]) -> int:
    """Count what a device takes for a refusal: a reply that is no success, and for a terminal a closed connection."""
    return sum(device.figures.refused + device.figures.unanswered for device in devices)


def acknowledged(devices: Sequence[Device]) -> int:
    return sum(device.figures.acknowledged for device in devices)


async def until(
    true: Callable[[], Any], what: str, *, wait_s: float = WAIT_S, every_s: float = 0.05, but: Any = ""
) -> float:
    """Wait until something holds; give how long that took. ``but`` is shown when it does not come."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < wait_s, f"not in {wait_s:.0f} s: {what} {but}"
        await asyncio.sleep(every_s)
    return time.monotonic() - began


async def acknowledged_more(devices: Sequence[Device], number: int) -> None:
    """Wait until so many more pushes were taken."""
    before = acknowledged(devices)
    await until(lambda: acknowledged(devices) >= before + number, f"{number} pushes are taken")


def faults(site) -> dict[str, dict[str, Any]]:
    """Give what `gateway status` says is wrong, by code; asked as the command asks, without starting it each time."""
    told = Client(site.directory / "control.sock").get("/status")
    return {fault["code"]: fault for fault in told["faults"]}


async def named(site, codes: set[str], *, wait_s: float = 20.0) -> dict[str, Any]:
    """Wait until the status names one of these faults, with what to do about it."""
    last = time.monotonic() + wait_s
    while True:
        told = await asyncio.to_thread(faults, site)
        for code in codes & told.keys():
            assert told[code]["sentence"]
            assert told[code]["action"]
            return told[code]
        assert time.monotonic() < last, f"none of {codes} in {told}"
        await asyncio.sleep(0.2)


async def none_stands(standing: Callable[[], Collection[str]], *, wait_s: float = WAIT_S) -> None:
    """Wait until nothing is named any more; who asks may block."""
    last = time.monotonic() + wait_s
    while codes := await asyncio.to_thread(standing):
        assert time.monotonic() < last, f"still there: {codes}"
        await asyncio.sleep(0.2)


async def cleared(site, codes: set[str]) -> None:
    """Wait until the status names none of these faults."""
    await none_stands(lambda: codes & faults(site).keys())


async def fresh(site, ledger: Ledger, *, wait_s: float = WAIT_S) -> float:
    """Have a terminal that never spoke say something, and see that very record at both far ends; give the seconds."""
    return await asyncio.to_thread(site.fresh_event, ledger, timeout_s=wait_s)


async def refused_more(devices, number, wait_s=40.0):
    before = refusals(devices)
    await until(lambda: refusals(devices) >= before + number, f"{number} refusals", wait_s=wait_s)
    return refusals(devices) - before


async def judged(site, experiment, ledger: Ledger, *, doubling: int) -> int:
    """Settle, hold both far ends against the ledger, and look where the doubles came from.

    ``doubling`` is how many of the faults make something come again: at each far end no more than a window for each.
    Give what that makes for both, for `Experiment.demand`.
    """
    await asyncio.to_thread(site.settle, timeout_s=120.0)
    experiment.owe(len(ledger.obligations()))
    for far_end, verdict in site.judge(ledger, told=experiment.judge).items():
        assert len(verdict.duplicates) <= doubling * site.window, f"{far_end}: {verdict}"
    for far_end in site.in_order:
        site.doubles_in_flight(far_end, site.window)
    return 2 * doubling * site.window


def attempt(site) -> bool:
    """Start the daemon, as systemd would again and again; False when it ended instead, with a sentence that says why."""
    try:
        site.daemon.start()
    except AssertionError:
        assert not site.daemon.running
        assert "gateway_cannot_run" in site.daemon.tail(3), site.daemon.tail()
        return False
    return True
