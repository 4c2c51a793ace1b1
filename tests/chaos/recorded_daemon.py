"""The real daemon under the recorder: what it asked of its disk, and in between the answers that devices had read."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import powercut
from load import LINE, SPEED, Load, counter
from powercut import Record
from site_under_test import Site

from gateway.simulate.clock import Clock
from gateway.simulate.device import Device
from gateway.simulate.facts import Key, event_of, key_of, said_of
from gateway.simulate.ledger import Ledger, Statement
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import Firmware

PROGRAM = Path(__file__).with_name("syncing_gateway.py")
PICTURES = "[pictures]\nkeep = true\n"
Mark = tuple[str, int]  # id and revision


class Acknowledged(Statement):
    """A statement that writes into the log of the disk when its device has read the whole reply."""

    __slots__ = ("log", "number")

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "acknowledged" and value:
            # One write to the end of the file: all that the daemon did before it answered lies before it.
            os.write(self.log, powercut.packed("a", "", str(self.number).encode()))


class LoggedLedger(Ledger):
    """A ledger whose acknowledgements stand in the recorder's log."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.statements: list[Statement] = []

    @property
    def answers(self) -> int:
        return sum(statement.acknowledged for statement in self.statements)

    def state(self, key: Key, truth: Mapping) -> Statement:
        statement = Acknowledged(key, len(self.facts.get(key, ())), truth)
        statement.log, statement.number = self.log, len(self.statements)
        self.statements.append(statement)
        self.facts.setdefault(key, []).append(statement)
        return statement


def devices(url: str, ledger: Ledger, seed: int) -> list[Device]:
    """Counters in both modes, and terminals with small pictures."""
    counters = [counter(url, n, ledger, seed=seed, rate=8.0) for n in range(3)]
    counters += [counter(url, n, ledger, seed=seed, mode="interval") for n in (3, 4)]
    how = {"seed": seed, "line": LINE, "ledger": ledger, "rate": 8.0, "alarms_per_hour": 30.0}
    firmware = Firmware(picture_bytes=1_500)
    terminals = [
        Terminal(url, serial=f"SPT{n:05d}", firmware=firmware, clock=Clock(speed=SPEED), **how)
        for n in range(2)
    ]
    return [*counters, *terminals]


@dataclass(frozen=True)
class Life:
    """One life of a daemon, as its disk saw it."""

    site: Path  # where it lived
    records: Sequence[Record]
    told: Sequence[frozenset[Mark]]  # by number of the statement: what of the store says it

    def acknowledged(self, place: int) -> list[int]:
        """Give the statements whose replies had been read before a cut."""
        return [int(record.data) for record in self.records[:place] if record.kind == "a"]


async def record(directory: Path, library: Path, synchronous: str, *, answers: int, seed: int) -> Life:
    """Let a daemon work with both far ends and many devices, hold it against them, and give its life."""
    directory.mkdir()
    site = Site(directory, program=(str(PROGRAM), synchronous), more=PICTURES)
    try:
        log = directory / "disk.log"
        watched = (directory / "store", directory / "state")
        site.daemon.env |= powercut.environment(library, log, *watched)
        ledger = LoggedLedger(log)
        await asyncio.to_thread(site.daemon.start)
        async with Load(devices(site.url, ledger, seed)):
            deadline = time.monotonic() + 120
            while ledger.answers < answers and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
        await asyncio.to_thread(site.settle)
        site.judge(ledger)
        told = _marks(ledger.statements, site.upstream.ledger.messages())
        await asyncio.to_thread(_nothing_escapes, site, log, watched)
        assert 0 == await asyncio.to_thread(site.daemon.stop)
        records = powercut.read(log)
        assert powercut.uncut(records) == _found(watched), "the recorder missed what an orderly stop does"
        assert [] == powercut.strange(records)
        os.close(ledger.log)
        return Life(directory, records, told)
    finally:
        site.close()


def _marks(statements: Iterable[Statement], messages: Iterable[Mapping]) -> list[frozenset[Mark]]:
    """Find by which id and revision each statement was delivered: so it is called in the store."""
    delivered: dict[Key, list] = defaultdict(list)
    for event in map(event_of, messages):
        key = key_of(event)
        if key is not None:
            delivered[key].append(((event["id"], event["revision"]), said_of(event)))
    found = [
        frozenset(
            mark
            for mark, says in delivered[one.key]
            if all(says.get(name) == value for name, value in one.truth.items())
        )
        for one in statements
    ]
    assert all(marks for one, marks in zip(statements, found, strict=True) if one.acknowledged)
    return found


def _nothing_escapes(site: Site, log: Path, watched: Sequence[Path]) -> None:
    """Hold the recorder against the real disk, in the middle of life: what it does not see would show here."""
    for _ in range(20):
        site.daemon.signal(signal.SIGSTOP)
        time.sleep(0.05)
        seen, real = powercut.uncut(powercut.read(log)), _found(watched)
        site.daemon.signal(signal.SIGCONT)
        if seen == real:
            return
        time.sleep(0.2)  # it was stopped between a call and its record
    differ = sorted(path for path in seen.keys() | real.keys() if seen.get(path) != real.get(path))
    raise AssertionError(f"the recorder missed something: {differ}")


def _found(watched: Iterable[Path]) -> dict[str, bytes]:
    files = (file for place in watched for file in place.rglob("*") if file.is_file())
    return {str(file): file.read_bytes() for file in files if not file.name.endswith("-shm")}
