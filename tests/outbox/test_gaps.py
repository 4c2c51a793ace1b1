"""Which minutes are missing, when a day is complete, and what cannot be told."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from keeping import count, counter, heartbeat, opened, rows
from moved_clock import hand_moved
from zoned import zoned

from gateway import clock
from gateway.event import Device
from gateway.outbox import reading
from gateway.outbox.day import Day
from gateway.outbox.day_facts import day_facts
from gateway.outbox.figures import gap_figures
from gateway.outbox.gaps import gaps

pytestmark = pytest.mark.anyio
LISBON = ZoneInfo("Europe/Lisbon")
START = datetime(2026, 11, 20, tzinfo=UTC)  # midnight in Lisbon in winter
MINUTE = timedelta(minutes=1)


@pytest.fixture
def hands():
    with hand_moved(START + timedelta(days=1, hours=2)) as moved:
        yield moved


def minutes(first, end, *, start=START, **more):
    return [count(time=start + at * MINUTE, **more) for at in range(first, end)]


async def keep(directory, *pushes, zone=UTC, at=None):
    async with opened(directory, **zoned(tz=zone)) as outbox:
        for events in pushes:
            await outbox.append(events, at or clock.now())


def look(directory, day="2026-11-20", zone=LISBON, device="counter-a", now=True):
    span = Day.on(date.fromisoformat(day), zone)
    with reading.looking(directory) as conn:
        (page,) = reading.devices(conn, device)
        return gaps(conn, page, span.start, span.end, clock.now() if now else None)


def missing(found):
    return [
        tuple(int((datetime.fromtimestamp(ms / 1000, UTC) - START) / MINUTE) for ms in pair)
        for pair in found.ranges()
    ]


async def test_a_day_of_all_minutes_is_complete(tmp_path, hands):
    """Nothing is missing, and the day is over."""
    await keep(tmp_path, minutes(0, 1440))
    found = look(tmp_path)
    assert (1440, 0, True) == (found.known_count, found.missing_count, found.complete)


async def test_what_is_missing_is_named_and_filled_when_it_comes(tmp_path, hands):
    """Minutes that nobody told about are missing until they come, however late and in whatever order."""
    await keep(tmp_path, minutes(0, 100) + minutes(103, 200) + minutes(201, 1440))
    found = look(tmp_path)
    assert [(100, 103), (200, 201)] == missing(found)
    assert (4, False) == (found.missing_count, found.complete)
    await keep(tmp_path, minutes(200, 201), minutes(102, 103))
    assert [(100, 102)] == missing(look(tmp_path))
    await keep(tmp_path, minutes(100, 102))
    assert look(tmp_path).complete


async def test_a_minute_of_zeros_is_no_gap(tmp_path, hands):
    """A counter that says that nobody came has told about the minute."""
    await keep(tmp_path, minutes(0, 1440, enters=0))
    assert look(tmp_path).complete


async def test_a_day_that_is_not_over_is_not_complete(tmp_path, hands):
    """Every minute so far is no day."""
    await keep(tmp_path, minutes(0, 720))
    hands.instant = START + timedelta(hours=12)
    found = look(tmp_path)
    assert (0, False) == (found.missing_count, found.complete)


async def test_silence_is_missing_after_a_while(tmp_path, hands):
    """What a dead counter does not tell is missing when it is older than pushes may take."""
    await keep(tmp_path, minutes(0, 600))
    hands.instant = START + timedelta(hours=10, minutes=25)
    assert 0 == look(tmp_path).missing_count
    hands.instant = START + timedelta(hours=12)
    assert 90 == look(tmp_path).missing_count


async def test_what_is_told_later_shows_what_was_left_out(tmp_path, hands):
    """A hole in front of something newer is missing at once."""
    hands.instant = START + timedelta(hours=10)
    await keep(tmp_path, minutes(0, 590) + minutes(595, 600))
    assert [(590, 595)] == missing(look(tmp_path))


async def test_nothing_is_missing_before_the_first_minute(tmp_path, hands):
    """A counter that was installed at noon has no gaps in the morning, and its first day is not complete."""
    await keep(tmp_path, minutes(720, 1440))
    found = look(tmp_path)
    assert (0, 720, False) == (found.missing_count, found.known_count, found.complete)


@pytest.mark.parametrize(
    ("told", "day", "words"),
    [
        ("closed", "2026-11-19", "It was not known then."),
        ("closed", "2026-11-22", "That day has not come yet."),
        ("live", "2026-11-19", "It was not known then."),
        ("live", "2026-11-22", "That day has not come yet."),
        ("live", "2026-11-20", "Nobody can tell"),
    ],
)
async def test_of_a_day_without_the_device_nothing_is_said_but_why(tmp_path, hands, told, day, words):
    """Days before its first minute, days to come and days of its silence are neither whole nor full of gaps."""
    await keep(tmp_path, minutes(0, 1440) if told == "closed" else live(3, 9, 700))
    with reading.looking(tmp_path) as conn:
        (page,) = reading.devices(conn, "counter-a")
        facts = day_facts(conn, page, Day.on(date.fromisoformat(day), LISBON), LISBON, clock.now())
    assert (None, None, []) == (facts["minutes_missing"], facts["complete"], facts["missing"])
    assert facts["cannot_tell"].startswith(words)
    assert ("heartbeat" in facts["cannot_tell"]) == (words == "Nobody can tell")


async def test_the_day_before_the_first_one_is_not_known(tmp_path, hands):
    """On the first day of a device nothing is said about yesterday: neither that all of it came nor that none is missing."""
    await keep(tmp_path, minutes(0, 60))
    yesterday = look(tmp_path, "2026-11-19")
    shown = gap_figures(look(tmp_path), yesterday)
    assert (None, None) == (shown["minutes_missing_yesterday"], shown["complete_yesterday"])
    assert shown["minutes_missing_today"] is not None


async def test_a_camera_is_not_told_to_send_heartbeats(tmp_path, hands):
    """The sentence about a quiet day of a camera does not speak of the menu of a stereo counter."""
    camera = Device(id="camlytics-pc-1", source="camlytics")
    await keep(tmp_path, live(3, 9, 700, device=camera))
    with reading.looking(tmp_path) as conn:
        (page,) = reading.devices(conn, camera.id)
        facts = day_facts(conn, page, Day.on(date(2026, 11, 20), LISBON), LISBON, clock.now())
    assert "Camlytics" in facts["cannot_tell"] and "heartbeat" not in facts["cannot_tell"]


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Lisbon", "2026-03-29", 1380),
        ("Europe/Lisbon", "2026-10-25", 1500),
        ("America/New_York", "2026-11-01", 1500),
        ("Australia/Lord_Howe", "2026-10-04", 1410),
        ("Australia/Lord_Howe", "2026-04-05", 1470),
        ("America/Sao_Paulo", "2018-02-17", 1500),
        ("America/Sao_Paulo", "2018-11-04", 1380),
        ("Asia/Kolkata", "2026-11-20", 1440),
    ],
)
async def test_a_day_is_complete_with_the_minutes_that_it_has(tmp_path, zone, day, length):
    """Where clocks change a day has more or fewer minutes, and one less than these is a gap."""
    tz = ZoneInfo(zone)
    span = Day.on(date.fromisoformat(day), tz)
    assert timedelta(minutes=length) == span.end - span.start
    with hand_moved(span.end + timedelta(hours=1)):
        everything = minutes(0, length, start=span.start)
        await keep(tmp_path, [event for at, event in enumerate(everything) if at != length - 40], zone=tz)
        found = look(tmp_path, day, tz)
        assert (length, 1, False) == (found.length, found.missing_count, found.complete)
        await keep(tmp_path, everything, zone=tz)
        found = look(tmp_path, day, tz)
    assert (length, 0, True) == (found.known_count, found.missing_count, found.complete)


# Real time


def live(*ats, **more):
    return [
        count(time=START + at * MINUTE, count="running_minute", revision=revision, **more)
        for revision, at in enumerate(ats)
    ]


def beats(*ats):
    return [heartbeat(at, time=START + at * MINUTE) for at in ats]


async def test_without_a_heartbeat_nothing_can_be_told(tmp_path, hands):
    """A counter that pushes only when somebody passes says nothing by its silence, also on a day without a push."""
    await keep(tmp_path, live(3, 9, 700))
    for day in ("2026-11-20", "2026-11-21"):
        found = look(tmp_path, day)
        assert found.missing_count is None
    assert look(tmp_path).complete is None
    with reading.looking(tmp_path) as conn:
        (page,) = reading.devices(conn, "counter-a")
        facts = day_facts(conn, page, Day.on(date(2026, 11, 20), LISBON), LISBON, clock.now())
    assert "heartbeat" in facts["cannot_tell"]
    assert (3, None, None) == (facts["minutes_known"], facts["minutes_missing"], facts["complete"])


async def test_a_heartbeat_tells_about_quiet_minutes(tmp_path, hands):
    """While its heartbeat is heard the silence of a real-time counter means that nobody passed."""
    await keep(tmp_path, live(3, 700), beats(*range(-1, 1445, 2)))
    found = look(tmp_path)
    assert (1440, 0, True) == (found.known_count, found.missing_count, found.complete)


async def test_a_heartbeat_that_stays_away_is_a_gap(tmp_path, hands):
    """Where neither counts nor heartbeats came, minutes are missing."""
    await keep(tmp_path, beats(*range(601), *range(640, 1445)), live(610, 650))
    assert [(601, 610), (611, 640)] == missing(look(tmp_path))


async def test_seconds_tell_about_no_minute(tmp_path, hands):
    """Windows of one second are signs of life; the rest of their minute is known by heartbeats only."""
    second = count(time=START + 5 * MINUTE, count="increment")
    await keep(tmp_path, [second])
    assert look(tmp_path).missing_count is None
    await keep(tmp_path, beats(*range(1445)))
    assert look(tmp_path).complete


# Clocks


async def test_without_a_clock_only_holes_are_missing(tmp_path, hands):
    """While our clock cannot be believed no day is over, and nothing is missing behind the last minute."""
    await keep(tmp_path, minutes(0, 100) + minutes(110, 200))
    found = look(tmp_path, now=False)
    assert (10, None) == (found.missing_count, found.complete)


async def test_a_slip_of_a_clock_makes_no_gaps(tmp_path, hands):
    """One window from 1970 or from far ahead leaves the days between without a gap."""
    hands.instant = START + timedelta(hours=3)
    slips = [
        count(time=datetime(1970, 1, 2, tzinfo=UTC)),
        count(time=datetime(2099, 1, 1, tzinfo=UTC)),
    ]
    await keep(tmp_path, slips + minutes(60, 180))
    assert 0 == look(tmp_path).missing_count
    assert 0 == len(look(tmp_path, "2026-11-18").ranges())


async def test_an_endless_window_tells_nothing(tmp_path, hands):
    """A window that claims a year does not fill the table."""
    event = count(time=START)
    endless = type(event)(
        **{name: getattr(event, name) for name in event.__dataclass_fields__}
        | {"end": START + timedelta(days=365)}
    )
    await keep(tmp_path, [endless])
    assert [] == rows(tmp_path, "SELECT * FROM coverage")


async def test_the_device_of_another_kind_has_no_gaps(tmp_path, hands):
    """What counts nobody has no minutes."""
    from keeping import access

    await keep(tmp_path, [access(1)])
    assert look(tmp_path, device="terminal-t") is None


# One day


async def test_a_day_of_a_device_shows_what_is_known(tmp_path, hands):
    """Totals, hours of the site, gaps in local time, and minutes that were changed after they had been told."""
    zone = ZoneInfo("Asia/Kolkata")
    start = Day.on(date(2026, 11, 20), zone).start
    told = minutes(0, 1440, start=start, enters=1, complete=True)
    del told[100:102]
    again = count(time=start + 61 * MINUTE, enters=4, revision=7, complete=True)
    running = [count(time=start + 100 * MINUTE, enters=n, revision=n, complete=n == 2) for n in (1, 2)]
    await keep(tmp_path, told, [again], running, zone=zone)
    with reading.looking(tmp_path) as conn:
        (page,) = reading.devices(conn, "counter-a")
        facts = day_facts(conn, page, Day.on(date(2026, 11, 20), zone), zone, clock.now())
    assert {"enters": 1438 + 3 + 2, "exits": 0} == facts["totals"]
    assert {"hour": "2026-11-20T00:00+05:30", "enters": 60, "exits": 0} == facts["hours"][0]
    assert {"hour": "2026-11-20T01:00+05:30", "enters": 58 + 3 + 2, "exits": 0} == facts["hours"][1]
    assert [{"from": "2026-11-20T01:41+05:30", "to": "2026-11-20T01:42+05:30"}] == facts["missing"]
    assert (1440, 1439, 1, False) == tuple(
        facts[name] for name in ("minutes", "minutes_known", "minutes_missing", "complete")
    )
    assert 1 == facts["corrections"]
    (corrected,) = facts["corrected"]
    assert ("2026-11-20T01:01+05:30", 1, 4) == (
        corrected["window"],
        corrected["was"]["enters"],
        corrected["is"]["enters"],
    )


async def test_hours_are_not_made_up(tmp_path, hands):
    """When the windows of a day have left the log its totals are shown and its hours are not."""
    await keep(tmp_path, minutes(0, 1440))
    async with opened(tmp_path) as outbox:
        await outbox.write(lambda conn: conn.execute("UPDATE devices SET pruned = ?", (2**45,)))
    with reading.looking(tmp_path) as conn:
        (page,) = reading.devices(conn, "counter-a")
        facts = day_facts(conn, page, Day.on(date(2026, 11, 20), LISBON), LISBON, clock.now())
    assert facts["hours"] is None
    assert 1440 == facts["totals"]["enters"]
    assert facts["complete"]


async def test_two_devices_do_not_share_minutes(tmp_path, hands):
    """What one counter told says nothing about another."""
    await keep(tmp_path, minutes(0, 1440), minutes(0, 10, device=counter("counter-b")))
    assert 1430 == look(tmp_path, device="counter-b").missing_count
    assert look(tmp_path).complete
