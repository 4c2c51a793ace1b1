"""What leaves the log, in which order, and that every sink's account says so."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from keeping import NOON, account, count, fill, heartbeat, opened, rows

from gateway.outbox import Arrears, Housekeeper, retention
from gateway.outbox.space import Space

pytestmark = pytest.mark.anyio
NOW = datetime.now(UTC)


def seqs(directory):
    return [row[0] for row in rows(directory, "SELECT seq FROM events ORDER BY seq")]


async def settle(outbox, position, cursor):
    position.cursor, position.delivered = cursor, cursor - position.since
    await outbox.sinks.settle_now(position)


def balanced(directory, *sinks):
    for sink in sinks:
        _, waiting, in_log = account(directory, sink)
        assert waiting == in_log, sink


def some_old(days, number=10):
    return [
        count(minute, time=NOW - timedelta(days=days, minutes=number - minute)) for minute in range(number)
    ]


# By age


async def test_what_is_old_and_settled_goes(tmp_path):
    """Settled events are removed after the keep-time; younger ones and those still owed are not."""
    async with opened(tmp_path, keep_days=30) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await outbox.append(some_old(40), NOW - timedelta(days=40))
        await outbox.append(some_old(35), NOW - timedelta(days=35))
        await outbox.append(some_old(1), NOW - timedelta(days=1))
        await settle(outbox, position, 15)
        housekeeper = Housekeeper(outbox)
        await housekeeper.tidy()
        assert list(range(16, 31)) == seqs(tmp_path)
        assert (15, 0) == (housekeeper.removed_settled, housekeeper.removed_owed)
        await settle(outbox, position, 30)
        await housekeeper.tidy()
        assert list(range(21, 31)) == seqs(tmp_path)
        balanced(tmp_path, "sink")


async def test_age_is_looked_at_seldom(tmp_path, monkeypatch):
    """What is old goes with the first round and then every ten minutes: each removal is a commit, which wears a card."""
    monkeypatch.setattr("gateway.outbox.housekeeping._ROUND_S", 0.01)
    async with opened(tmp_path, keep_days=30) as outbox:
        await outbox.append(some_old(40), NOW - timedelta(days=40))
        housekeeper = Housekeeper(outbox)
        running = asyncio.create_task(housekeeper.run())
        try:
            await within(lambda: housekeeper.removed_settled == 10)
            commits = outbox.commits
            await outbox.append(some_old(35), NOW - timedelta(days=35))
            await asyncio.sleep(0.3)
            assert (10, commits + 1) == (housekeeper.removed_settled, outbox.commits)
            monkeypatch.setattr("gateway.outbox.housekeeping._OLD_S", 0.0)
            await within(lambda: housekeeper.removed_settled == 20)
        finally:
            running.cancel()


async def within(holds):
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


async def test_age_removes_step_by_step_to_the_end(tmp_path, monkeypatch):
    """More than one step's worth of old events is gone after one round."""
    monkeypatch.setattr(retention, "STEP_ROWS", 10)
    monkeypatch.setattr(retention.remove_old, "__kwdefaults__", {"limit": 10})
    async with opened(tmp_path) as outbox:
        await outbox.append(some_old(40, 35), NOW - timedelta(days=40))
        await Housekeeper(outbox).tidy()
        assert [] == seqs(tmp_path)


async def test_the_slowest_sink_decides(tmp_path):
    """An event goes when every configured sink has had it, arrears and replays included."""
    async with opened(tmp_path, keep_days=0) as outbox:
        fast = await outbox.sinks.enlist("fast", start="oldest", window=5)
        slow = await outbox.sinks.enlist("slow", start="oldest", window=5)
        await fill(outbox, [count(minute) for minute in range(30)])
        await settle(outbox, fast, 30)
        slow.cursor, slow.delivered, slow.arrears = 30, 18, [Arrears(8, 20)]
        await outbox.sinks.settle_now(slow)
        await Housekeeper(outbox).tidy()
        assert list(range(9, 31)) == seqs(tmp_path)
        slow.arrears, slow.delivered = [Arrears(25, 28, replay=True)], 30
        await outbox.sinks.settle_now(slow)
        await Housekeeper(outbox).tidy()
        assert list(range(26, 31)) == seqs(tmp_path)
        balanced(tmp_path, "fast", "slow")


async def test_a_sink_that_cannot_be_used_is_waited_for(tmp_path):
    """A configured sink whose secret file is missing loses nothing: what it is owed stays."""
    async with opened(tmp_path, keep_days=0) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await fill(outbox, [count(minute) for minute in range(20)])
        await settle(outbox, position, 5)
    async with opened(tmp_path, keep_days=0) as outbox:
        outbox.expect("sink", 5)  # and it is never enlisted
        await Housekeeper(outbox).tidy()
        assert list(range(6, 21)) == seqs(tmp_path)


