"""How much each system accepts a second, what it costs, and whether it really publishes what it accepts."""

import signal
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from broker import Broker, Listening
from load import BadRun, Generator
from measure import cpu_s, forget_peak, memory
from peer_far_end import PLATFORM, Ear
from peer_loss import heard_one
from peer_pushing import Pushers
from peer_systems import SYSTEMS, Place, System

CONNECTIONS = (1, 4, 16, 64)
_COUNT = "$SYS/broker/publish/messages/received"
_TRIES = 3


@dataclass(frozen=True)
class Cell:
    rate: float
    p99_ms: float
    cpu_us: float


@dataclass
class Rates:
    """All that was seen of one system."""

    cells: dict[tuple[str, int], list[Cell]]
    start_s: list[float]
    idle_mb: list[float]
    peak_mb: list[float]
    published: list[float]  # messages at the broker per request; a system may put several events into one

    def rate(self, workload: str, connections: int) -> float:
        return statistics.median(cell.rate for cell in self.cells[workload, connections])

    def p99_ms(self, workload: str, connections: int) -> float:
        return statistics.median(cell.p99_ms for cell in self.cells[workload, connections])


def measure(
    directory: Path, generator: Generator, *, repeats: int, cell_s: int, cpu: int | None, say
) -> dict[type[System], Rates]:
    """Measure all systems in turn, as often as asked."""
    found = {make: Rates(defaultdict(list), [], [], [], []) for make in SYSTEMS}
    for repeat in range(repeats):
        for make in SYSTEMS:
            say(f"  rates, repeat {repeat + 1} of {repeats}: {make.name}")
            place = directory / f"rates-{repeat}-{make.__name__}"
            _one(make, place, generator, found[make], cell_s=cell_s, cpu=cpu)
    return found


def _one(
    make: type[System], directory: Path, generator: Generator, rates: Rates, *, cell_s: int, cpu: int | None
) -> None:
    with Broker(directory / "broker") as broker, Ear(broker.port, PLATFORM):
        system = make(Place(directory / "system", broker.port, cpu))
        began = time.perf_counter()
        system.start()
        _first_taken(system, generator)
        rates.start_s.append(time.perf_counter() - began)
        with Ear(broker.port) as ear:
            heard_one(system, generator, ear)
        _settled(broker.port)
        rates.idle_mb.append(memory(system.pid).now)
        forget_peak(system.pid)
        generator.run(system.port, "W1", 4, 1, f"{system.paths['W1']}body")
        before, requests = _settled(broker.port), 0
        for workload in ("W1", "W2"):
            for connections in CONNECTIONS:
                cell, number = _cell(system, generator, workload, connections, cell_s)
                rates.cells[workload, connections].append(cell)
                requests += number
                _settled(broker.port)
        published = _settled(broker.port) - before
        rates.published.append(published / requests)
        rates.peak_mb.append(memory(system.pid).peak)
        system.end(signal.SIGKILL)
    if not published:
        raise SystemExit(f"bench: {make.name} published nothing: its figures would mean nothing")


def _cell(
    system: System, generator: Generator, workload: str, connections: int, cell_s: int
) -> tuple[Cell, int]:
    for attempt in range(_TRIES):
        cpu = cpu_s(system.pid)
        try:
            run = generator.run(system.port, workload, connections, cell_s, f"{system.paths[workload]}body")
        except BadRun:
            if attempt == _TRIES - 1:
                raise
            time.sleep(2)
            continue
        used = (cpu_s(system.pid) - cpu) / run.requests * 1e6
        return Cell(run.rate, run.p99_ms, used), run.requests
    raise AssertionError


def _first_taken(system: System, generator: Generator) -> None:
    """Push until one is taken: a port that answers may still know no path."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with Pushers(generator, system.port, system.paths["W1"], devices=1, per_s=100) as pushers:
            time.sleep(0.02)
        if pushers.acknowledged:
            return
    raise SystemExit(f"bench: {type(system).__name__} takes no push")


def _settled(port: int) -> int:
    """Wait until the broker's own counter of what was published to it stands still, and give it."""
    with Listening(port, _COUNT) as listening:
        deadline, before, same = time.monotonic() + 30, -1, 0
        while time.monotonic() < deadline and same < 2:
            time.sleep(1.05)
            now = int(listening.messages[-1][1]) if listening.messages else 0
            same = same + 1 if now == before else 0
            before = now
    return before
