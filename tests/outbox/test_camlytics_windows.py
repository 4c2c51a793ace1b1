"""What Camlytics counted is found again in the log by its instant, whatever zone its PC is in."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from keeping import opened
from moved_clock import hand_moved

from gateway.event import ZoneRule
from gateway.outbox import reading
from gateway.outbox.day import Day
from gateway.outbox.day_facts import day_facts
from gateway.outbox.entry import Drafting
from gateway.outbox.recent import Recent
from gateway.sources.camlytics import Instance, Rule, events
from gateway.sources.camlytics.told import by_rest
from gateway.sources.camlytics.walltime import Bounds, instant, ms_of
from gateway.sources.camlytics_cloud.records import Reader
from gateway.sources.camlytics_cloud.rules import Rule as CloudRule
from gateway.sources.camlytics_cloud.rules import Rules

pytestmark = pytest.mark.anyio


def _lan(zone, instants):
    pc = Instance(name="pc", zone=zone, rules=(Rule(rule="door", direction="in"),))
    made, newest = [], None
    for number, when in enumerate(instants, 1):
        told = by_rest({
            "event_id": number, "type": "TripwireCrossed", "channel_id": "c", "rule_id": "r", "rule_name": "door",
            "time": when.astimezone(zone).replace(tzinfo=None).isoformat(), "origin": "Pedestrian",
        })  # fmt: skip
        at = instant(told.wall, zone, Bounds(newest))
        newest = ms_of(at)
        device = events.device(pc, "c", "", "")
        made.append(events.event(told, pc, device, at, rule=ZoneRule.SOURCE_ZONE, repaired=False))
    return made


def _cloud(_zone, instants):
    reader = Reader(Rules.of([CloudRule(trigger="t", direction="in", zone=None)]), names={"t": "door"})
    return [
        reader.event(
            {
                "record_id": number, "event_type": "TripwireCrossed", "event_time": when.isoformat(),
                "trigger_id": "t", "channel_id": "ch", "location_id": 1, "origin": "Pedestrian",
            },
            repaired=False,
        )
        for number, when in enumerate(instants, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("made_by", [_lan, _cloud])
@pytest.mark.parametrize(
    ("zone", "day"),
    [("Europe/Lisbon", "2026-07-01"), ("Europe/Lisbon", "2026-10-25"), ("America/New_York", "2026-11-01")],
)
async def test_a_day_and_its_last_hour_are_those_of_the_tallies(tmp_path, made_by, zone, day):
    """Hours of the day add up to its total, and a restart finds the same last hour, in summer and in autumn."""
    tz = ZoneInfo(zone)
    begin = datetime.fromisoformat(day).replace(tzinfo=tz).astimezone(UTC)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=tz).astimezone(UTC)
    minutes = int((end - begin) / timedelta(minutes=1))
    made = made_by(tz, [begin + timedelta(minutes=at) for at in range(0, minutes, 8)])
    device = made[0].device.id
    with hand_moved(end):
        async with opened(tmp_path, drafting=Drafting(zone=tz)) as outbox:
            await outbox.remember()
            await outbox.append(made, end)
            live, restarted = outbox.sums.of(device), Recent()
            restarted.rebuild(tmp_path / "gateway.db")
            assert live == restarted.of(device)
            with reading.looking(tmp_path) as conn:
                facts = day_facts(conn, reading.devices(conn, device)[0], Day.of(begin, tz), tz, end)
    assert len(made) == facts["totals"]["enters"] == sum(hour["enters"] for hour in facts["hours"])
