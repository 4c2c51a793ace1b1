"""SIGTERM and SIGINT again and again, also before the daemon is ready: nothing is lost, nothing comes twice."""

import asyncio
import signal
import subprocess
import time

import pytest
from killing import IN_A_ROW, Victim, chance, under_load

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.site_with(**IN_A_ROW)]

FRESH_EACH = 10  # storms: so often the recovery is measured, and the longest counts


@pytest.fixture(autouse=True)
def heard():
    """A run in the background may have inherited that SIGINT is ignored, and so would the daemon during its start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
async def test_stop_storm(site, experiment, scale, how):
    """Bursts of the signal under load end in an orderly stop, one during the start ends it; nothing is lost or twice."""
    storms = scale.pick(3, 60)
    async with under_load(site, experiment, chance(4716 + how), owing=20 * storms) as victim:
        start_s = 0.5
        for number in range(storms):
            await asyncio.sleep(victim.luck.uniform(0.1, 0.6))
            await burst(victim, how)
            # Every second one while it only just begins, so that the others may meet any moment of the start.
            await stop_the_start(victim, how, within_s=start_s * (1.1 if number % 2 else 0.3))
            began = time.monotonic()
            await asyncio.to_thread(site.daemon.start)
            start_s = min(time.monotonic() - began, 3.0)
            if number % FRESH_EACH == 1:
                await victim.flows_again()
    experiment.demand(obligations=20 * storms, faults=2 * storms, doubled=0)
    assert experiment.faults[f"{how.name} during the start"] >= storms // 2


async def burst(victim: Victim, how: signal.Signals) -> None:
    """Send the signal several times to a daemon at work; it stops in order all the same."""
    stops = victim.times_logged("gateway_stopped")
    for _ in range(victim.luck.randint(1, 5)):
        victim.site.daemon.signal(how)
        await asyncio.sleep(victim.luck.uniform(0.0, 0.05))
    # After its last word nobody listens for signals any more: a late one may end what is left of the process.
    status = await ended(victim)
    assert status in (0, -how, 1 if how == signal.SIGINT else 0), (
        f"status {status}\n{victim.site.daemon.tail()}"
    )
    assert stops + 1 == victim.times_logged("gateway_stopped"), victim.site.daemon.tail()
    victim.experiment.hit(f"{how.name} at work")


async def stop_the_start(victim: Victim, how: signal.Signals, *, within_s: float) -> None:
    """Send it at any moment of a start; before the daemon can take signals, it dies of it, or the command is aborted."""
    ready = victim.times_logged("gateway_ready")
    victim.site.daemon.launch()
    await asyncio.sleep(victim.luck.uniform(0.0, within_s))
    victim.site.daemon.signal(how)
    status = await ended(victim)
    aborted = 1 if how == signal.SIGINT else 0
    assert status in (0, -how, aborted), f"status {status}\n{victim.site.daemon.tail()}"
    # It counts for the start only when it never got ready.
    early = ready == victim.times_logged("gateway_ready")
    victim.experiment.hit(f"{how.name} {'during' if early else 'right behind'} the start")


async def ended(victim: Victim) -> int:
    """Wait for its end, which is when the fault was."""
    try:
        status = await asyncio.to_thread(victim.site.daemon.wait, 120.0)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"the daemon does not stop:\n{victim.site.daemon.tail()}") from None
    victim.struck = time.monotonic()
    return status
