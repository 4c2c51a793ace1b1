"""Bad lines to the far ends: each is named while it lasts, spares the other sink, and costs nothing."""

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from bad_line import SATELLITE
from lined_site import FAR_ENDS, IMPATIENT, LinedSite, Trouble, owed, settled, suffer
from load import Load, few, mixed
from trouble import until
from troubles import of_lan, of_line

from gateway.simulate.ledger import Ledger

pytestmark = [pytest.mark.anyio]
ENOUGH = 10  # chunks that went over the satellite


@pytest.fixture
def lines(site) -> Iterator[LinedSite]:
    built = LinedSite(site)
    yield built
    built.close()


async def all_kinds(lines: LinedSite, experiment, scale, far_end: str) -> None:
    chance, ledger = random.Random(far_end), Ledger()
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        await asyncio.sleep(0.5)
        for _ in range(scale.pick(1, 5)):
            kinds = chosen(of_line(lines, far_end, chance), chance, scale, always="reply cut")
            for trouble in kinds:
                await suffer(lines, experiment, trouble, hold_s=scale.pick(0.2, chance.uniform(0.5, 4.0)))
        await owed(ledger, 40)
    await settled(lines, experiment, ledger)
    assert experiment.duplicated > 0, "a reply that got lost must have doubled something"
    lines.doubles_only_in_trouble(far_end)
    other = "cloud" if far_end == "home" else "home"
    assert 0 == lines.doubles(other), f"{other} got doubles of a trouble that was not its own"
    experiment.demand(
        obligations=scale.pick(40, 150), faults=scale.pick(3, 45), doubled=lines.may_double(far_end)
    )


def chosen(kinds: list[Trouble], chance: random.Random, scale, *, always: str) -> list[Trouble]:
    """Give all kinds in an order of chance; in the short form a third of them, the one that doubles among them."""
    if scale.soak:
        return chance.sample(kinds, len(kinds))
    (needed,) = (kind for kind in kinds if kind.name.endswith(always))
    others = [kind for kind in kinds if kind is not needed]
    return chance.sample([needed, *chance.sample(others, 2)], 3)


@pytest.mark.slow
@pytest.mark.site_with(**IMPATIENT)
async def test_line_to_the_broker_in_every_trouble(lines, experiment, scale):
    """Whatever the line to the broker does, everything arrives, and doubles are what was on the way, and identical."""
    await all_kinds(lines, experiment, scale, "home")


@pytest.mark.slow
@pytest.mark.site_with(**IMPATIENT)
async def test_line_to_the_upstream_in_every_trouble(lines, experiment, scale):
    """Whatever the line to the upstream does, everything arrives, and doubles are what was on the way, and identical."""
    await all_kinds(lines, experiment, scale, "cloud")


@pytest.mark.slow
@pytest.mark.site_with(**IMPATIENT)
async def test_lan_in_every_trouble(lines, experiment, scale):
    """Whatever the LAN does to a push, the device sends it again and it counts once: no far end sees anything twice."""
    chance, ledger = random.Random("lan"), Ledger()
    lines.site.daemon.start()
    devices = few(lines.url, ledger)
    async with Load(devices):
        await asyncio.sleep(0.5)
        for _ in range(scale.pick(1, 8)):
            for trouble in chosen(of_lan(lines, chance), chance, scale, always="reply lost"):
                await suffer(lines, experiment, trouble, hold_s=scale.pick(0.2, chance.uniform(0.5, 4.0)))
        await owed(ledger, 30)
    assert sum(device.figures.unanswered for device in devices) > scale.pick(2, 5), (
        "the devices hardly had to send again"
    )
    await settled(lines, experiment, ledger)
    experiment.demand(obligations=scale.pick(30, 60), faults=scale.pick(3, 64), doubled=0)


