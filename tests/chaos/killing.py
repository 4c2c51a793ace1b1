"""What the experiments with kills share: a site under load, kills with proof, and the judgement at the end."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

from experiment import RECOVERY_S, Experiment
from load import Load, mixed
from site_under_test import IN_ORDER, Site

from gateway.simulate.device import Line
from gateway.simulate.ledger import Ledger

WINDOW, BATCH = 100, 20
IN_A_ROW = {"window": WINDOW, "batch": BATCH, "home": IN_ORDER}
_DRAINED_PER_S = 100  # of a backlog, at the least: a twentieth of the pace that a sink allows itself
# What a subscriber had not acknowledged mosquitto sends again; by its default no more than this.
_REDELIVERED = 20
# What a fault makes come again at most (home, cloud). One that is not named here ends the daemon: what was sent and is
# not noted, and what is in flight, never exceed the window together, at neither end.
_AGAIN = {
    "broker stopped": (WINDOW + _REDELIVERED, 0),
    "broker killed": (WINDOW, 0),
    "broker cut off": (WINDOW, 0),
    "upstream gone": (0, WINDOW),
    "upstream 503": (0, 0),  # it says that it took nothing
    "upstream loses the reply": (0, BATCH),  # each time one request
    "both far ends gone throughout": (WINDOW + _REDELIVERED, WINDOW),
}


def may_double(faults: Mapping[str, int]) -> dict[str, int]:
    """Say how many doubles these faults explain at each far end."""
    most = dict.fromkeys(("home", "cloud"), 0)
    for fault, times in faults.items():
        for far_end, again in zip(most, _AGAIN.get(fault, (WINDOW, WINDOW)), strict=True):
            most[far_end] += times * again
    return most


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
        """A fresh event comes to both far ends; the time since the last fault is the recovery, but in a control.

        Where events leave in order it comes behind all that waits: that much more it may take.
        """
        accounts = await asyncio.to_thread(self.site.accounts)
        waits = max((account["waiting"] for account in accounts), default=0)
        await asyncio.to_thread(self.site.fresh_event, self.ledger, timeout_s=600)
        if not self.experiment.control:
            took, most = time.monotonic() - self.struck, RECOVERY_S + waits / _DRAINED_PER_S
            self.experiment.recovered(took, most=most)


@contextlib.asynccontextmanager
async def under_load(
    site: Site, experiment: Experiment, luck: Random, *, owing: int
) -> AsyncIterator[Victim]:
    """Have devices push while the body does its faults; then hold both far ends against what they said."""
    victim = Victim(site, experiment, luck)
    await asyncio.to_thread(site.daemon.start)
    line = Line(retry_s=0.05, timeout_s=2.0, resend=0.02)
    async with Load(mixed(site.url, victim.ledger, seed=luck.getrandbits(30), line=line)):
        yield victim
        assert experiment.control or victim.struck, "nobody noted when the fault was"
        await victim.flows_again()
        await victim.owes(owing)
    await asyncio.to_thread(partial(site.settle, timeout_s=600))
    experiment.owe(len(victim.ledger.obligations()))
    verdicts = site.judge(victim.ledger, told=experiment.judge)
    for far_end, most in may_double(experiment.faults).items():
        assert len(verdicts[far_end].duplicates) <= most, f"{far_end}: {verdicts[far_end]}, explained {most}"
    for far_end in site.in_order:
        site.doubles_in_flight(far_end, WINDOW)
