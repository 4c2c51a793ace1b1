"""The state of a zone, and how far it says that it can be trusted."""

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from keeping import NOON, count, counter, opened
from moved_clock import hand_moved
from zoned import FOUR, HALL, zone, zoned

from gateway.daemon.zones import unheard_doors
from gateway.faults import Faults
from gateway.outbox.zoning import Zoning
from gateway.projection import Projection

pytestmark = pytest.mark.anyio
TZ = ZoneInfo("Europe/Lisbon")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def hands():
    with hand_moved(NOON + 5 * MINUTE) as moved:
        yield moved


async def state(outbox, *zones, device=HALL):
    projection = Projection(outbox.path, "gw", TZ)
    projection.zoning, projection.sums = Zoning(zones), outbox.sums
    try:
        found = {one.device: json.loads(one.payload) for one in await projection.states()}
    finally:
        projection.close()
    return found[device]


def hour(device="counter-a", missing=()):
    """Give the minutes of the last hour and some before."""
    return [count(at, 1, exits=0, device=counter(device)) for at in range(-90, 5) if at not in missing]


async def test_a_zone_shows_people_and_numbers(tmp_path, hands):
    """People, capacity, drift, totals of the day and ever, the last hour and minute stand in one flat object."""
    hall = zone("counter-a", "counter-b", name="Hall", reset=FOUR, capacity=200, room_at=190)
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        await outbox.append(hour() + hour("counter-b"), hands.now())
        told = await state(outbox, hall)
    assert (HALL, "gateway", "Hall", "2026-10-05", "2026-10-04T23:00:00Z") == tuple(
        told[name] for name in ("device", "source", "name", "day", "day_start")
    )
    assert (190, 190, 95, False, "start") == tuple(
        told[name] for name in ("occupancy", "occupancy_raw", "percent", "over_capacity", "occupancy_from")
    )
    assert (190, 190, 120, 2) == tuple(
        told[f"enters_{span}"] for span in ("today", "total", "last_hour", "last_minute")
    )
    assert ("2026-10-05T12:05:00.000Z", "ok") == (told["counted_to"], told["quality"])
    assert (None, None, "2026-10-06T03:00:00.000Z") == tuple(
        told[name] for name in ("drift_at_last_reset", "last_reset", "next_reset")
    )
    assert not any(isinstance(value, dict | list) for value in told.values())


async def test_what_is_not_known_is_null(tmp_path, hands):
    """Before the first window of a zone nobody knows how many people are in it, and no door of it is alive."""
    hall = zone("counter-a", capacity=10)
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        await outbox.zones.look()
        told = await state(outbox, hall)
    assert (None, None, None, None, "stale") == tuple(
        told[name] for name in ("occupancy", "occupancy_raw", "percent", "over_capacity", "quality")
    )
    assert "enters_today" not in told


async def test_a_reset_says_that_nobody_is_there(tmp_path, hands):
    """A zone that was reset or set is known, also when nothing was ever counted in it."""
    hall = zone("counter-a", reset=FOUR, reset_to=2)
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        await outbox.zones.look()
        hands.go(days=1)
        await outbox.zones.look()
        told = await state(outbox, hall)
    assert (2, "reset", None) == tuple(
        told[n] for n in ("occupancy", "occupancy_from", "drift_at_last_reset")
    )


@pytest.mark.parametrize(
    ("liveness", "gap", "quality"),
    [
        ({}, False, "ok"),
        ({"counter-a": "silent"}, False, "partial"),
        ({"counter-a": "gone"}, False, "partial"),
        ({"counter-a": "online"}, False, "ok"),
        ({}, True, "partial"),
        ({"counter-a": "silent", "counter-b": "gone"}, False, "stale"),
    ],
)
async def test_the_quality_is_that_of_the_doors(tmp_path, hands, liveness, gap, quality):
    """A silent door or a gap in the last hour makes a zone partial; without a door that is alive it is stale."""
    hall = zone("counter-a", "counter-b")
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        await outbox.append(hour(missing=[-20] if gap else [-80]) + hour("counter-b"), hands.now())
        for device, word in liveness.items():
            await outbox.write(
                lambda conn, d=device, w=word: conn.execute(
                    "UPDATE devices SET liveness = ? WHERE id = ?", (w, d)
                )
            )
        assert quality == (await state(outbox, hall))["quality"]


