"""Kill -9 under load: what was acknowledged is at both far ends, once for a consumer that honours ids."""

import asyncio

import pytest
from flapping import flapping, wired
from killing import IN_A_ROW, chance, may_double, under_load

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.site_with(**IN_A_ROW)]

# With the 240 of test_restart_storms.py the long form kills more than a thousand times.
FRESH_EACH = 40  # kills: so often the recovery is measured, and the longest counts


async def test_kill_with_both_sinks_up(site, experiment, scale):
    """After kills under load every obligation is met at both far ends and doubles stay within the window."""
    kills = scale.pick(6, 280)
    async with under_load(site, experiment, chance(4711), owing=30 * kills) as victim:
        for number in range(kills):
            await victim.kill_at_random()
            if number % FRESH_EACH == 1:
                await victim.flows_again()
    assert kills == experiment.faults["kill -9"]
    assert site.daemon.starts == kills + 1
    doubled = sum(may_double({"kill -9": kills}).values())
    experiment.demand(obligations=30 * kills, faults=kills, doubled=doubled)


async def test_kill_with_both_sinks_down(site, experiment, scale):
    """What came in while no far end was there and the daemon died again and again is delivered when they are back."""
    kills = scale.pick(5, 240)
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
    # What was in flight when the far ends went; a kill while nobody is there makes nothing come again.
    doubled = sum(may_double({"both far ends gone throughout": 1}).values())
    experiment.demand(obligations=30 * kills, faults=kills + 1, doubled=doubled)


async def test_kill_with_sinks_flapping(site, experiment, scale):
    """Broker and upstream are stopped, killed and restarted at random while the daemon is being killed."""
    kills = scale.pick(5, 280)
    luck = chance(4713)
    async with (
        wired(site) as cable,
        under_load(site, experiment, luck, owing=30 * kills) as victim,
        flapping(site, cable, experiment, luck),
    ):
        for _ in range(kills):
            await victim.kill_at_random()
    doubled = sum(may_double(experiment.faults).values())
    experiment.demand(obligations=30 * kills, faults=kills + kills // 2, doubled=doubled)
    assert kills == experiment.faults["kill -9"]


async def test_kill_control(site, experiment):
    """The control run: the same load without a fault has no double at either far end."""
    experiment.control = True
    async with under_load(site, experiment, chance(4711), owing=300):
        await asyncio.sleep(3.0)
    experiment.demand(obligations=300, faults=0, doubled=0)
