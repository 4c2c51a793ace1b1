"""The last hour and the last minute, and what was counted ever."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeping import NOON, count, counter, heartbeat, opened, rows
from moved_clock import hand_moved
from zoned import HALL, zone, zoned

from gateway.outbox import reading
from gateway.outbox.connection import open_reader
from gateway.outbox.recent import Recent, from_log

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def hands():
    with hand_moved(NOON + 5 * MINUTE) as moved:
        yield moved


def told(sums):
    """Give (people in the last hour, in the last minute, minutes after noon that they reach to)."""
    if sums is None:
        return None
    until = datetime.fromtimestamp(sums.until / 1000, UTC) - NOON
    return (
        sums.hour.get("enters"),
        None if sums.minute is None else sums.minute.get("enters", 0),
        until / MINUTE,
    )


def ever(directory, device="counter-a"):
    with reading.looking(directory) as conn:
        return reading.lifetime_tallies(conn, device)


def again(directory, owner="counter-a", doors=None):
    """Read the sums from the log, as a restart does."""
    recent = Recent()
    recent.rebuild(directory / "gateway.db")
    return recent.of(owner) if doors is None else recent.of_zone(owner, doors)


async def test_the_hour_ends_where_the_counts_end(tmp_path):
    """It is the hour of the windows: of minutes that came a quarter of an hour late it ended back then."""
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        assert outbox.sums.of("counter-a") is None, "nothing is known, which is not zero"
        await outbox.append([count(at, 1) for at in range(-90, -15)], NOON)
        assert (60, 1, -15) == told(outbox.sums.of("counter-a"))
        await outbox.append([count(-15, 7)], NOON)
        assert (66, 7, -14) == told(outbox.sums.of("counter-a"))
    assert (66, 7, -14) == told(again(tmp_path))


async def test_a_running_minute_reaches_to_its_transmission(tmp_path):
    """The last minute is the sum so far, a newer push replaces it, and the hour moves by the difference."""
    running = [
        count(0, people, revision=people, sent_at=NOON + timedelta(seconds=sent), count="running_minute")
        for people, sent in ((2, 10), (5, 40))
    ]
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        await outbox.append([count(-1, 1)], NOON)
        for event, people, until in zip(running, (2, 5), (1 / 6, 4 / 6), strict=True):
            await outbox.append([event], NOON)
            assert (people + 1, people, until) == told(outbox.sums.of("counter-a"))
    assert (6, 5, 4 / 6) == told(again(tmp_path))


async def test_a_heartbeat_says_that_nobody_passed(tmp_path, hands):
    """A real-time counter that is heard has a last minute of zero, and one that is not has its last people."""
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        await outbox.append([count(0, 3, count="running_minute")], NOON)
        hands.instant = NOON + 30 * MINUTE
        await outbox.append([heartbeat(30)], hands.now())
        assert (3, 0, 30) == told(outbox.sums.of("counter-a"))
        hands.instant = NOON + 90 * MINUTE
        await outbox.append([heartbeat(90)], hands.now())
        assert (None, 0, 90) == told(outbox.sums.of("counter-a"))


async def test_long_windows_have_no_last_minute(tmp_path):
    """Of a counter with windows of a quarter of an hour nobody knows the last minute; the hour is four windows."""
    quarters = [
        type(event)(
            **{name: getattr(event, name) for name in event.__dataclass_fields__}
            | {"end": event.time + 15 * MINUTE}
        )
        for event in (count(-15 * at, 10) for at in range(1, 7))
    ]
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        await outbox.append(quarters, NOON)
        assert (40, None, 0) == told(outbox.sums.of("counter-a"))


async def test_a_zone_waits_for_its_slower_door(tmp_path, hands):
    """The hour of a zone ends where all its doors have told, unless one is more than an hour behind."""
    async with opened(tmp_path, **zoned(zone("counter-a", "counter-b"))) as outbox:
        await outbox.remember()
        doors = ("counter-a", "counter-b")
        await outbox.append([count(at, 1) for at in range(-100, 0)], NOON)
        await outbox.append([count(at, 1, device=counter("counter-b")) for at in range(-100, -20)], NOON)
        assert (120, 2, -20) == told(outbox.sums.of_zone(HALL, doors))
        hands.instant = NOON + 45 * MINUTE
        await outbox.append([count(at, 1) for at in range(45)], hands.now())
        assert (60, 1, 45) == told(outbox.sums.of_zone(HALL, doors))
    assert (60, 1, 45) == told(again(tmp_path, HALL, doors))


async def test_a_slip_of_a_clock_does_not_stay(tmp_path, hands):
    """One window of 2099 does not end the last hour of a device or a zone for years."""
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.remember()
        await outbox.append([count(-2, 1)], NOON)
        await outbox.append([count(time=datetime(2099, 1, 1, tzinfo=UTC), enters=50)], NOON)
        for at in range(-1, 200):
            hands.instant = NOON + at * MINUTE
            await outbox.append([count(at, 1)], hands.now())
        assert (60, 1, 200) == told(outbox.sums.of("counter-a"))
        assert (60, 1, 200) == told(outbox.sums.of_zone(HALL, ["counter-a"]))


@pytest.mark.parametrize("sent", [True, False])
async def test_a_window_from_the_future_does_not_take_the_last_hour(tmp_path, sent):
    """One window of two hours ahead moves the hour of its device neither in memory nor after a restart."""
    ahead = NOON + timedelta(hours=2)
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        await outbox.append([count(at, 1, sent_at=NOON if sent else None) for at in range(-20, 0)], NOON)
        await outbox.append([count(120, 9, sent_at=ahead if sent else None)], NOON)
        assert (20, 1, 0) == told(outbox.sums.of("counter-a"))
    assert (20, 1, 0) == told(again(tmp_path))
    with closing(open_reader(tmp_path / "gateway.db")) as conn:
        (newest,) = conn.execute("SELECT newest FROM devices").fetchone()
        assert (20, 1, 0) == told(from_log(conn, "counter-a", newest, 0))


async def test_a_clock_that_is_known_to_be_ahead_has_its_last_hour(tmp_path):
    """A counter whose clock is three hours ahead, and always was, counts by its own time."""
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        for at in range(160, 180):
            sent = NOON + (at + 1) * MINUTE
            await outbox.append([count(at, 1, sent_at=sent)], sent - timedelta(hours=3))
        assert (20, 1, 180) == told(outbox.sums.of("counter-a"))
    assert (20, 1, 180) == told(again(tmp_path))


async def test_a_source_by_rule_holds_up_and_moves_the_hour_like_a_door(tmp_path, hands):
    """A dead door beside cameras that feed the zone by their own rule does not hold its hour where it died."""
    camera = counter("camera-a")
    async with opened(tmp_path, **zoned(zone("counter-a"))) as outbox:
        await outbox.remember()
        await outbox.append([count(at, 1) for at in range(-10, 0)], NOON)
        hands.instant = NOON + 120 * MINUTE
        await outbox.append([count(at, 1, device=camera, zone="hall") for at in range(120)], hands.now())
        assert (60, 1, 120) == told(outbox.sums.of_zone(HALL, ["counter-a"]))
        assert {"camera-a"} == outbox.sums.givers(HALL)
    recent = Recent()
    recent.rebuild(tmp_path / "gateway.db")
    assert {"camera-a"} == recent.givers(HALL)
    assert (60, 1, 120) == told(recent.of_zone(HALL, ["counter-a"]))


async def test_what_comes_while_the_log_is_read_is_not_lost(tmp_path):
    """Pushes between the start and the end of the reading count once, and what they correct too."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(-1, 1), count(0, 5, revision=1)], NOON)
        await outbox.append([count(0, 2, revision=2)], NOON)
        await outbox.remember()
        assert (3, 2, 1) == told(outbox.sums.of("counter-a"))
        await outbox.append([count(0, 4, revision=3)], NOON)
        assert (5, 4, 1) == told(outbox.sums.of("counter-a"))


