"""The documents say of zones what they show."""

import json
from zoneinfo import ZoneInfo

import pytest
from keeping import NOON, count, opened
from moved_clock import hand_moved
from pages import examples, rows, tables
from zoned import FOUR, HALL, told, zone, zoned

from gateway.outbox.zoning import Zoning
from gateway.projection import Projection

pytestmark = pytest.mark.anyio


async def test_states_and_events_of_a_zone_are_as_described(tmp_path):
    """The fields of a zone's state are those of mqtt.md, and those of its events are those of events.md."""
    hall = zone("counter-a", capacity=5, room_at=4, reset=FOUR)
    with hand_moved(NOON) as hands:
        async with opened(tmp_path, **zoned(hall)) as outbox:
            await outbox.remember()
            await outbox.append([count(0, 6)], NOON)
            await outbox.zones.put(HALL, 4)
            hands.go(days=3)
            await outbox.zones.look()
            projection = Projection(outbox.path, "gw", ZoneInfo("UTC"))
            projection.zoning, projection.sums = Zoning((hall,)), outbox.sums
            states = {one.device: json.loads(one.payload) for one in await projection.states()}
            projection.close()
    spans = ("_today", "_total", "_last_hour", "_last_minute")
    shown = {name for name in states[HALL] if not name.endswith(spans)}
    common = rows("mqtt.md", "state").keys()
    assert shown <= {*rows("mqtt.md", "state of a zone"), *common}
    assert {
        name for name in rows("mqtt.md", "state of a zone") if "…" not in name and "`" not in name
    } <= shown | {"capacity_clear"}
    (example,) = [one for one in examples("mqtt.md") if one.get("device") == HALL]
    assert example.keys() <= states[HALL].keys()
    said = told(tmp_path)
    assert {"full", "set", "room", "reset"} == {one["what"] for one in said}
    assert tables("events.md", "occupancy")[0].keys() == set().union(*said)
    (example,) = [one for one in examples("events.md") if one.get("kind") == "occupancy"]
    assert example["data"].keys() <= set().union(*said)