async def test_a_dismissed_sink_is_not_waited_for_and_its_account_says_what_it_missed(tmp_path):
    """What a sink that was taken out of the configuration had not had is counted as expired when it goes."""
    async with opened(tmp_path, keep_days=0) as outbox:
        gone = await outbox.sinks.enlist("gone", start="oldest", window=5)
        await fill(outbox, [count(minute) for minute in range(20)])
        await settle(outbox, gone, 7)
        outbox.dismiss("gone")
        await Housekeeper(outbox).tidy()
        assert [] == seqs(tmp_path)
        position, waiting, in_log = account(tmp_path, "gone")
        assert (13, 0, 0) == (position.expired, waiting, in_log)
        await fill(outbox, [count(minute) for minute in range(20, 25)])
        back = await outbox.sinks.enlist("gone", start="oldest", window=5)
        assert 5 == back.waiting(outbox.head)
        assert None is outbox.recent(back.cursor, 100) or 5 == len(outbox.recent(back.cursor, 100))


async def test_a_clock_that_is_behind_removes_nothing_by_age(tmp_path):
    """When the newest event came "in the future", our clock is wrong now, and age says nothing."""
    async with opened(tmp_path, keep_days=1) as outbox:
        await outbox.append(some_old(0), NOW - timedelta(days=2))
        await outbox.append([count(99)], NOW + timedelta(days=400))
        await Housekeeper(outbox).tidy()
        assert 11 == len(seqs(tmp_path))


async def test_events_from_a_wrong_clock_do_not_keep_the_others(tmp_path):
    """Old events go although some before them carry a receipt in the far future."""
    async with opened(tmp_path, keep_days=1) as outbox:
        await outbox.append([count(99), count(98)], NOW + timedelta(days=4000))
        await outbox.append(some_old(5), NOW - timedelta(days=5))
        await outbox.append([count(97)], NOW - timedelta(seconds=1))
        await Housekeeper(outbox).tidy()
        assert [1, 2, 13] == seqs(tmp_path)


async def test_with_no_sink_at_all_the_oldest_go(tmp_path):
    """A gateway that forwards to nobody keeps for the keep-time, like any other."""
    async with opened(tmp_path, keep_days=10) as outbox:
        await outbox.append(some_old(20), NOW - timedelta(days=20))
        await outbox.append(some_old(1), NOW - timedelta(days=1))
        await Housekeeper(outbox).tidy()
        assert list(range(11, 21)) == seqs(tmp_path)


async def test_numbers_are_never_given_twice(tmp_path):
    """After everything was removed, also over a restart, numbers go on where they were."""
    async with opened(tmp_path, keep_days=0) as outbox:
        await fill(outbox, [count(minute) for minute in range(10)])
        await Housekeeper(outbox).tidy()
        assert [] == seqs(tmp_path)
        await outbox.append([count(10)], NOON)
        await Housekeeper(outbox).tidy()
    async with opened(tmp_path, keep_days=0) as outbox:
        assert 11 == outbox.head
        await outbox.append([count(11)], NOON)
        assert [12] == seqs(tmp_path)
        assert [(12,)] == rows(tmp_path, "SELECT device_seq FROM events")


# Under pressure


@pytest.fixture
def pressure(monkeypatch):
    """Have the store look too large by a figure that the test sets: it falls as rows go."""
    want = {"rows": 0}
    monkeypatch.setattr(Space, "pressure", property(lambda _self: want["rows"]))

    def on_remove(housekeeper, until):
        want["rows"] = 1
        real = housekeeper._outbox.rewriting.remove

        async def remove(step):
            removed = await real(step)
            gone = housekeeper.removed_settled + housekeeper.removed_owed + removed.rows
            want["rows"] = max(until - gone, 0)
            return removed

        monkeypatch.setattr(housekeeper._outbox.rewriting, "remove", remove)

    return on_remove


def mixed(number):
    return [heartbeat(n) if n % 3 == 0 else count(n) for n in range(number)]


def kinds(directory):
    return [row[0] for row in rows(directory, "SELECT kind FROM events ORDER BY seq")]


async def test_settled_heartbeats_go_first(tmp_path, pressure, monkeypatch):
    """Under pressure all settled heartbeats go before a single count does, and nothing that is owed."""
    monkeypatch.setattr("gateway.outbox.housekeeping._ROOM_STEP_ROWS", 4)
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await outbox.append(mixed(60), NOW)
        await settle(outbox, position, 45)
        housekeeper = Housekeeper(outbox)
        pressure(housekeeper, until=15)
        await housekeeper.tidy()
        assert ["count"] * 30 == kinds(tmp_path)[:30]
        assert kinds(tmp_path)[30:] == [event.kind for event in mixed(60)[45:]]
        assert (15, 0) == (housekeeper.removed_settled, housekeeper.removed_owed)
        balanced(tmp_path, "sink")