@pytest.mark.site_with(**IMPATIENT)
async def test_lines_control(lines, experiment, scale):
    """The control run: through the same lines in fine weather nothing comes twice, and nothing is named."""
    experiment.control = True
    ledger = Ledger()
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        await asyncio.sleep(scale.pick(1.5, 20.0))
        await owed(ledger, 30)
        for far_end in ("home", "cloud"):
            await lines.cleared(far_end)
    await settled(lines, experiment, ledger)
    for line in (lines.home, lines.cloud, lines.lan):
        assert {"connections"} == set(+line.did)
    experiment.demand(obligations=30, faults=0, doubled=0)


@pytest.mark.site_with(window=500, batch=100, home="timeout_s = 20")
async def test_lines_over_a_satellite(site, experiment, scale):
    """With 600 ms there and back and 2 % of it sent again, both far ends get everything, once, and nothing is named."""
    lines, ledger = LinedSite(site, upstream_s=20), Ledger()

    def delayed() -> int:
        return lines.home.did["chunks delayed"] + lines.cloud.did["chunks delayed"]

    try:
        lines.home.weather = lines.cloud.weather = SATELLITE
        site.daemon.start()
        async with Load(few(lines.url, ledger)):
            began = time.monotonic()
            # A slow machine sends less in that time: it goes on until there was enough to delay.
            while time.monotonic() - began < scale.pick(1.5, 15.0) or (
                delayed() < ENOUGH and time.monotonic() - began < 60
            ):
                await asyncio.sleep(0.5)
                told = (await asyncio.to_thread(lines.status))["faults"]  # the devices' clocks run fast here
                assert not [fault for fault in told if fault["subject"] in FAR_ENDS], told
            await owed(ledger, 30)
        experiment.hit("chunks delayed", delayed())
        experiment.hit("chunks stalled", lines.home.did["chunks stalled"] + lines.cloud.did["chunks stalled"])
        await settled(lines, experiment, ledger)
    finally:
        lines.close()
    experiment.demand(obligations=30, faults=ENOUGH, doubled=0)


@pytest.mark.site_with(**IMPATIENT)
async def test_both_far_ends_away(lines, experiment, scale):
    """With both far ends away everything is still accepted; both get all of it when they come back."""
    ledger = Ledger()
    lines.home.refuse()
    lines.cloud.refuse()
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        await asyncio.sleep(scale.pick(1.0, 30.0))
        assert "mqtt_refused" == await lines.fault("home", ("mqtt_refused",))
        assert "https_refused" == await lines.fault("cloud", ("https_refused",))
        await owed(ledger, 30)
    assert 0 == lines.arrived("home") == lines.arrived("cloud")
    experiment.hit("both far ends away")
    began = time.monotonic()
    lines.home.listen()
    lines.cloud.listen()
    await settled(lines, experiment, ledger)
    experiment.recovered(time.monotonic() - began)
    experiment.demand(obligations=30, faults=1, doubled=0)


@pytest.mark.slow
@pytest.mark.site_with(window=50, batch=20)
async def test_broker_long_away(lines, experiment, scale):
    """A broker that is away delays its own sink only; afterwards what is new comes before the backlog."""
    ledger, site = Ledger(), lines.site
    site.daemon.start()
    async with Load(mixed(lines.url, ledger)):
        await asyncio.sleep(1.0)
        lines.home.refuse()
        there = lines.arrived("cloud")
        await asyncio.sleep(scale.pick(1.5, 60.0))
        await until(lambda: lines.arrived("cloud") - there > 100, "the upstream goes on without the broker")
        await until(lambda: lines.arrived("cloud") - lines.arrived("home") > 100, "the broker falls behind")
        experiment.hit("broker away")
        back_at, place = datetime.now(UTC), len(site.subscriber.arrivals)
        lines.home.listen()
        experiment.recovered(await lines.new_since(back_at))
        await asyncio.sleep(1.0)
        await owed(ledger, 80)
    await settled(lines, experiment, ledger)
    assert 0 == lines.doubles("cloud")
    after = [arrival.event["seq"] for arrival in site.subscriber.arrivals[place:] if arrival.event]
    assert after != sorted(after), "something newer comes before something older"
    experiment.demand(obligations=80, faults=1, doubled=site.window)  # what was in flight at the one cut
