"""What the experiments with kills share: a site under load, kills with proof, and the judgement at the end."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from random import Random

from experiment import Experiment
from load import Load, mixed
from site_under_test import Site

from gateway.simulate.device import Line
from gateway.simulate.ledger import Ledger

WINDOW = 100


def chance(default: int) -> Random:
    """Give the luck of this run; SEED repeats another one. What is printed is shown when the test fails."""
    seed = int(os.environ.get("SEED", default))
    print(f"to do the same again: SEED={seed}")
    return Random(seed)


@dataclass
class Victim:
    """The daemon of a site under load, and the moments of its faults."""

    site: Site
    experiment: Experiment
    luck: Random
    ledger: Ledger = field(default_factory=Ledger)
    struck: float = 0.0  # monotonic: the last fault

    async def kill_at_random(self) -> None:
        """Kill it while it works, and start it again."""
        await asyncio.sleep(self.luck.uniform(0.05, 0.7))
        self.kill()
        await asyncio.to_thread(self.site.daemon.start)

    def kill(self) -> None:
        self.site.daemon.kill()  # fails unless the process ended by signal 9
        self.struck = time.monotonic()
        self.experiment.hit("kill -9")

    async def kill_before_ready(self, within_s: float) -> None:
        """Start it and kill it at any moment of its start."""
        ready = self.times_logged("gateway_ready")
        self.site.daemon.launch()
        await asyncio.sleep(self.luck.uniform(0.0, within_s))
        self.site.daemon.kill()
        self.struck = time.monotonic()
        early = self.times_logged("gateway_ready") == ready
        self.experiment.hit("kill -9 before ready" if early else "kill -9")

    def times_logged(self, event: str) -> int:
        return self.site.daemon.log.read_bytes().count(f'"event": "{event}"'.encode())

    async def owes(self, obligations: int) -> None:
        """Wait until so many answers were given, or until a busy machine has had its chance."""
        deadline = time.monotonic() + 120
        while len(self.ledger.obligations()) < obligations and time.monotonic() < deadline:
            await asyncio.sleep(0.2)

    async def flows_again(self) -> None:
        """A fresh event comes to both far ends; the time since the last fault is the recovery."""
        await asyncio.to_thread(self.site.fresh_event, self.ledger, timeout_s=600)
        self.experiment.recovered(time.monotonic() - self.struck)


@contextlib.asynccontextmanager
async def under_load(
    site: Site, experiment: Experiment, luck: Random, *, owing: int
) -> AsyncIterator[Victim]:
    """Have devices push while the body does its faults; then hold both far ends against what they said."""
    victim = Victim(site, experiment, luck)
    await asyncio.to_thread(site.daemon.start)
    victim.struck = time.monotonic()
    line = Line(retry_s=0.05, timeout_s=2.0, resend=0.02)
    async with Load(mixed(site.url, victim.ledger, seed=luck.getrandbits(30), line=line)):
        yield victim
        await victim.flows_again()
        await victim.owes(owing)
    await asyncio.to_thread(partial(site.settle, timeout_s=600))
    experiment.owe(len(victim.ledger.obligations()))
    verdicts = site.judge(victim.ledger)
    experiment.judge(verdicts)
    for far_end, verdict in verdicts.items():
        # What is settled and not on disk, and what is in flight, never exceed the window together.
        assert len(verdict.duplicates) <= WINDOW * experiment.faults.total(), f"{far_end}: {verdict}"
    # Not at home: of a live-first sink that fell behind, what was in flight is owed behind what is new.
    site.doubles_in_flight("cloud", WINDOW)
