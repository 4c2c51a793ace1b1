"""How many people are in a zone: counted, reset, set, full, and right after every end."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from keeping import NOON, Running, after_crash, count, counter, opened, rows, tallies
from moved_clock import hand_moved
from zoned import FOUR, HALL, people, put, row, told, zone, zoned

from gateway.errors import GatewayError, StoreUnavailable
from gateway.outbox import damage, reading

pytestmark = pytest.mark.anyio
DAY_START = datetime(2026, 10, 5, 4, 0, tzinfo=UTC)
TOMORROW = DAY_START + timedelta(days=1)


@pytest.fixture
def hands():
    with hand_moved(NOON) as moved:
        yield moved


def passed(minute=0, enters=0, exits=0, *, device="counter-a", **more):
    return count(minute, enters, exits=exits, device=counter(device), **more)


async def test_people_come_in_and_leave(tmp_path, hands):
    """The people in a zone are those who came in less those who left, through all of its doors."""
    async with opened(tmp_path, **zoned(zone("counter-a", "counter-b"))) as outbox:
        await outbox.append([passed(0, 5, 1), passed(0, 2, 3, device="counter-b")], NOON)
        await outbox.append([passed(1, 9, 0, device="counter-c")], NOON)
    assert 3 == people(tmp_path)
    assert {("2026-10-05", "enters"): 7, ("2026-10-05", "exits"): 4} == tallies(tmp_path, HALL)


async def test_a_door_that_leads_out_changes_sides(tmp_path, hands):
    """Who enters by the count of a door that leads out leaves the zone, and passers-by are those who turned back."""
    async with opened(tmp_path, **zoned(zone(out=["counter-a"]))) as outbox:
        await outbox.append([passed(0, 1, 6, passings=3, returns=4)], NOON)
    assert 5 == people(tmp_path)
    day = {measure: amount for (_, measure), amount in tallies(tmp_path, HALL).items()}
    assert {"enters": 6, "exits": 1, "passings": 4, "returns": 3} == day


async def test_one_object_of_a_device_is_a_door(tmp_path, hands):
    """Of a device with several counted objects only the named one counts."""
    async with opened(tmp_path, **zoned(zone("counter-a/2"))) as outbox:
        other = passed(1, 7, object="1")
        await outbox.append([passed(0, 3, object="2"), other], NOON)
    assert 3 == people(tmp_path)


async def test_views_are_never_added(tmp_path, hands):
    """Adults and children are in the totals of the zone beside everybody, and change no occupancy."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 3), passed(1, 1, view="child"), passed(2, 2, view="adult")], NOON)
    assert 3 == people(tmp_path)
    day = {measure: amount for (_, measure), amount in tallies(tmp_path, HALL).items()}
    assert (3, 2, 1) == (day["enters"], day["adult_enters"], day["child_enters"])


async def test_an_event_may_name_its_zone(tmp_path, hands):
    """What the configuration puts into a zone counts there, and once where its device is a door as well."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append(
            [passed(0, 3, zone="hall"), passed(1, 4, zone="hall", device="camlytics-x")], NOON
        )
        await outbox.append([passed(2, 9, zone="nowhere", device="camlytics-x")], NOON)
    assert 7 == people(tmp_path)


async def test_a_correction_replaces_what_it_corrects(tmp_path, hands):
    """The same minute said again moves zone and totals by the difference, whatever came between."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 5, 1, revision=2)], NOON)
        await outbox.append([passed(1, 1)], NOON)
        await outbox.append([passed(0, 2, 2, revision=3), passed(0, 50, 0, revision=1)], NOON)
        await outbox.append([passed(0, 2, 2, revision=3)], NOON)
    assert 1 == people(tmp_path)
    assert 3 == tallies(tmp_path, HALL)["2026-10-05", "enters"]


async def test_it_is_shown_empty_and_counted_below(tmp_path, hands):
    """More people leaving than came are a raw sum below zero, and nobody is shown."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 1, 4)], NOON)
    assert (-3, 0) == (row(tmp_path).raw, row(tmp_path).shown)


# Resets


async def test_a_reset_needs_no_push(tmp_path, hands):
    """At its time the zone has the people that it is reset to, and the drift is what was counted too many."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR, reset_to=2))) as outbox:
        await outbox.append([passed(0, 9, 4)], NOON)
        assert int(TOMORROW.timestamp() * 1000) == outbox.zones.next_reset
        hands.instant = TOMORROW - timedelta(milliseconds=1)
        await outbox.zones.look()
        assert 7 == people(tmp_path)
        hands.instant = TOMORROW
        await outbox.zones.look()
        await outbox.zones.look()
    assert (2, 5) == (people(tmp_path), row(tmp_path).drift)
    assert [{"what": "reset", "zone": "hall", "occupancy": 2, "occupancy_raw": 2, "drift": 5}] == told(
        tmp_path
    )


