"""What the experiments with disks share: devices that can be asked, a status that is waited for, a fresh event."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from load import LINE, terminal

from gateway.control.client import Client
from gateway.simulate.device import Device
from gateway.simulate.ledger import Ledger

_newcomers = itertools.count(90_000)


def refusals(devices: Sequence[Device]) -> int:
    """Count what a device takes for a refusal: a reply that is no success, and for a terminal a closed connection."""
    return sum(device.figures.refused + device.figures.unanswered for device in devices)


def acknowledged(devices: Sequence[Device]) -> int:
    return sum(device.figures.acknowledged for device in devices)


async def until(
    true: Callable[[], Any], what: str, *, wait_s: float = 40.0, every_s: float = 0.05, but: Any = ""
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


async def cleared(site, codes: set[str], *, wait_s: float = 30.0) -> None:
    """Wait until the status names none of these faults."""
    last = time.monotonic() + wait_s
    while codes & (told := await asyncio.to_thread(faults, site)).keys():
        assert time.monotonic() < last, f"still there: {codes & told.keys()}"
        await asyncio.sleep(0.2)


async def fresh(site, ledger: Ledger, *, wait_s: float = 60.0) -> float:
    """Have a device that never spoke before say something, and wait until both far ends have it; give the seconds."""
    began = time.monotonic()
    number = next(_newcomers)
    newcomer = terminal(site.url, number, ledger, seed=number, line=LINE, rate=60.0, alarms_per_hour=0.0)
    stop = asyncio.Event()
    running = asyncio.create_task(newcomer.run(stop=stop))
    try:
        taken = "a fresh event is taken"
        await until(lambda: newcomer.figures.acknowledged, taken, wait_s=wait_s, but=newcomer.figures)
        mark = f"{number:05d}"
        for far_end in ("home", "cloud"):
            await until(
                lambda far_end=far_end: any(
                    mark in json.dumps(one) for one in site.events_at(far_end)[-2000:]
                ),
                f"a fresh event is at {far_end}",
                wait_s=wait_s,
            )
    finally:
        stop.set()
        await running
    return time.monotonic() - began


async def refused_more(devices, number, wait_s=40.0):
    before = refusals(devices)
    await until(lambda: refusals(devices) >= before + number, f"{number} refusals", wait_s=wait_s)
    return refusals(devices) - before


async def judged(site, experiment, ledger: Ledger, *, faults: int, window: int) -> None:
    """Settle, hold both far ends against the ledger, and look where the doubles came from."""
    await asyncio.to_thread(site.settle, timeout_s=120.0)
    experiment.owe(len(ledger.obligations()))
    experiment.judge(site.judge(ledger))
    assert experiment.duplicated <= (faults + 1) * 4 * window
    # Not at home: of a live-first sink that fell behind, what was in flight is owed behind what is new.
    site.doubles_in_flight("cloud", window)


def attempt(site) -> bool:
    """Start the daemon, as systemd would again and again; False when it ended instead, with a sentence that says why."""
    try:
        site.daemon.start()
    except AssertionError:
        assert not site.daemon.running
        assert "gateway_cannot_run" in site.daemon.tail(3), site.daemon.tail()
        return False
    return True