async def test_then_the_oldest_settled_go_and_never_the_owed(tmp_path, pressure, monkeypatch):
    """When the heartbeats are not enough the oldest go, and it ends before what a sink is owed."""
    monkeypatch.setattr("gateway.outbox.housekeeping._ROOM_STEP_ROWS", 4)
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await outbox.append(mixed(60), NOW)
        await settle(outbox, position, 45)
        housekeeper = Housekeeper(outbox)
        pressure(housekeeper, until=1_000)
        await housekeeper.tidy()
        assert list(range(46, 61)) == seqs(tmp_path)
        assert 45 == housekeeper.removed_settled
        balanced(tmp_path, "sink")


async def test_the_owner_may_have_the_oldest_dropped(tmp_path, pressure, monkeypatch):
    """With drop_oldest owed heartbeats go, then owed counts; each sink's account says how many it missed."""
    monkeypatch.setattr("gateway.outbox.housekeeping._ROOM_STEP_ROWS", 4)
    async with opened(tmp_path, when_full="drop_oldest") as outbox:
        one = await outbox.sinks.enlist("one", start="oldest", window=2)
        two = await outbox.sinks.enlist("two", start="oldest", window=2)
        await outbox.append(mixed(60), NOW)
        await settle(outbox, one, 30)
        await settle(outbox, two, 10)
        housekeeper = Housekeeper(outbox)
        pressure(housekeeper, until=10 + 20)
        await housekeeper.tidy()
        balanced(tmp_path, "one", "two")
        assert 10 == housekeeper.removed_settled
        expired = {name: account(tmp_path, name)[0].expired for name in ("one", "two")}
        assert expired["one"] < expired["two"] == housekeeper.removed_owed
        # The forwarders' own positions say the same at once.
        assert expired == {"one": one.expired, "two": two.expired}
        # What may be on its way to either of them stayed: two windows behind each place.
        assert {11, 12, 13, 14, 31, 32, 33, 34} <= set(seqs(tmp_path))
        assert "heartbeat" not in [k for s, k in rows(tmp_path, "SELECT seq, kind FROM events") if s > 34]


async def test_what_is_in_flight_is_kept_across_holes(tmp_path):
    """The protected entries are counted as entries: a hole in the numbers does not use them up."""
    async with opened(tmp_path, when_full="drop_oldest") as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=3)
        await fill(outbox, [count(minute) for minute in range(100)])
        await outbox.rewriting.remove(lambda conn, _: retention.remove_owed(conn, keep=[(50, 100)]))
        assert list(range(51, 101)) == seqs(tmp_path)
        removed = await outbox.rewriting.remove(
            lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=5)
        )
        assert 5 == removed.rows
        assert [*range(51, 57), *range(62, 101)] == seqs(tmp_path)
        assert 55 == position.expired
        balanced(tmp_path, "sink")


async def test_a_large_window_does_not_hide_what_can_go(tmp_path):
    """When more is protected than one step looks at, the step takes what lies behind it."""
    async with opened(tmp_path, when_full="drop_oldest") as outbox:
        await outbox.sinks.enlist("sink", start="oldest", window=20)
        await fill(outbox, [count(minute) for minute in range(100)])
        removed = await outbox.rewriting.remove(
            lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=10)
        )
        assert 10 == removed.rows
        assert [*range(1, 41), *range(51, 101)] == seqs(tmp_path)
        balanced(tmp_path, "sink")


async def test_memory_does_not_give_out_what_was_dropped(tmp_path):
    """Entries that were given up are no longer read from memory, so no sink gets what was counted as expired."""
    async with opened(tmp_path, when_full="drop_oldest") as outbox:
        await outbox.sinks.enlist("sink", start="oldest", window=2)
        await fill(outbox, [count(minute) for minute in range(50)])
        assert 50 == len(outbox.recent(0, 100))
        await outbox.rewriting.remove(
            lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=10)
        )
        assert None is outbox.recent(4, 100)
        assert 36 == len(outbox.recent(14, 100))


async def test_a_removal_that_fails_changes_no_account(tmp_path):
    """When the transaction of a removal is rolled back, rows, accounts and memory are as they were."""
    async with opened(tmp_path, when_full="drop_oldest") as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=2)
        await fill(outbox, [count(minute) for minute in range(50)])

        def step(conn, kept):
            retention.remove_owed(conn, keep=kept.on_their_way, limit=10)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await outbox.rewriting.remove(step)
        assert 50 == len(seqs(tmp_path)) == len(outbox.recent(0, 100))
        assert 0 == position.expired
        await outbox.append([count(51)], NOON)
        assert 51 == len(outbox.recent(0, 100))
        balanced(tmp_path, "sink")
