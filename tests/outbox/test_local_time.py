"""When a local day, and a time of day, begins: also where clocks are set."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbox.day import Day
from gateway.outbox.local_time import first_instant, last_at, next_at

instants = st.integers(1_262_304_000, 2_082_758_400).map(lambda at: datetime.fromtimestamp(at, UTC))
ZONES = (
    "Europe/Lisbon",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "UTC",
)


@pytest.mark.parametrize(
    ("zone", "day", "at", "instant"),
    [
        ("Europe/Lisbon", "2026-11-21", "04:00", "2026-11-21T04:00:00+00:00"),
        ("Europe/Lisbon", "2026-10-25", "01:30", "2026-10-25T00:30:00+00:00"),  # twice: the first
        ("Europe/Lisbon", "2026-03-29", "01:30", "2026-03-29T01:00:00+00:00"),  # never: when it is passed
        ("America/New_York", "2026-03-08", "02:00", "2026-03-08T07:00:00+00:00"),
        ("America/New_York", "2026-11-01", "01:00", "2026-11-01T05:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00+00:00"),  # by half an hour
        ("America/Sao_Paulo", "2018-11-04", "00:00", "2018-11-04T03:00:00+00:00"),
        ("America/Sao_Paulo", "2018-11-04", "00:30", "2018-11-04T03:00:00+00:00"),
        ("America/Sao_Paulo", "2018-02-17", "23:30", "2018-02-18T01:30:00+00:00"),
        ("America/Sao_Paulo", "2018-02-18", "00:00", "2018-02-18T03:00:00+00:00"),
        ("America/Sao_Paulo", "2019-11-03", "00:00", "2019-11-03T03:00:00+00:00"),  # no summer time any more
        ("Pacific/Apia", "2011-12-30", "12:00", "2011-12-30T10:00:00+00:00"),  # a day that there was not
    ],
)
def test_a_time_of_day_comes_once(zone, day, at, instant):
    """What comes twice counts the first time, and what does not exist counts when the clocks have passed it."""
    found = first_instant(date.fromisoformat(day), time.fromisoformat(at), ZoneInfo(zone))
    assert datetime.fromisoformat(instant) == found


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Lisbon", "2026-03-29", 23),
        ("Europe/Lisbon", "2026-10-25", 25),
        ("Europe/Lisbon", "2026-11-21", 24),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("America/Sao_Paulo", "2018-02-18", 24),
        ("America/Sao_Paulo", "2018-11-03", 24),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("America/Sao_Paulo", "2019-11-03", 24),
        ("Pacific/Apia", "2011-12-30", 0),
    ],
)
def test_a_day_has_as_many_hours_as_its_clocks_show(zone, day, hours):
    """The day of a change is longer or shorter, and where the rules were abolished it no longer is."""
    found = Day.on(date.fromisoformat(day), ZoneInfo(zone))
    assert hours == (found.end - found.start) / timedelta(hours=1)


@given(instants, st.sampled_from(ZONES))
def test_every_instant_is_in_one_day(instant, name):
    """An instant lies in the day of its local date, and that day begins where the one before it ends."""
    zone = ZoneInfo(name)
    day = Day.of(instant, zone)
    assert day.start <= instant < day.end
    assert instant.astimezone(zone).date().isoformat() == day.date
    assert day.before(zone).end == day.start


@given(
    instants,
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.sampled_from(ZONES),
)
def test_resets_follow_each_other(instant, at, name):
    """The last time before an instant and the next after it are neighbours, and a day or so apart."""
    zone, ms = ZoneInfo(name), int(instant.timestamp() * 1000)
    last, following = last_at(ms, at, zone), next_at(ms, at, zone)
    assert last <= ms < following
    assert following == next_at(last, at, zone)
    assert last == last_at(following - 1, at, zone)
    assert following - last <= 26 * 3_600_000 or name == "Pacific/Apia"


def test_what_lies_outside_of_the_calendar_has_no_reset():
    """A device that states the year 9999 does not end the transaction that its window is in."""
    far = int(datetime(9999, 12, 31, 23, 59, tzinfo=UTC).timestamp() * 1000)
    assert last_at(far, time(4), ZoneInfo("Europe/Lisbon")) is None
