"""A day of network trouble in twelve minutes: nothing is lost, and the gateway stays as small as it was."""

import asyncio
import random
import time
from collections.abc import Iterator

import pytest
from lined_site import IMPATIENT, LinedSite, Trouble, owed, settled, suffer
from load import SPEED, Load, few
from troubles import of_answers, of_lan, of_line, of_restarts
from watched_process import MIB, Watch

from gateway.simulate.ledger import Ledger

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

_SEED = 2024
_FEW = ("home restarted", "cloud restarted", "lan half a push, RST", "home half open")


@pytest.fixture
def lines(site) -> Iterator[LinedSite]:
    built = LinedSite(site, seed=_SEED, upstream_s=4)
    built.configure(("timeout_s = 1.5\n", "timeout_s = 4\n"))
    yield built
    built.close()


def timeline(
    lines: LinedSite, length_s: float, chance: random.Random, *, short: bool
) -> list[tuple[float, Trouble]]:
    """Spread every kind of trouble over the day, in an order of chance; the short day has one of each sort."""
    kinds = [
        *of_line(lines, "home", chance),
        *of_line(lines, "cloud", chance),
        *of_lan(lines, chance),
        *of_answers(lines),
        *of_restarts(lines),
    ]
    if short:
        kinds = [kind for kind in kinds if kind.name in _FEW]
    chance.shuffle(kinds)
    step_s = length_s / (len(kinds) + 1)
    return [(step_s * (number + chance.uniform(0.3, 0.7)), kind) for number, kind in enumerate(kinds)]


@pytest.mark.site_with(**IMPATIENT)
async def test_day_of_trouble(lines, experiment, scale):
    """24 hours of the devices with every kind of trouble lose nothing and hold the ceilings of the process and its store."""
    site, ledger, chance = lines.site, Ledger(), random.Random(_SEED)
    length_s = scale.pick(6.0, 86_400 / SPEED)
    plan = timeline(lines, length_s, chance, short=not scale.soak)
    site.daemon.start()
    began = time.monotonic()
    async with Watch(site.daemon.pid, site.directory / "store") as watch, Load(few(lines.url, ledger)):
        for at, trouble in plan:
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            print(f"{device_time(time.monotonic() - began)} {trouble.name}")
            await suffer(lines, experiment, trouble, hold_s=scale.pick(0.1, chance.uniform(0.5, 6.0)))
        await asyncio.sleep(max(0.0, began + length_s - time.monotonic()))
        print(f"{device_time(time.monotonic() - began)} the day is over")
        await owed(ledger, 50)
    hold_ceilings(experiment, watch, grows=scale.soak)
    await settled(lines, experiment, ledger)
    for far_end in ("home", "cloud"):
        lines.doubles_only_in_trouble(far_end)
    experiment.demand(obligations=scale.pick(50, 10_000), faults=len(plan), doubled=lines.may_double())


def device_time(seconds: float) -> str:
    minutes = int(seconds * SPEED / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def hold_ceilings(experiment, watch: Watch, *, grows: bool) -> None:
    print(f"{watch.samples[len(watch.samples) // 4]}\n{watch.samples[-1]}")
    experiment.ceiling("MiB of memory", watch.most("rss") / MIB, 160)
    experiment.ceiling("descriptors", watch.most("files"), 80)
    experiment.ceiling("threads", watch.most("threads"), 32)
    experiment.ceiling("MiB of WAL", watch.most("wal") / MIB, 16)
    experiment.ceiling("MiB of store", watch.most("database") / MIB, 128)
    if grows:
        experiment.ceiling("MiB grown from second to last quarter", max(0.0, watch.growth("rss") / MIB), 12)
