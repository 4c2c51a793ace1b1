"""Devices that push over real HTTP at one site, quickly."""

import asyncio
from collections.abc import Sequence
from typing import Self

from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.device import Device, Line
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal import Terminal

SPEED = 120.0  # a device minute in half a second
LINE = Line(retry_s=0.05, timeout_s=2.0)


def counter(url: str, number: int, ledger: Ledger, *, seed: int = 1, line: Line = LINE, **how) -> Counter:
    identity = Identity(serial=f"2000000000000000{number:02d}", device_id=f"door-{number}")
    how = {"mode": "real_time", "rate": 20.0} | how
    clock = Clock(speed=SPEED)
    return Counter(url, identity=identity, seed=seed, clock=clock, line=line, ledger=ledger, **how)


def terminal(url: str, number: int, ledger: Ledger, *, seed: int = 1, line: Line = LINE, **how) -> Terminal:
    how = {"rate": 30.0, "alarms_per_hour": 60.0} | how
    clock = Clock(speed=SPEED)
    return Terminal(url, serial=f"SPT{number:05d}", seed=seed, clock=clock, line=line, ledger=ledger, **how)


def mixed(url: str, ledger: Ledger, *, seed: int = 1, line: Line = LINE) -> list[Device]:
    """Four counters in real time, two in intervals, two terminals."""
    counters = [counter(url, n, ledger, seed=seed, line=line) for n in range(4)]
    counters += [counter(url, n, ledger, seed=seed, line=line, mode="interval") for n in (4, 5)]
    return [*counters, *(terminal(url, n, ledger, seed=seed, line=line) for n in range(2))]


def few(url: str, ledger: Ledger, *, seed: int = 1, line: Line = LINE) -> list[Device]:
    """Two counters in real time, one in intervals, one terminal: for what is about trouble and not about load."""
    counters = [counter(url, n, ledger, seed=seed, line=line, rate=5.0) for n in range(2)]
    counters.append(counter(url, 2, ledger, seed=seed, line=line, mode="interval"))
    return [*counters, terminal(url, 0, ledger, seed=seed, line=line, rate=8.0)]


class Load:
    """Devices that push while the body of a ``async with`` runs, and finish what they keep at its end."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._devices = devices
        self._stop = asyncio.Event()
        self._running: asyncio.Task | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._running

    async def _run(self) -> None:
        await asyncio.gather(*(device.run(stop=self._stop, linger_s=20) for device in self._devices))
