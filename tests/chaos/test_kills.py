"""Kill -9 under load: what was acknowledged is at both far ends, once for a consumer that honours ids."""

import asyncio

import pytest
from flapping import flapping, wired
from killing import WINDOW, chance, under_load

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.site_with(window=WINDOW, batch=20)]


async def test_kill_with_both_sinks_up(site, experiment, scale):
    """After kills under load every obligation is met at both far ends and doubles stay within the window."""
    kills = scale.pick(6, 240)
    async with under_load(site, experiment, chance(4711), owing=30 * kills) as victim:
        for _ in range(kills):
            await victim.kill_at_random()
    experiment.demand(obligations=30 * kills, faults=kills)
    assert site.daemon.starts == kills + 1
    assert experiment.duplicated <= kills * 4 * WINDOW


async def test_kill_with_both_sinks_down(site, experiment, scale):
    """What came in while no far end was there and the daemon died again and again is delivered when they are back."""
    kills = scale.pick(5, 200)
    async with under_load(site, experiment, chance(4712), owing=30 * kills) as victim:
        site.broker.stop()
        site.upstream.stop()
        arrived = {far_end: len(site.events_at(far_end)) for far_end in ("home", "cloud")}
        for _ in range(kills):
            await victim.kill_at_random()
        assert arrived == {far_end: len(site.events_at(far_end)) for far_end in arrived}
        experiment.hit("both far ends gone throughout")
        site.upstream.start()
        await asyncio.to_thread(site.broker.start)
    experiment.demand(obligations=30 * kills, faults=kills + 1)
    assert experiment.duplicated <= 4 * WINDOW


async def test_kill_with_sinks_flapping(site, experiment, scale):
    """Broker and upstream are stopped, killed and restarted at random while the daemon is being killed."""
    kills = scale.pick(5, 240)
    luck = chance(4713)
    async with (
        wired(site) as cable,
        under_load(site, experiment, luck, owing=30 * kills) as victim,
        flapping(site, cable, experiment, luck),
    ):
        for _ in range(kills):
            await victim.kill_at_random()
    experiment.demand(obligations=30 * kills, faults=kills + kills // 2)
    assert kills == experiment.faults["kill -9"]


async def test_kill_control(site, experiment):
    """The control run: the same load without a fault has no double at either far end."""
    experiment.control = True
    async with under_load(site, experiment, chance(4711), owing=300):
        await asyncio.sleep(3.0)
    experiment.demand(obligations=300, faults=0)
    assert 0 == experiment.duplicated