async def test_the_writer_resets_what_the_timer_has_not(tmp_path, hands):
    """A push behind the reset counts from there on, also when nobody looked at the clock before."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        await outbox.append([passed(0, 9)], NOON)
        hands.instant = TOMORROW + timedelta(minutes=2)
        await outbox.append([passed(0, 3, time=TOMORROW)], hands.now())
    assert (3, 9) == (people(tmp_path), row(tmp_path).drift)


async def test_a_late_minute_changes_its_day_and_not_the_people(tmp_path, hands):
    """What happened before the reset and comes behind it is in the totals of its day only."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        await outbox.append([passed(0, 2)], NOON)
        hands.instant = TOMORROW + timedelta(minutes=5)
        await outbox.zones.look()
        before = passed(time=TOMORROW - timedelta(minutes=1), enters=8, revision=1)
        await outbox.append([before, passed(time=TOMORROW, enters=1)], hands.now())
        await outbox.append([passed(time=TOMORROW - timedelta(minutes=1), enters=6, revision=2)], hands.now())
    assert 1 == people(tmp_path)
    assert 7 == tallies(tmp_path, HALL)["2026-10-06", "enters"]
    assert 2 == row(tmp_path).drift


async def test_what_is_ahead_of_the_reset_waits_for_it(tmp_path, hands):
    """Windows of a device whose clock is ahead count from the reset that they belong to, corrections too."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        hands.instant = TOMORROW - timedelta(minutes=3)
        ahead = TOMORROW + timedelta(minutes=1)
        await outbox.append([passed(0, 2), passed(time=ahead, enters=5, revision=1)], hands.now())
        await outbox.append([passed(time=ahead, enters=4, revision=2)], hands.now())
        await outbox.append([passed(time=ahead + timedelta(days=1), enters=70)], hands.now())
        assert 2 == people(tmp_path)
        hands.instant = TOMORROW
        await outbox.zones.look()
        assert 4 == people(tmp_path)
        await outbox.append([passed(time=ahead, enters=1, revision=3)], hands.now())
        assert 1 == people(tmp_path)
        hands.go(days=1)
        await outbox.zones.look()
    assert 70 == people(tmp_path)


async def test_resets_that_were_missed_are_one(tmp_path, hands):
    """A box that was off for days resets to the last of the times that passed, before anything is received."""
    settings = zoned(zone("counter-a", reset=FOUR))
    async with opened(tmp_path, **settings) as outbox:
        await outbox.append([passed(0, 9)], NOON)
    hands.go(days=3)
    async with opened(tmp_path, **settings) as outbox:
        await outbox.zones.look()
        assert 0 == people(tmp_path)
        await outbox.append([passed(time=NOON + timedelta(days=2), enters=30)], hands.now())
        await outbox.append([passed(time=NOON + timedelta(days=3), enters=4)], hands.now())
    assert 4 == people(tmp_path)
    assert [("reset", 9, 2)] == [(one["what"], one["drift"], one["missed"]) for one in told(tmp_path)]
    assert DAY_START + timedelta(days=3) == datetime.fromtimestamp(row(tmp_path).since / 1000, UTC)


async def test_no_reset_by_a_clock_that_cannot_be_believed(tmp_path, hands):
    """While the box does not know the time nothing is reset; when it does, what was due is."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        await outbox.append([passed(0, 9)], NOON)
        hands.sure, hands.instant = False, TOMORROW + timedelta(hours=1)
        await outbox.zones.look()
        await outbox.append([passed(time=hands.now(), enters=2)], hands.now())
        assert (9, []) == (people(tmp_path), told(tmp_path))
        hands.sure = True
        await outbox.zones.look()
    assert (2, 9) == (people(tmp_path), row(tmp_path).drift)


async def test_a_store_that_begins_in_1970_ends_up_right(tmp_path, hands):
    """A new box that learns the time later counts the windows since the last reset, and no others."""
    hands.sure, hands.instant = False, datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        early = passed(time=DAY_START - timedelta(hours=1), enters=50)
        await outbox.append([early, passed(0, 3, 1)], hands.now())
        hands.sure, hands.instant = True, NOON
        await outbox.zones.look()
    assert 2 == people(tmp_path)