async def test_a_door_that_never_pushed_is_missing(tmp_path, hands):
    """A zone with a door that nobody has heard of is partial."""
    hall = zone("counter-a", "counter-x")
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        await outbox.append(hour(), hands.now())
        assert "partial" == (await state(outbox, hall))["quality"]


@pytest.mark.parametrize(
    ("doors", "silent", "quality"),
    [
        ((), (), "ok"),
        ((), ("counter-a",), "partial"),
        ((), ("counter-a", "counter-b"), "stale"),
        (("counter-x",), (), "partial"),
        (("counter-x",), ("counter-a", "counter-b"), "stale"),
    ],
)
async def test_what_feeds_a_zone_by_a_rule_is_a_door(tmp_path, hands, doors, silent, quality):
    """Cameras whose own rule names the zone make it ok, partial or stale, with and without a door that is on hold."""
    hall = zone(*doors)
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        for name in ("counter-a", "counter-b"):
            told = [count(at, 1, device=counter(name), zone="hall") for at in range(-90, 5)]
            await outbox.append(told, hands.now())
        for name in silent:
            await outbox.write(
                lambda conn, d=name: conn.execute("UPDATE devices SET liveness = 'silent' WHERE id = ?", (d,))
            )
        assert quality == (await state(outbox, hall))["quality"]


async def test_a_counter_without_heartbeat_lowers_nothing(tmp_path, hands):
    """What cannot be told is not called a gap."""
    hall = zone("counter-a")
    async with opened(tmp_path, **zoned(hall, tz=TZ)) as outbox:
        await outbox.remember()
        await outbox.append([count(-50, 1, count="running_minute")], hands.now())
        assert "ok" == (await state(outbox, hall))["quality"]
        told = await state(outbox, hall, device="counter-a")
    assert told["minutes_missing_today"] is None


async def test_a_device_shows_its_gaps(tmp_path, hands):
    """The state of a counter says how many minutes are missing, today and yesterday, and whether that is complete."""
    yesterday = NOON - timedelta(hours=13)
    async with opened(tmp_path, **zoned(tz=TZ)) as outbox:
        await outbox.remember()
        told = [count(time=yesterday - 1440 * MINUTE + at * MINUTE) for at in range(1440 + 700)]
        await outbox.append(told[:30] + told[33:], NOON)
        found = await state(outbox, device="counter-a")
        assert (3, False) == (found["minutes_missing_yesterday"], found["complete_yesterday"])
        await outbox.append(told[30:33], NOON)
        found = await state(outbox, device="counter-a")
    assert (0, True) == (found["minutes_missing_yesterday"], found["complete_yesterday"])
    assert 55 == found["minutes_missing_today"], "700 of 785 minutes came, and 30 may still be on their way"


def test_a_door_that_is_misspelt_is_named():
    """The sentence about a door that never pushed names the zone, the door, and the device that may be meant."""
    zoning = Zoning((zone("counter-0000l", "counter-2"), zone("counter-9", name_of="site")))
    told = unheard_doors(zoning, ["counter-00001", "counter-2"])
    assert {"hall counter-0000l", "site counter-9"} == told.keys()
    assert "Zone hall counts by the door counter-0000l" in told["hall counter-0000l"]
    assert "counter-00001 has" in told["hall counter-0000l"]
    assert "The site counts" in told["site counter-9"]
    assert Faults().report("zone_door_unheard", "hall counter-0000l", told["hall counter-0000l"])
