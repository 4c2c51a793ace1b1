"""A day of a whole site on a driven clock: afterwards every number is the one that the devices said."""

import asyncio
import json
import sqlite3
from collections import Counter as Bag
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from driven_time import Stage
from simulated_site import HOUR_S, MORE, ZONE, Polled, camio, counters, polled, secrets, terminals
from site_under_test import Site, free_port

from gateway.event import tallies
from gateway.simulate.device import Device
from gateway.simulate.ledger import Ledger

START = datetime(2026, 10, 31, 22, 0, tzinfo=ZONE).timestamp()
END = datetime(2026, 11, 2, 0, 40, tzinfo=ZONE).timestamp()  # the day between has 25 hours
QUIET = END - 1800.0  # nobody comes any more, and what is kept is sent
SPEED = 900.0
DAY = "2026-11-01"


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
    while moment < END - HOUR_S:
        stage.at(moment, end)
        stage.at(moment + 60, begin)
        moment += HOUR_S
    return done


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_of_a_site_ends_with_the_numbers_of_its_devices(tmp_path: Path) -> None:
    """After 26 hours with a restart in each, every tally, every zone and every event is what the devices said."""
    clock_file = tmp_path / "clock"
    stage, ledger, callbacks = Stage(clock_file, START, speed=SPEED), Ledger(), free_port()
    asked = polled(stage, ledger, QUIET).start()
    secrets(tmp_path)
    more = MORE.format(
        callbacks=callbacks,
        directory=tmp_path,
        hall=asked.hall.url,
        yard=asked.yard.url,
        cloud=asked.cloud.url,
    )
    program = (str(Path(__file__).with_name("driven_gateway.py")), str(clock_file))
    site = Site(tmp_path, program=program, more=more)
    try:
        site.daemon.start()
        devices = [
            *counters(site.url, stage, ledger),
            *terminals(site.url, stage, ledger),
            camio(f"http://127.0.0.1:{callbacks}/camio", stage, ledger),
        ]
        done = restarts(site, stage)
        throttled: list[int] = []

        async def note() -> None:
            throttled.append(asked.cloud.gate.throttled)  # afterwards its clock stands still

        stage.at(QUIET - 60, note)
        asyncio.run(live(stage, devices, asked))
        prove_that_it_happened(done, devices, asked, ledger)
        assert [0] == throttled
        site.settle(timeout_s=120)
        site.judge(ledger)
        expected = expected_tallies(ledger)
        assert expected == counters_tallies(site)
        assert expected_people(ledger) == {
            zone["zone"]: zone["occupancy_raw"] for zone in told(site, "occupancy")
        }
        for number in (0, 1, 2, 4, 5):  # interval mode: a backlog after an outage fills the gap
            (day,) = told(site, "devices", f"counter-77000000000000{number:02d}", "--day", DAY)
            assert (1500, 0, True) == (day["minutes"], day["minutes_missing"], day["complete"]), day
        account = site.daemon.command("account")
        assert 0 == account.returncode, account.stdout
    finally:
        site.close()
        asked.stop()


def prove_that_it_happened(done: list[str], devices: list[Device], asked: Polled, ledger: Ledger) -> None:
    """A day on which nothing went wrong would prove nothing."""
    assert done.count("killed") >= 12
    assert done.count("stopped") >= 12
    assert 0 == sum(device.waiting for device in devices)
    assert 0 == sum(device.figures.dropped for device in devices)
    assert sum(device.figures.unanswered for device in devices) > 20, "the restarts were not felt"
    assert sum(device.figures.resent for device in devices) > 100
    assert 0 == asked.unread
    kinds = Bag(str(key[0]) for key in ledger.obligations())
    assert {"count", "access", "alarm", "heartbeat", "camlytics", "camlytics_cloud", "camio"} <= kinds.keys()
    print(f"obligations {kinds}, restarts {Bag(done)}, asked of the cloud {asked.cloud.gate.asked}")


async def live(stage: Stage, devices: list[Device], asked: Polled) -> None:
    acts = [asyncio.ensure_future(stage.play(device.run(duration_s=QUIET - START))) for device in devices]
    await stage.drive(END)
    await asyncio.gather(*acts)


def expected_tallies(ledger: Ledger) -> Bag[tuple[str, str, str]]:
    """Say what every device counted on every day of the site, by the devices' own statements."""
    sums: Bag[tuple[str, str, str]] = Bag()
    for device, moment, measure, amount in counted(ledger):
        sums[device, datetime.fromtimestamp(moment, ZONE).date().isoformat(), measure] += amount
    return +sums


def counted(ledger: Ledger) -> Iterator[tuple[str, float, str, int]]:
    """Give device, moment, measure and amount of everything that was counted in the end."""
    for key, statement in ledger.obligations().items():
        if key[0] == "count":
            device, view, moment = f"counter-{key[1]}", key[3], float(key[5])
        elif key[0] == "camlytics_cloud":
            device, view, moment = f"camlytics_cloud-{key[1]}", "total", float(key[-1])
        elif key[0] == "camlytics":
            device, view, moment = f"camlytics-{key[1]}", "total", int(key[-1]) / 1000
        else:
            continue
        for measure, amount in tallies("count", {"view": view, **statement.truth}):
            yield device, moment, measure, amount


def expected_people(ledger: Ledger) -> dict[str, int]:
    """Say how many people are in each zone since its reset, as the devices of its doors have it."""
    resets = {
        "site": datetime(2026, 11, 1, 4, 0, tzinfo=ZONE),
        "hall": datetime(2026, 11, 1, 5, 30, tzinfo=ZONE),
    }
    doors = {"site": {f"counter-770000000000000{number}": side for number, side in enumerate((1, 1, -1))}}
    doors["hall"] = {"counter-7700000000000006": 1, "counter-7700000000000007": 1}
    people = {"site": 0, "hall": 2}
    ways = {"enters": 1, "exits": -1}
    for device, moment, measure, amount in counted(ledger):
        for zone, sides in doors.items():
            side = 1 if zone == "hall" and device.startswith("camlytics-hall-") else sides.get(device, 0)
            if moment >= resets[zone].timestamp():
                people[zone] += side * ways.get(measure, 0) * amount
    return people


def told(site: Site, *words: str) -> list[dict[str, Any]]:
    """Give what a command says, as JSON."""
    said = site.daemon.command(*words, "--json")
    assert said.stdout, said.stderr
    value = json.loads(said.stdout)
    return value if isinstance(value, list) else [value]


def counters_tallies(site: Site) -> Bag[tuple[str, str, str]]:
    """Give what the gateway counted of everything that counts people."""
    with sqlite3.connect(f"file:{site.directory}/store/gateway.db?mode=ro", uri=True) as conn:
        rows = conn.execute("SELECT device, day, measure, amount FROM tallies")
        counts = {(device, day, measure): amount for device, day, measure, amount in rows}
    people = ("counter-", "camlytics")
    return +Bag({key: n for key, n in counts.items() if key[0].startswith(people) and key[2] != "alarms"})