@pytest.mark.parametrize(
    ("zone_name", "before", "at", "hour"),
    [
        ("Europe/Lisbon", "2026-10-24T12:00", "2026-10-25T01:30", 0.5),  # comes twice: the first time
        ("Europe/Lisbon", "2026-03-28T12:00", "2026-03-29T01:30", 1),  # never comes: when it is passed
        ("America/Sao_Paulo", "2018-11-03T12:00", "2018-11-04T00:00", 3),  # a midnight that there was not
    ],
)
async def test_a_reset_comes_once_where_clocks_change(tmp_path, hands, zone_name, before, at, hour):
    """On a day on which the time of the reset comes twice or never, the zone is reset once."""
    tz = ZoneInfo(zone_name)
    hands.set(before, tz)
    at = datetime.fromisoformat(at)
    reset = at.replace(hour=0, minute=0, tzinfo=UTC) + timedelta(hours=hour)
    start = passed(time=hands.now(), enters=3)
    async with opened(tmp_path, **zoned(zone("counter-a", reset=at.time()), tz=tz)) as outbox:
        await outbox.append([start], hands.now())
        for minute in range(-1, 120):
            hands.instant = reset + timedelta(minutes=minute)
            await outbox.zones.look()
            assert (3 if minute < 0 else 0) == people(tmp_path)
    assert ["reset"] == [one["what"] for one in told(tmp_path)]


# Set by hand


async def test_a_person_says_how_many_there_are(tmp_path, hands):
    """From the minute in which it was set the number goes on by what is counted, and nothing counts twice."""
    hands.go(minutes=10, seconds=23)
    running = passed(10, 2, 0, revision=1)
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        await outbox.append([passed(0, 9, 4), running], hands.now())
        assert 7 == (await outbox.zones.put(HALL, 20))["drift"] + 20
        assert 20 == people(tmp_path)
        await outbox.append([passed(10, 3, 0, revision=2)], hands.now())
        assert 21 == people(tmp_path)
        await outbox.append([passed(9, 8, 0), passed(11, 0, 5)], hands.now())
    assert 16 == people(tmp_path)
    assert [("set", 20, -13)] == [(one["what"], one["occupancy"], one["drift"]) for one in told(tmp_path)]
    assert row(tmp_path).drift is None, "only a reset tells how far the count was off"


async def test_a_reset_by_hand_tells_the_drift(tmp_path, hands):
    """Reset now is what the timer does: the number that is configured, and the drift is kept."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset_to=3))) as outbox:
        await outbox.append([passed(-5, 9, 4)], NOON)
        await outbox.zones.put(HALL, None)
    assert (3, 5) == (people(tmp_path), row(tmp_path).drift)
    assert ["reset"] == [one["what"] for one in told(tmp_path)]


async def test_nobody_is_told_about_what_was_refused(tmp_path, hands):
    """An unknown zone, and a clock that is not set, are refused with a sentence, and nothing changes."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        with pytest.raises(GatewayError, match="no zone 'cellar'"):
            await outbox.zones.put("zone-cellar", 1)
        hands.sure = False
        with pytest.raises(GatewayError, match="clock"):
            await outbox.zones.put(HALL, 1)
    assert (0, []) == (people(tmp_path), told(tmp_path))


# Full


async def test_a_zone_is_full_until_enough_have_left(tmp_path, hands):
    """It is full at its capacity, and not ten times over when one person stands in the door."""
    full = zone("counter-a", capacity=10, room_at=8)
    async with opened(tmp_path, **zoned(full)) as outbox:
        for minute, (enters, exits) in enumerate(
            [(9, 0), (1, 0), (0, 1), (1, 0), (0, 1), (0, 1), (1, 0), (1, 0)]
        ):
            await outbox.append([passed(minute, enters, exits)], NOON)
    assert [("full", 10), ("room", 8), ("full", 10)] == [
        (one["what"], one["occupancy"]) for one in told(tmp_path)
    ]
    assert 1 == row(tmp_path).crowded


async def test_a_reset_makes_room(tmp_path, hands):
    """A full zone that is reset has room, and says first that it was reset."""
    async with opened(tmp_path, **zoned(zone("counter-a", capacity=3, room_at=2, reset=FOUR))) as outbox:
        await outbox.append([passed(0, 4)], NOON)
        hands.instant = TOMORROW
        await outbox.zones.look()
    assert ["full", "reset", "room"] == [one["what"] for one in told(tmp_path)]