async def test_memory_is_bounded(tmp_path, hands):
    """A day of minutes leaves no more than some hours in memory."""
    async with opened(tmp_path) as outbox:
        await outbox.remember()
        for at in range(0, 1440, 60):
            hands.instant = NOON + at * MINUTE
            await outbox.append([count(at + n, 1) for n in range(60)], hands.now())
        (owner,) = outbox.sums._owners.values()
        assert len(owner.minutes) < 200 and len(owner.untils) < 200
        assert (60, 1, 1440) == told(outbox.sums.of("counter-a"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    said=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(-80, 0), st.integers(0, 4), st.integers(0, 9)),
        max_size=30,
    ),
    cut=st.integers(0, 30),
)
def test_memory_and_log_say_the_same(tmp_path_factory, said, cut):
    """After any pushes, corrections and an end in the middle, the sums in memory are those of the log."""
    import asyncio

    directory = tmp_path_factory.mktemp("recent")
    hall = zoned(zone("counter-a", out=["counter-b"]))

    async def live(part):
        async with opened(directory, **hall) as outbox:
            await outbox.remember()
            for name, minute, revision, people in part:
                await outbox.append(
                    [count(minute, people, revision=revision, device=counter(f"counter-{name}"))], NOON
                )
            return [outbox.sums.of(f"counter-{name}") for name in "ab"] + [
                outbox.sums.of_zone(HALL, ["counter-a", "counter-b"])
            ]

    asyncio.run(live(said[:cut]))
    mine = asyncio.run(live(said[cut:]))
    recent = Recent()
    recent.rebuild(directory / "gateway.db")
    read = [recent.of(f"counter-{name}") for name in "ab"] + [
        recent.of_zone(HALL, ["counter-a", "counter-b"])
    ]
    assert read == mine
    newest = dict(rows(directory, "SELECT id, newest FROM devices"))
    with closing(open_reader(directory / "gateway.db")) as conn:
        for at, name in enumerate("ab"):
            assert read[at] == from_log(conn, f"counter-{name}", newest.get(f"counter-{name}"))


