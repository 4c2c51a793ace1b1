"""Kill -9 under load: what was acknowledged is at both far ends, once for a consumer that honours ids."""

import asyncio
import random
import time

import pytest
from load import Load, mixed

from gateway.simulate.device import Line
from gateway.simulate.ledger import Ledger

pytestmark = pytest.mark.anyio

KILLS = 30
WINDOW = 100


async def under_load(site, *, seconds: float, kills: int, seed: int) -> Ledger:
    ledger, chance = Ledger(), random.Random(seed)
    site.daemon.start()
    line = Line(retry_s=0.05, timeout_s=2.0, resend=0.02)
    async with Load(mixed(site.url, ledger, seed=seed, line=line)):
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.05, 0.7))
            site.daemon.kill()
            site.kills.append(time.monotonic())
            await asyncio.to_thread(site.daemon.start)
        await asyncio.sleep(seconds)
    await asyncio.to_thread(site.settle)
    return ledger


@pytest.mark.site_with(window=WINDOW, batch=20)
@pytest.mark.timeout(400)
@pytest.mark.slow
async def test_thirty_kills_lose_nothing_and_double_only_what_was_in_flight(site):
    """After 30 kills under load every obligation is met at both far ends and doubles stay within the window."""
    ledger = await under_load(site, seconds=1.0, kills=KILLS, seed=4711)
    owed = len(ledger.obligations())
    print(f"obligations {owed}, kills {len(site.kills)}")
    assert len(site.kills) == KILLS
    assert site.daemon.starts == KILLS + 1
    assert owed > 1_000, "too little load to prove anything"
    verdicts = site.judge(ledger)
    for far_end, verdict in verdicts.items():
        print(far_end, verdict)
        assert len(verdict.duplicates) <= KILLS * 2 * WINDOW
        site.doubles_in_flight(far_end, WINDOW)


@pytest.mark.site_with(window=WINDOW, batch=20)
@pytest.mark.timeout(120)
async def test_without_a_kill_nothing_comes_twice(site):
    """The control run: the same load without a fault has no double at either far end."""
    ledger = await under_load(site, seconds=8.0, kills=0, seed=4711)
    assert len(ledger.obligations()) > 300
    for verdict in site.judge(ledger).values():
        assert verdict.duplicates == []
