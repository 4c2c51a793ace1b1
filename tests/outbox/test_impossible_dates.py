"""Dates that cannot be: what a device makes up moves no sum and fills no table."""

from datetime import UTC, datetime, timedelta

import pytest
from keeping import MINUTE, NOON, access, count, counter, heartbeat, opened, rows, tallies
from moved_clock import hand_moved

from gateway.daemon.clocks import report_dates
from gateway.event import SUM_BITS
from gateway.faults import Faults
from gateway.outbox import Flag, history
from gateway.outbox.recent import Recent

pytestmark = pytest.mark.anyio
DAY = "2026-10-05"
YEAR_2100 = datetime(2100, 1, 1, tzinfo=UTC)
TABLES = ("tallies", "coverage", "lifetimes")


def stated(minute: int, enters: int, sent_at: datetime, *, time: datetime | None = None):
    """A minute of a counter, numbered as a counter numbers it."""
    revision = (int(sent_at.timestamp()) << SUM_BITS) + enters
    return count(minute, enters, revision=revision, sent_at=sent_at, time=time)


def size(directory):
    return [rows(directory, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


@pytest.fixture
def hands():
    with hand_moved(NOON) as moved:
        yield moved


@pytest.mark.usefixtures("hands")
@pytest.mark.parametrize("days", [3, 18_000, -401, -20_000])
async def test_a_date_that_cannot_be_moves_no_sum(tmp_path, days):
    """A window, a record and a sign of life of such a date are in the log, flagged, and in no table of sums."""
    at = NOON + timedelta(days=days)
    events = [count(time=at, enters=2_000_000_000), access(time=at), heartbeat(time=at)]
    async with opened(tmp_path) as outbox:
        assert 3 == (await outbox.append(events, NOON)).new
        assert 0 == (await outbox.append(events, NOON)).new
        assert [0, 0, 0] == size(tmp_path)
        assert {Flag.MISDATED | Flag.UNTALLIED} == {
            flags & (Flag.MISDATED | Flag.UNTALLIED)
            for (flags,) in rows(tmp_path, "SELECT flags FROM events")
        }
        assert [(None,), (None,)] == rows(tmp_path, "SELECT newest FROM devices")


@pytest.mark.usefixtures("hands")
@pytest.mark.parametrize("hours", [47, -399 * 24])
async def test_a_clock_that_is_off_by_hours_is_counted(tmp_path, hours):
    """What a device puts into tomorrow or into last year is counted there."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=NOON + timedelta(hours=hours), enters=4)], NOON)
        assert [("enters", 4), ("exits", 0)] == rows(
            tmp_path, "SELECT measure, amount FROM lifetimes ORDER BY 1"
        )


async def test_a_clock_of_ours_that_nobody_believes_judges_no_date(tmp_path, hands):
    """While the box does not know the time, nothing of a device with a right clock is left out."""
    hands.sure = False
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=NOON + timedelta(days=300), enters=4)], NOON)
        assert 4 == tallies(tmp_path)["2027-08-01", "enters"]


async def test_what_was_said_in_advance_does_not_stand_in_the_way(tmp_path, hands):
    """A minute of next week that somebody makes up, in any number of ways, is counted when it is really told."""
    minute = NOON + timedelta(days=7)
    async with opened(tmp_path) as outbox:
        for enters in range(30):
            await outbox.append([count(time=minute, enters=enters, revision=enters % 3)], NOON)
        hands.go(days=7, minutes=1)
        await outbox.append([count(time=minute, enters=3, revision=0)], hands.now())
        assert {("2026-10-12", "enters"): 3, ("2026-10-12", "exits"): 0} == tallies(tmp_path)
        assert (
            0 == rows(tmp_path, "SELECT flags FROM events ORDER BY seq DESC LIMIT 1")[0][0] & Flag.SUPERSEDED
        )


@pytest.mark.usefixtures("hands")
async def test_a_transmission_in_the_future_makes_nothing_newer(tmp_path):
    """Zeros for the next minutes, sent "in 2100", do not stand against what the counter says afterwards."""
    async with opened(tmp_path) as outbox:
        await outbox.append([stated(minute, 0, YEAR_2100) for minute in range(3)], NOON)
        for minute in range(3):
            sent = NOON + (minute + 1) * MINUTE
            await outbox.append([stated(minute, 5, sent)], sent)
        assert 15 == tallies(tmp_path)[DAY, "enters"]
        # And what stands already is not replaced by it.
        await outbox.append([stated(0, 0, YEAR_2100, time=NOON), stated(1, 1, YEAR_2100)], NOON + 3 * MINUTE)
        assert 15 == tallies(tmp_path)[DAY, "enters"]
        newest = rows(tmp_path, "SELECT id, max(revision), body FROM events GROUP BY id")
        assert all('"enters":5' in body for _, _, body in newest)


@pytest.mark.usefixtures("hands")
async def test_a_counter_that_always_sends_in_the_future_is_counted_all_the_same(tmp_path):
    """Where every transmission lies in 2100, the larger sum of a running minute is the newer one."""
    async with opened(tmp_path) as outbox:
        for enters in (1, 3, 2, 7):
            await outbox.append([stated(0, enters, YEAR_2100 + enters * MINUTE)], NOON)
        assert 7 == tallies(tmp_path)[DAY, "enters"]


@pytest.mark.usefixtures("hands")
async def test_a_person_is_told_who_says_what_cannot_be(tmp_path):
    """The fault names the device, what it said and when, once for each time that it is asked."""
    faults = Faults()
    async with opened(tmp_path) as outbox:
        sound = count(device=counter("counter-b"))
        await outbox.append([count(time=YEAR_2100), sound], NOON)
        report_dates(outbox, faults)
        report_dates(outbox, faults)
        (fault,) = faults
        assert ("date_impossible", "counter-a", 1) == (fault.code, fault.subject, fault.count)
        assert "2100-01-01T00:00:00.000Z" in fault.sentence
        await outbox.append([stated(0, 0, YEAR_2100)], NOON)
        report_dates(outbox, faults)
        assert 2 == next(iter(faults)).count


@pytest.mark.usefixtures("hands")
async def test_made_up_views_have_no_sums(tmp_path):
    """Any number of object types that nobody knows stays in the log and adds nothing to any table or hour."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(minute, 7, view=f"type_{minute}") for minute in range(50)], NOON)
        views = ("adult", "child", "demographics", "total")
        await outbox.append([count(50 + at, 1, view=view) for at, view in enumerate(views)], NOON)
        assert 50 == rows(tmp_path, 'SELECT count(*) FROM events WHERE body LIKE \'%"view":"type_%\'')[0][0]
        names = {
            f"{view}{name}"
            for view in ("", "adult_", "child_", "demographics_")
            for name in ("enters", "exits")
        }
        assert names == {measure for _, measure in tallies(tmp_path)}
        assert [(8,)] == rows(tmp_path, "SELECT count(*) FROM lifetimes")
        recent = Recent()
        recent.rebuild(outbox.path)
        assert names == set(recent.of("counter-a").hour)


async def test_days_far_ahead_go_step_by_step(tmp_path, hands, monkeypatch):
    """What a wrong clock of ours let in is removed in steps of bounded size, and today stays."""
    monkeypatch.setattr(history, "STEP_ROWS", 7)
    hands.sure = False
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=NOON + timedelta(days=30 * n)) for n in range(20)], NOON)
        steps = []
        while gone := await outbox.write(lambda conn: history.remove_old_days(conn, NOON)):
            steps.append(gone)
        assert max(steps) <= 7
        assert 19 * 3 == sum(steps)
        assert {DAY} == {day for day, _ in tallies(tmp_path)}