# Configuration


async def test_a_correction_takes_back_what_had_counted_where_it_had(tmp_path, hands):
    """After the doors of a zone were changed, corrections of earlier minutes move what those had moved."""
    async with opened(tmp_path, **zoned(zone("counter-a"), zone("counter-b", name_of="zone-b"))) as outbox:
        await outbox.append([passed(0, 5, revision=1), passed(0, 4, device="counter-b")], NOON)
        put(outbox, zone("counter-b"), zone("counter-a", name_of="zone-b"))
        await outbox.append([passed(0, 7, revision=2)], NOON)
    assert 0 == tallies(tmp_path, HALL)["2026-10-05", "enters"]
    assert 11 == tallies(tmp_path, "zone-b")["2026-10-05", "enters"]


async def test_plans_are_remembered_over_a_restart(tmp_path, hands):
    """The same after a restart with other doors."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 5, revision=1)], NOON)
    async with opened(tmp_path, **zoned(zone("counter-b"))) as outbox:
        await outbox.append([passed(0, 6, revision=2)], NOON)
    assert 0 == tallies(tmp_path, HALL)["2026-10-05", "enters"]


async def test_a_zone_that_is_added_counts_from_then_on(tmp_path, hands):
    """What was received before somebody added the zone is not in it, and late minutes from before neither."""
    async with opened(tmp_path) as outbox:
        await outbox.append([passed(-10, 5)], NOON)
        put(outbox, zone("counter-a", reset=FOUR))
        await outbox.append([passed(-5, 7), passed(0, 1)], NOON)
    assert 1 == people(tmp_path)


async def test_a_zone_that_is_taken_out_is_forgotten(tmp_path, hands):
    """Its people are gone with it; its totals stay."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 5)], NOON)
        put(outbox)
        await outbox.append([passed(1, 5)], NOON)
    assert [] == rows(tmp_path, "SELECT * FROM zones")
    assert 5 == tallies(tmp_path, HALL)["2026-10-05", "enters"]


@pytest.mark.parametrize(
    ("zones", "left"),
    [
        ([zone("counter-a")], 12),
        ([zone("counter-a", "counter-b")], 12),
        ([zone("counter-b")], 12),
        ([], None),
    ],
    ids=["the same", "another door", "without the door", "none"],
)
async def test_a_reload_in_the_middle_of_a_transaction_loses_nobody(tmp_path, hands, zones, left):
    """What the transaction has counted before the reload stays counted, in the zone as in its day."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 5)], NOON)
        drafting = outbox.settings.drafting

        def work(_conn):
            told = outbox._appender.append([drafting.draft(passed(1, 7), NOON)], "")
            put(outbox, *zones)  # the event loop does so while the writer's thread is in here
            return told

        assert 1 == (await outbox.write(work)).new
    assert 12 == tallies(tmp_path, HALL)["2026-10-05", "enters"]
    assert ([] if left is None else [(HALL, left)]) == rows(
        tmp_path, "SELECT name, base + enters - exits FROM zones"
    )


async def test_another_time_for_the_reset_holds_from_the_next_one_on(tmp_path, hands):
    """Who changes the reset at noon from evening to morning does not empty the zone at once."""
    async with opened(tmp_path, **zoned(zone("counter-a", reset=FOUR))) as outbox:
        await outbox.append([passed(0, 5)], NOON)
        put(outbox, zone("counter-a", reset=FOUR.replace(hour=11)))
        await outbox.zones.look()
        assert 5 == people(tmp_path)
        assert NOON + timedelta(hours=23) == datetime.fromtimestamp(outbox.zones.next_reset / 1000, UTC)


# Ends


async def test_a_zone_is_no_device(tmp_path, hands):
    """What is said about a zone is in the log under its own name, and no device is listed for it."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 5)], NOON)
        await outbox.zones.put(HALL, 4)
        await outbox.zones.put(HALL, 4)
        with reading.looking(tmp_path) as conn:
            assert ["counter-a"] == [page["id"] for page in reading.devices(conn)]
            assert [] == reading.devices(conn, HALL)
    found = rows(tmp_path, "SELECT id, device_seq, kind FROM events WHERE device = ?", HALL)
    assert 2 == len({id_ for id_, _, _ in found})
    assert [(1, "occupancy"), (2, "occupancy")] == [tuple(rest) for _, *rest in found]


