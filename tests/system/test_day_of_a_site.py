"""A day of a whole site on a driven clock: afterwards every number is the one that the devices said."""

import asyncio
import random
import sqlite3
from collections import Counter as Bag
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from driven_time import Stage
from site_under_test import Site

from gateway.event import device_id
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.crowd import SHOP_DAY
from gateway.simulate.device import Device, Line
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import Firmware

ZONE = ZoneInfo("America/New_York")
START = datetime(2026, 10, 31, 22, 0, tzinfo=ZONE).timestamp()
END = datetime(2026, 11, 2, 0, 20, tzinfo=ZONE).timestamp()  # the day between has 25 hours
SPEED = 900.0
HOUR_S = 3600.0

MORE = """
[site]
zone = "America/New_York"
"""


def counters(url: str, stage: Stage, ledger: Ledger) -> list[Counter]:
    """Twelve doors in three dialects: every mode, some with a wrong clock, some behind a bad cable."""
    made = []
    for number in range(12):
        dialect = ("v1.0", "hx-v2.1", "brickstream-v4")[number % 3]
        live = dialect != "brickstream-v4" and number >= 6
        luck = random.Random(number)
        spells = ((luck.uniform(2, 20) * HOUR_S, luck.uniform(0.2, 3) * HOUR_S),) if number % 2 else ()
        made.append(
            Counter(
                url,
                identity=Identity(
                    serial=f"77000000000000{number:02d}",
                    device_id=f"door-{number}",
                    device_name=f"Door {number}",
                    mac=f"02:00:5E:77:00:{number:02X}",
                    zone=ZONE,
                ),
                dialect=dialect,
                mode="real_time" if live else "interval",
                rate=1.5,
                profile=SHOP_DAY,
                interval_min=15 if number == 0 else 1,
                unfinished=number == 3,
                heartbeat_s=120.0,
                seed=number,
                clock=stage.clock(skew_s=(0.0, 0.0, 0.0, 95.0, -240.0)[number % 5]),
                line=Line(resend=0.02, reorder=0.02, spells=spells, retry_s=0.05),
                ledger=ledger,
            )
        )
    return made


def terminals(url: str, stage: Stage, ledger: Ledger) -> list[Terminal]:
    return [
        Terminal(
            url,
            serial=f"SPDAY{number:05d}",
            firmware=Firmware(version=version, picture_bytes=2_000),
            rate=0.5,
            profile=SHOP_DAY,
            alarms_per_hour=2.0,
            zone=ZONE,
            seed=number,
            clock=stage.clock(),
            line=Line(
                resend=0.02,
                spells=((5 * HOUR_S, 6 * HOUR_S),) if number == 1 else (),
                retry_s=0.05,
            ),
            ledger=ledger,
        )
        for number, version in enumerate(("1.3.0", "1.3.0", "1.2.1", "1.1.0"))
    ]


def restarts(site: Site, stage: Stage) -> list[str]:
    """Have the gateway killed or stopped once an hour, and started again a minute later."""
    done: list[str] = []

    async def end() -> None:
        if len(done) % 2:
            site.daemon.stop()
            done.append("stopped")
        else:
            site.daemon.kill()
            done.append("killed")

    async def begin() -> None:
        await asyncio.to_thread(site.daemon.start)

    moment = START + HOUR_S / 2
    while moment < END - HOUR_S / 2:
        stage.at(moment, end)
        stage.at(moment + 60, begin)
        moment += HOUR_S
    return done


@pytest.mark.slow
def test_a_day_of_a_site_ends_with_the_numbers_of_its_devices(tmp_path: Path):
    """After 26 hours with a restart in each, every tally and every event is what the devices said."""
    clock_file = tmp_path / "clock"
    stage = Stage(clock_file, START, speed=SPEED)
    program = (str(Path(__file__).with_name("driven_gateway.py")), str(clock_file))
    site = Site(tmp_path, program=program, more=MORE)
    ledger = Ledger()
    try:
        site.daemon.start()
        devices: list[Device] = [
            *counters(site.url, stage, ledger),
            *terminals(site.url, stage, ledger),
        ]
        done = restarts(site, stage)
        asyncio.run(live(stage, devices))
        assert len(done) >= 25
        assert done.count("killed") >= 12
        assert 0 == sum(device.waiting for device in devices)
        assert all(device.figures.dropped == 0 for device in devices)
        assert sum(device.figures.unanswered for device in devices) > 20, "the restarts were not felt"
        site.settle(timeout_s=120)
        site.judge(ledger)
        assert expected_tallies(ledger) == tallies(site)
    finally:
        site.close()


async def live(stage: Stage, devices: list[Device]) -> None:
    acts = [asyncio.ensure_future(stage.play(device.run(duration_s=END - START - 600))) for device in devices]
    await stage.drive(END)
    await asyncio.gather(*acts)


def expected_tallies(ledger: Ledger) -> Bag:
    return +Bag(
        {
            (
                device_id("counter", serial=serial, mac=None, label=None, token=None, address=""),
                day.isoformat(),
                measure,
            ): amount
            for (serial, day, measure), amount in ledger.totals(ZONE).items()
        }
    )


def tallies(site: Site) -> Bag:
    with sqlite3.connect(f"file:{site.directory}/store/gateway.db?mode=ro", uri=True) as conn:
        rows = conn.execute("SELECT device, day, measure, amount FROM tallies WHERE device LIKE 'counter-%'")
        return +Bag({(device, day, measure): amount for device, day, measure, amount in rows})