async def test_a_transaction_that_failed_moves_no_sum(tmp_path):
    """What was rolled back is in no last hour, and what comes next is in it once."""

    def broken(_conn):
        raise ZeroDivisionError

    async with opened(tmp_path) as outbox:
        await outbox.remember()
        await outbox.append([count(0, 2)], NOON)
        outbox._writer._before_commit, before = broken, outbox._writer._before_commit
        with pytest.raises(ZeroDivisionError):
            await outbox.append([count(1, 7)], NOON)
        outbox._writer._before_commit = before
        await outbox.append([count(1, 3)], NOON)
        assert (5, 3, 2) == told(outbox.sums.of("counter-a"))
        assert {"enters": 5, "exits": 0} == ever(tmp_path)
        assert [(0b11,)] == rows(tmp_path, "SELECT minutes FROM coverage")


# Ever


async def test_a_lifetime_never_falls(tmp_path):
    """A correction downwards lowers its day and not the lifetime, which goes on when the counts have caught up."""
    async with opened(tmp_path) as outbox:
        shown = []
        for minute, people, revision in ((0, 9, 1), (1, 4, 1), (0, 6, 2), (2, 2, 1), (3, 5, 1)):
            await outbox.append([count(minute, people, revision=revision)], NOON)
            shown.append(ever(tmp_path)["enters"])
    assert [9, 13, 13, 13, 17] == shown
    assert 17 == sum(
        amount for (amount,) in rows(tmp_path, "SELECT amount FROM tallies WHERE measure = 'enters'")
    )


async def test_a_correction_inside_of_one_push_is_no_fall(tmp_path):
    """What one push says and takes back was never shown, so it does not raise the lifetime."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 9, revision=1), count(0, 6, revision=2)], NOON)
        assert 6 == ever(tmp_path)["enters"]
    assert {"enters": 6, "exits": 0} == ever(tmp_path)


async def test_a_correction_changes_its_own_day(tmp_path):
    """Yesterday's minute said again today moves yesterday."""
    yesterday = NOON - timedelta(days=1)
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=yesterday, enters=5, revision=1), count(0, 1)], NOON)
        await outbox.append([count(time=yesterday, enters=2, revision=2)], NOON)
    found = dict(rows(tmp_path, "SELECT day, amount FROM tallies WHERE measure = 'enters'"))
    assert {"2026-10-04": 2, "2026-10-05": 1} == found
