"""Days do not stay for ever, and what was counted ever does."""

from datetime import UTC, datetime

import pytest
from keeping import NOON, count, heartbeat, opened, rows
from moved_clock import hand_moved

from gateway.outbox import Housekeeper, reading

pytestmark = pytest.mark.anyio


async def test_old_days_go_and_lifetimes_stay(tmp_path):
    """After 400 days totals and minutes of a day are gone, and the lifetime still holds them."""
    with hand_moved(NOON) as hands:
        async with opened(tmp_path) as outbox:
            await outbox.append([count(0, 5)], NOON)
            # What comes while nobody knows the time is counted where it puts itself.
            hands.sure = False
            for year in (1970, 2076):
                await outbox.append([count(time=datetime(year, 1, 2, tzinfo=UTC), enters=1)], NOON)
            hands.sure = True
            await outbox.append([heartbeat(3)], NOON)
            housekeeper = Housekeeper(outbox)
            await housekeeper.tidy()
            hands.wait(hours=7)
            await housekeeper.tidy()
            assert ["2026-10-05"] == [day for (day,) in rows(tmp_path, "SELECT DISTINCT day FROM tallies")]
            hands.wait(days=399)
            await housekeeper.tidy()
            assert 1 == rows(tmp_path, "SELECT count(*) FROM coverage")[0][0]
            hands.wait(days=2)
            await housekeeper.tidy()
            assert [] == rows(tmp_path, "SELECT * FROM tallies")
            assert [] == rows(tmp_path, "SELECT * FROM coverage")
            with reading.looking(tmp_path) as conn:
                assert {"enters": 7, "exits": 0} == reading.lifetime_tallies(conn, "counter-a")
            await outbox.append([count(time=hands.now(), enters=1)], hands.now())
            with reading.looking(tmp_path) as conn:
                assert 8 == reading.lifetime_tallies(conn, "counter-a")["enters"]


async def test_a_clock_that_cannot_be_believed_removes_no_day(tmp_path):
    """A box that wakes up in 2099 keeps its days."""
    with hand_moved(NOON) as hands:
        async with opened(tmp_path) as outbox:
            await outbox.append([count(0, 5)], NOON)
            hands.sure = False
            hands.go(days=20_000)
            await Housekeeper(outbox).tidy()
            assert 5 == dict(rows(tmp_path, "SELECT measure, amount FROM tallies"))["enters"]


@pytest.mark.parametrize("days", [-20, 401])
async def test_a_clock_that_is_set_wrong_for_a_while_removes_no_day(tmp_path, days):
    """A time server that is wrong and believed costs no totals: they cannot be made again."""
    with hand_moved(NOON) as hands:
        async with opened(tmp_path) as outbox:
            housekeeper = Housekeeper(outbox)
            for _ in range(30):
                await outbox.append([count(time=hands.now(), enters=100)], hands.now())
                await housekeeper.tidy()
                hands.wait(days=1)
            before = rows(tmp_path, "SELECT * FROM tallies ORDER BY day, measure")
            hands.go(days=days)
            for _ in range(10):
                await housekeeper.tidy()
                hands.wait(minutes=30)
            hands.go(days=-days)
            await housekeeper.tidy()
            assert before == rows(tmp_path, "SELECT * FROM tallies ORDER BY day, measure")


async def test_a_clock_that_lags_behind_the_log_removes_no_day_ahead(tmp_path):
    """However long a clock has been set back, the days that the newest entries came on are not far ahead."""
    with hand_moved(NOON) as hands:
        async with opened(tmp_path) as outbox:
            await outbox.append([count(time=NOON, enters=100)], NOON)
            hands.go(days=-20)
            housekeeper = Housekeeper(outbox)
            await housekeeper.tidy()
            hands.wait(hours=7)
            await outbox.append([count(time=hands.now(), enters=1)], hands.now())
            await housekeeper.tidy()
            assert (
                100
                == dict(rows(tmp_path, "SELECT day, amount FROM tallies WHERE measure = 'enters'"))[
                    "2026-10-05"
                ]
            )


async def test_days_are_looked_at_once_a_day(tmp_path):
    """Tidying every half minute does not walk the days each time."""
    with hand_moved(NOON) as hands:
        async with opened(tmp_path) as outbox:
            housekeeper = Housekeeper(outbox)
            await housekeeper.tidy()
            hands.wait(hours=7)
            await housekeeper.tidy()
            hands.wait(hours=1)
            asked = []
            outbox._conn.set_trace_callback(asked.append)
            await housekeeper.tidy()
            assert not [query for query in asked if "tallies" in query]
            hands.wait(days=1)
            await housekeeper.tidy()
            assert [query for query in asked if "tallies" in query or "lifetimes" in query]