async def test_a_crash_between_any_two_commits_changes_nothing(tmp_path, hands):
    """What the store says about a zone after kill -9 is what its log says, and what was told is told once."""
    settings = zoned(zone("counter-a", capacity=3, room_at=1, reset=FOUR))
    running = await Running.start(tmp_path / "0", **settings)
    for life, (enters, exits) in enumerate([(2, 0), (2, 0), (0, 3), (4, 1)]):
        await running.outbox.append([passed(life, enters, exits)], NOON)
        left = after_crash(tmp_path / str(life), tmp_path / str(life + 1))
        await running.abandon()
        running = await Running.start(left, **settings)
    await running.outbox.zones.look()
    await running.stop()
    assert 4 == people(left)
    assert ["full", "room", "full"] == [one["what"] for one in told(left)]


async def test_a_rollback_leaves_nothing_behind(tmp_path, hands):
    """A transaction that fails moves no zone, no total, no minute and no sum in memory, and the next one is right."""

    def broken(_conn):
        raise ZeroDivisionError

    async with opened(tmp_path, **zoned(zone("counter-a", capacity=9, room_at=1, reset=FOUR))) as outbox:
        await outbox.append([passed(0, 5)], NOON)
        outbox._writer._before_commit, before = broken, outbox._writer._before_commit
        with pytest.raises((ZeroDivisionError, StoreUnavailable)):
            await outbox.append([passed(1, 6)], NOON)
        outbox._writer._before_commit = before
        hands.instant = TOMORROW
        await outbox.zones.look()
        assert (0, 5) == (people(tmp_path), row(tmp_path).drift)
        await outbox.append([passed(time=TOMORROW, enters=2)], hands.now())
    assert 2 == people(tmp_path)
    assert ["reset"] == [one["what"] for one in told(tmp_path)]


async def test_a_salvage_keeps_zones_minutes_and_lifetimes(tmp_path, hands):
    """After damage the zones go on with their people, and a whole hour of minutes is not taken for damage."""
    settings = zoned(zone("counter-a", reset=FOUR))
    directory = tmp_path / "store"
    async with opened(directory, **settings) as outbox:
        await outbox.append([passed(at, 2, 1, revision=1) for at in range(-120, 0)], NOON)
    tables = ("zones", "coverage", "lifetimes", "tallies")
    before = {name: rows(directory, f"SELECT * FROM {name}") for name in tables}
    assert any(minutes == 2**60 - 1 for _, _, minutes, *_ in before["coverage"])
    damage.mark(directory, "a test says so")
    async with opened(directory, **settings) as outbox:
        assert outbox.salvaged is not None
        assert before == {name: rows(directory, f"SELECT * FROM {name}") for name in tables}
        await outbox.append([passed(-1, 5, 1, revision=2)], NOON)
    assert 120 + 3 == people(directory)
    assert 243 == tallies(directory, HALL)["2026-10-05", "enters"]


async def test_a_correction_after_many_reloads_moves_the_sums_by_the_difference(tmp_path, hands):
    """When the doors of that time are forgotten a correction from five to six adds one, and not six."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.append([passed(0, 5, revision=1)], NOON)
        for number in range(18):
            put(outbox, zone("counter-a", f"counter-x{number}"))
            await outbox.append([passed(number, 1, device="counter-z")], NOON)
        await outbox.append([passed(0, 6, revision=2)], NOON)
    assert 6 == people(tmp_path)
    assert 6 == tallies(tmp_path, HALL)["2026-10-05", "enters"]


async def test_a_new_zone_of_the_site_takes_back_from_the_day_that_counted(tmp_path, hands):
    """A correction takes the old count from the day of the old time zone and adds the new one to that of the new."""
    late = datetime(2026, 10, 5, 23, 30, tzinfo=UTC)
    hands.instant = late
    for zone_name, revision in (("UTC", 1), ("Europe/Lisbon", 2), ("UTC", 3)):
        tz = UTC if zone_name == "UTC" else ZoneInfo(zone_name)
        async with opened(tmp_path, **zoned(tz=tz)) as outbox:
            await outbox.append([passed(enters=4 + revision, revision=revision, time=late)], late)
        day = "2026-10-05" if tz is UTC else "2026-10-06"
        found = {key: amount for key, amount in tallies(tmp_path).items() if amount}
        assert {(day, "enters"): 4 + revision} == found
