"""A day of a whole site on a driven clock: afterwards every number is the one that the devices said."""

import asyncio
import json
import sqlite3
from collections import Counter as Bag
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from driven_time import Stage
from experiment import Experiment, Scale
from simulated_site import HOUR_S, MORE, ZONE, Custom, Polled, camio, counters, polled, secrets, terminals
from site_under_test import Site, free_port

from gateway.event import tallies
from gateway.simulate.device import Device
from gateway.simulate.ledger import Ledger

SPEED = 900.0
DAY = "2026-11-01"
# From 23 to 6. Who comes last comes well before the clocks of PCs and cloud are stopped, of which one is ahead.
_NIGHT = (*(1.0,) * 6, *(0.0,) * 17, 1.0)
_INTERVAL_S = 900.0  # the longest that a counter here waits with what it counted
_ROUNDS = 40  # questions to the cloud, a few in each round: each place was asked about again, to the end


@dataclass(frozen=True)
class Span:
    """From when to when a site is watched, over the hour that comes twice, and when people come."""

    start: float
    end: float
    custom: Custom

    @property
    def quiet(self) -> float:
        """Give the moment from which on nobody comes any more, and what is kept is sent."""
        return self.end - 1800.0


def span_of(scale: Scale) -> Span:
    """In the long form the whole day of 25 hours; in the short one its night, with as many people as by day."""
    if scale.soak:
        return Span(at(10, 31, 22, 0), at(11, 2, 0, 40), Custom())
    return Span(at(10, 31, 23, 50), at(11, 1, 6, 35), Custom(profile=_NIGHT, part=0.27, doors=8))


def at(month: int, day: int, hour: int, minute: int) -> float:
    return datetime(2026, month, day, hour, minute, tzinfo=ZONE).timestamp()


def restarts(site: Site, stage: Stage, span: Span) -> list[str]:
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

    moment = span.start + HOUR_S / 2
    while moment < span.end - HOUR_S:
        stage.at(moment, end)
        stage.at(moment + 60, begin)
        moment += HOUR_S
    return done


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_day_of_a_site(tmp_path: Path, experiment: Experiment, scale: Scale) -> None:
    """After hours with a restart in each, every tally, every zone and every event is what the devices said."""
    clock_file, span = tmp_path / "clock", span_of(scale)
    stage, ledger, callbacks = Stage(clock_file, span.start, speed=SPEED), Ledger(), free_port()
    asked = polled(stage, ledger, span.quiet, span.custom).start()
    secrets(tmp_path)
    more = MORE.format(
        callbacks=callbacks,
        directory=tmp_path,
        hall=asked.hall.url,
        yard=asked.yard.url,
        cloud=asked.cloud.url,
    )
    program = (str(Path(__file__).parents[1] / "driven_gateway.py"), str(clock_file))
    site = Site(tmp_path, program=program, more=more)
    try:
        site.daemon.start()
        devices = [
            *counters(site.url, stage, ledger, span.custom),
            *terminals(site.url, stage, ledger, span.custom),
            camio(f"http://127.0.0.1:{callbacks}/camio", stage, ledger),
        ]
        done = restarts(site, stage, span)
        throttled: list[int] = []

        async def note() -> None:
            throttled.append(asked.cloud.gate.throttled)  # afterwards its clock stands still

        stage.at(span.quiet - 60, note)
        asyncio.run(live(stage, span, devices, asked))
        prove_that_it_happened(done, devices, asked, ledger, experiment, scale)
        assert [0] == throttled
        experiment.recovered(site.fresh_event(ledger, timeout_s=120, at=stage.now))
        site.settle(timeout_s=120)
        site.judge(ledger, told=experiment.judge)
        for far_end in site.in_order:
            site.doubles_in_flight(far_end, site.window)
        expected = expected_tallies(ledger)
        assert expected == counters_tallies(site)
        assert expected_people(ledger) == {
            zone["zone"]: zone["occupancy_raw"] for zone in told(site, "occupancy")
        }
        for number in (0, 1, 2, 4, 5):  # interval mode: a backlog after an outage fills the gap
            (day,) = told(site, "devices", f"counter-77000000000000{number:02d}", "--day", DAY)
            no_gap_is_left(day, span, whole=scale.soak)
        account = site.daemon.asked("account")
        assert 0 == account.returncode, account.stdout
        experiment.owe(len(ledger.obligations()))
        # Only a kill makes something come again: no more than a window at each far end.
        doubled = 2 * site.window * experiment.faults["kill -9"]
        experiment.demand(obligations=scale.pick(10_000, 60_000), faults=scale.pick(6, 24), doubled=doubled)
    finally:
        site.close()
        asked.stop()


def no_gap_is_left(day: dict[str, Any], span: Span, *, whole: bool) -> None:
    """Every minute of the day of 25 hours was told about, or of what of it was over when the devices fell silent."""
    silent = span.quiet - _INTERVAL_S
    told_of = (min(silent, at(11, 2, 0, 0)) - at(11, 1, 0, 0)) / 60
    assert 1500 == day["minutes"], day
    assert day["minutes_known"] >= told_of, day
    begun = [datetime.fromisoformat(gap["from"]).timestamp() for gap in day["missing"]]
    assert [] == [moment for moment in begun if moment < silent], day
    if whole:
        assert (1500, 0, True) == (day["minutes_known"], day["minutes_missing"], day["complete"]), day


def prove_that_it_happened(
    done: list[str],
    devices: list[Device],
    asked: Polled,
    ledger: Ledger,
    experiment: Experiment,
    scale: Scale,
) -> None:
    """A day on which nothing went wrong would prove nothing."""
    experiment.hit("kill -9", done.count("killed"))
    experiment.hit("stopped", done.count("stopped"))
    assert done.count("killed") >= scale.pick(3, 12)
    assert done.count("stopped") >= scale.pick(3, 12)
    assert 0 == sum(device.waiting for device in devices)
    assert 0 == sum(device.figures.dropped for device in devices)
    assert sum(device.figures.unanswered for device in devices) > scale.pick(6, 20), (
        "the restarts were not felt"
    )
    assert sum(device.figures.resent for device in devices) > scale.pick(30, 100)
    assert 0 == asked.unread
    kinds = Bag(str(key[0]) for key in ledger.obligations())
    assert {"count", "access", "alarm", "heartbeat", "camlytics", "camlytics_cloud", "camio"} <= kinds.keys()
    print(f"obligations {kinds}, restarts {Bag(done)}, asked of the cloud {asked.cloud.gate.asked}")


async def live(stage: Stage, span: Span, devices: list[Device], asked: Polled) -> None:
    acts = [
        asyncio.ensure_future(stage.play(device.run(duration_s=span.quiet - span.start)))
        for device in devices
    ]
    await stage.drive(span.end)
    polls = asked.cloud.gate.asked
    for _ in range(100):  # on a busy machine time was ahead of the polls, which nobody waits for
        if not asked.unread and asked.cloud.gate.asked > polls + _ROUNDS:
            break
        await stage.drive(stage.now + 60.0)
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
    said = site.daemon.asked(*words, "--json")
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
