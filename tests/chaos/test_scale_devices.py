"""Five hundred devices of all kinds at one gateway, each with a connection of its own."""

import asyncio
import sqlite3
from collections import Counter as Bag
from contextlib import closing
from functools import partial

import pytest
from counted_site import given_up
from killing import WINDOW
from load import Load

from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.device import Line
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import Firmware

_FEW, _MANY = (48, 12), (400, 100)  # counters and terminals, in the short form and in the long one
_SPEED = 6.0
_LINE = Line(retry_s=0.5, timeout_s=30.0)
_LISTEN = "[listen]\nconnections = 1200\nconnections_per_address = 1200\n"
_MEMORY_MB = 96
_ADOPTION = "[adoption]\nmax_devices = 5000\nper_address = 1000\n"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.site_with(window=WINDOW, batch=50, more=_ADOPTION),
]


def fleet(url, ledger, counters, terminals):
    """Counters in intervals and in real time, and terminals."""
    how = {"clock": Clock(speed=_SPEED), "line": _LINE, "ledger": ledger, "seed": 5}
    for number in range(counters):
        who = Identity(serial=f"4000000000000{number:03d}", device_id=f"door-{number}")
        mode = "interval" if number % 2 else "real_time"
        yield Counter(url, identity=who, mode=mode, rate=1.0, child_mode=False, **how)
    for number in range(terminals):
        firmware = Firmware(picture_bytes=3_000)
        yield Terminal(url, serial=f"MANY{number:05d}", firmware=firmware, rate=1.0, **how)


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123 - a line of /proc
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


def liveness(store):
    """Count the devices of the book by what was last said about them; nobody asks the daemon, which is busy."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as conn:
        said = (
            "SELECT coalesce(liveness, 'unknown'), count(*) FROM devices WHERE source <> 'gateway' GROUP BY 1"
        )
        return Bag(dict(conn.execute(said).fetchall()))


async def test_five_hundred_devices(site, experiment, scale):
    """Everything that five hundred devices were told is kept arrives, each is known as online, and memory stays flat."""
    number = sum(kinds := scale.pick(_FEW, _MANY))
    text = site.daemon.config.read_text()
    site.daemon.config.write_text(text.replace("[listen]\n", _LISTEN, 1))
    await asyncio.to_thread(site.daemon.start)
    ledger = Ledger()
    devices = list(fleet(site.url, ledger, *kinds))
    async with Load(devices):
        await asyncio.sleep(scale.pick(0.0, 180.0))
        deadline = asyncio.get_running_loop().time() + 90
        store = site.directory / "store" / "gateway.db"
        while (known := await asyncio.to_thread(liveness, store))["online"] < number:
            assert asyncio.get_running_loop().time() < deadline, known
            await asyncio.sleep(0.5)
        seen = await asyncio.to_thread(memory_mb, site.daemon.pid)
    heard = sum(device.figures.acknowledged > 0 for device in devices)
    experiment.hit("devices at once", heard)
    fresh = await asyncio.to_thread(site.fresh_event, ledger, timeout_s=120)
    await asyncio.to_thread(site.settle, timeout_s=300)
    experiment.recovered(fresh)
    experiment.owe(sum(one.acknowledged for said in ledger.facts.values() for one in said))
    await asyncio.to_thread(partial(site.judge, ledger, told=experiment.judge))
    assert number == known.total() == known["online"]
    experiment.ceiling("memory MB", seen, _MEMORY_MB)
    # Nothing is broken here: nothing comes twice, but what was on its way to a far end that was too slow for the daemon.
    doubled = WINDOW * sum(given_up(site.daemon, far_end) for far_end in ("home", "cloud"))
    experiment.demand(obligations=scale.pick(60, 10_000), faults=number - scale.pick(0, 5), doubled=doubled)
