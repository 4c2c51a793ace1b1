"""Kill -9 under load: what was acknowledged is at both far ends, once for a consumer that honours ids."""

import asyncio
import random
import time

import pytest
from load import Load, mixed

from gateway.simulate.device import Line
from gateway.simulate.ledger import Ledger

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WINDOW = 100


async def under_load(site, experiment, *, seconds: float, kills: int, seed: int) -> None:
    """Kill the daemon at random moments while devices push, and hold both far ends against what they said."""
    ledger, chance = Ledger(), random.Random(seed)
    site.daemon.start()
    line = Line(retry_s=0.05, timeout_s=2.0, resend=0.02)
    async with Load(mixed(site.url, ledger, seed=seed, line=line)):
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.05, 0.7))
            site.daemon.kill()
            killed = time.monotonic()
            experiment.hit("kill -9")
            await asyncio.to_thread(site.daemon.start)
            experiment.recovered(time.monotonic() - killed)
        await asyncio.sleep(seconds)
    await asyncio.to_thread(site.settle)
    experiment.owe(len(ledger.obligations()))
    experiment.judge(site.judge(ledger))


@pytest.mark.site_with(window=WINDOW, batch=20)
@pytest.mark.timeout(400)
async def test_kill_with_both_sinks_up(site, experiment):
    """After 30 kills under load every obligation is met at both far ends and doubles stay within the window."""
    await under_load(site, experiment, seconds=1.0, kills=30, seed=4711)
    experiment.demand(obligations=1_000, faults=30)
    assert site.daemon.starts == 31
    assert experiment.duplicated <= 30 * 4 * WINDOW
    for far_end in ("home", "cloud"):
        site.doubles_in_flight(far_end, WINDOW)


@pytest.mark.site_with(window=WINDOW, batch=20)
@pytest.mark.timeout(120)
async def test_kill_control(site, experiment):
    """The control run: the same load without a fault has no double at either far end."""
    experiment.control = True
    await under_load(site, experiment, seconds=8.0, kills=0, seed=4711)
    experiment.demand(obligations=300, faults=0)
    assert 0 == experiment.duplicated
