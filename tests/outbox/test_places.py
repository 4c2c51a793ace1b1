"""How far each sink has got: in memory, on disk, over restarts, and in its account."""

import asyncio
import contextlib
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keeping import NOON, Running, account, after_crash, count, fill, opened, rows

from gateway.errors import StoreUnavailable
from gateway.outbox import Arrears, Position, connection, positions, reading
from gateway.outbox.connection import FILE_NAME
from gateway.outbox.positions import MAX_ARREARS, MAX_REPLAYS

pytestmark = pytest.mark.anyio


def place(**more):
    return Position(**{"name": "sink", "since": 0, "cursor": 0, **more})


# The position itself


def test_a_leap_owes_what_it_passes():
    """Going on at the head puts exactly the range between into the arrears."""
    position = place(cursor=10)
    assert position.jump(25)
    assert (25, [Arrears(10, 25)]) == (position.cursor, position.arrears)


def test_a_leap_from_the_end_of_the_arrears_makes_them_longer():
    """Two leaps without a delivery between them leave one range, and no leap at all changes nothing."""
    position = place()
    position.jump(10)
    position.jump(30)
    assert [Arrears(0, 30)] == position.arrears
    assert position.jump(30)
    assert [Arrears(0, 30)] == position.arrears


def test_a_leap_does_not_reach_into_a_replay():
    """A range that a person asked for again is never extended by a leap."""
    position = place(cursor=10)
    position.ask_again(0, 10)
    position.jump(20)
    assert [Arrears(0, 10, replay=True), Arrears(10, 20)] == position.arrears


def test_there_are_at_most_so_many_ranges():
    """Beyond sixteen outages the position stays where it is and catches up in order."""
    position = place()
    for outage in range(MAX_ARREARS):
        assert position.jump(outage * 10 + 5)
        position.cursor += 1
    before = position.copy()
    assert not position.jump(1_000)
    assert before == position


def test_asking_for_the_same_range_twice_is_asking_once():
    """A repeated command adds nothing; other ranges are added up to a bound."""
    position = place(cursor=100)
    assert position.ask_again(0, 50)
    assert position.ask_again(0, 50)
    assert 1 == len(position.arrears)
    for last in range(1, MAX_REPLAYS):
        assert position.ask_again(0, last)
    assert not position.ask_again(0, 99)


def test_arrears_shrink_from_the_front():
    """A range that was partly settled owes the rest, and at its end it is gone."""
    position = place(cursor=50, arrears=[Arrears(0, 10), Arrears(20, 30)])
    left = position.advance_arrears(position.arrears[0], 4)
    assert [Arrears(4, 10), Arrears(20, 30)] == position.arrears
    assert None is position.advance_arrears(left, 10)
    assert [Arrears(20, 30)] == position.arrears
    assert 20 == position.settled_up_to()


def test_a_copy_does_not_change_with_its_original():
    """A snapshot that waits for the disk is not touched by what happens meanwhile."""
    position = place(arrears=[Arrears(0, 5)])
    snapshot = position.copy()
    position.jump(50)
    position.arrears.clear()
    assert (0, [Arrears(0, 5)]) == (snapshot.cursor, snapshot.arrears)


# On disk


async def test_a_new_sink_begins_at_the_oldest_or_now(tmp_path):
    """ "oldest" owes everything that is in the log, "now" nothing of it."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(7)])
        oldest = await outbox.sinks.enlist("oldest", start="oldest", window=5)
        now = await outbox.sinks.enlist("now", start="now", window=5)
        assert (7, 0) == (oldest.waiting(outbox.head), now.waiting(outbox.head))
        await outbox.append([count(8)], NOON)
        assert (8, 1) == (oldest.waiting(outbox.head), now.waiting(outbox.head))


async def test_what_comes_while_a_new_sink_gets_its_place_is_owed(tmp_path, monkeypatch):
    """An event that is kept between the survey of the log and the sink's first place is not passed by."""
    async with opened(tmp_path) as outbox:
        real, loop = reading.survey, asyncio.get_running_loop()

        def survey(*args):
            result = real(*args)
            asyncio.run_coroutine_threadsafe(outbox.append([count(len(names))], NOON), loop).result(10)
            return result

        monkeypatch.setattr(reading, "survey", survey)
        names = []
        for expected, name in enumerate(("empty", "not empty"), 1):
            names.append(name)
            position = await outbox.sinks.enlist(name, start="oldest", window=5)
            assert (expected, 0) == (position.waiting(outbox.head), position.cursor)
        names.append("now")
        assert 0 == (await outbox.sinks.enlist("now", start="now", window=5)).waiting(outbox.head)


async def test_a_known_sink_goes_on_where_it_was(tmp_path):
    """Cursor, arrears in their order, counters, backoff and a stop come back as they were."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(40)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor, position.delivered, position.lettered, position.replayed = 30, 18, 2, 4
        position.arrears = [Arrears(10, 12, replay=True), Arrears(12, 22), Arrears(0, 3, replay=True)]
        position.attempts, position.retry_at, position.stopped = 3, 12345, "gone"
        await outbox.sinks.settle_now(position)
        before = position.copy()
    async with opened(tmp_path) as outbox:
        assert before == await outbox.sinks.enlist("sink", start="now", window=5)
        assert account(tmp_path, "sink")[1:] == (20, 20)


@pytest.mark.parametrize("ranges", [[(0, 5), (0, 9)], [(3, 9), (0, 9), (3, 9)], [(0, 1)] * 3])
async def test_ranges_that_begin_alike_can_be_kept(tmp_path, ranges):
    """Several replays from one place are no reason for the store to refuse anything."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor = 10
        position.arrears = [Arrears(first, last, replay=True) for first, last in ranges]
        await outbox.sinks.settle_now(position)
        await outbox.append([count(20)], NOON)
    async with opened(tmp_path) as outbox:
        assert position.arrears == (await outbox.sinks.enlist("sink", start="now", window=5)).arrears


async def test_a_settled_place_is_on_disk_within_half_a_second(tmp_path):
    """`settle` alone is enough: without any other commit the place is written soon."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor = position.delivered = 6
        outbox.sinks.settle(position)
        assert not outbox.sinks.is_settled("sink")
        async with asyncio.timeout(5):
            while not outbox.sinks.is_settled("sink"):
                await asyncio.sleep(0.01)
        assert [(6, 6)] == rows(tmp_path, "SELECT cursor, delivered FROM sinks")


async def test_a_settled_place_rides_on_the_next_commit(tmp_path):
    """A push that is committed takes the place with it, in the same transaction."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor = position.delivered = 6
        outbox.sinks.settle(position)
        before = outbox.commits
        await outbox.append([count(20)], NOON)
        assert outbox.sinks.is_settled("sink")
        assert 1 == outbox.commits - before
        assert [(6,)] == rows(tmp_path, "SELECT cursor FROM sinks")


async def test_a_stop_writes_every_place(tmp_path):
    """What was settled a moment before the stop is on disk after it."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        for name in ("one", "two"):
            position = await outbox.sinks.enlist(name, start="oldest", window=5)
            position.cursor = position.delivered = 7
            outbox.sinks.settle(position)
    assert [(7,), (7,)] == rows(tmp_path, "SELECT cursor FROM sinks")


async def test_an_older_note_never_replaces_a_newer_one(tmp_path, monkeypatch):
    """A place that was settled earlier and is written later does not go back on disk."""
    monkeypatch.setattr("gateway.outbox.places._RARELY_S", 0)
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor = position.delivered = 3
        outbox.sinks.settle(position)
        position.cursor = position.delivered = 8
        await outbox.sinks.settle_now(position)
        assert outbox.sinks.is_settled("sink")
        assert [(8,)] == rows(tmp_path, "SELECT cursor FROM sinks")
        # … and the other way round: settled now, and settled again before that is on disk.
        position.cursor = 9
        now = asyncio.create_task(outbox.sinks.settle_now(position))
        await asyncio.sleep(0)
        position.cursor = 10
        outbox.sinks.settle(position)
        await now
        await outbox.write(lambda _conn: None)
        assert [(10,)] == rows(tmp_path, "SELECT cursor FROM sinks")


async def test_a_place_that_could_not_be_written_is_not_settled(tmp_path, monkeypatch):
    """After a failed commit the place still waits, and it is on disk when the disk takes writes again."""
    monkeypatch.setattr("gateway.outbox.places._AGAIN_S", 0.05)
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor = position.delivered = 6
        outbox.sinks.settle(position)
        real, broken = positions.save, True

        def save(conn, snapshot):
            real(conn, snapshot)
            if broken:
                raise sqlite3.OperationalError("no")

        monkeypatch.setattr(positions, "save", save)
        with pytest.raises(StoreUnavailable):
            await outbox.sinks.settle_now(position)
        assert not outbox.sinks.is_settled("sink")
        assert [(0,)] == rows(tmp_path, "SELECT cursor FROM sinks")
        broken = False
        async with asyncio.timeout(5):
            while not outbox.sinks.is_settled("sink"):
                await asyncio.sleep(0.01)
        assert [(6,)] == rows(tmp_path, "SELECT cursor FROM sinks")


async def test_a_stop_with_a_broken_disk_still_stops(tmp_path, monkeypatch):
    """When a place cannot be written at the stop, the stop goes on; the sink gets its last events again."""
    running = await Running.start(tmp_path)
    await fill(running.outbox, [count(n) for n in range(10)])
    position = await running.outbox.sinks.enlist("sink", start="oldest", window=5)
    position.cursor = 6
    running.outbox.sinks.settle(position)
    monkeypatch.setattr(positions, "save", lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("no")))
    await running.stop()
    assert [(0,)] == rows(tmp_path, "SELECT cursor FROM sinks")


async def test_a_forwarder_that_starts_again_finds_what_was_settled_last(tmp_path):
    """A sink that is enlisted a second time gets its newest place, also when that is not on disk yet."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        position.cursor = position.delivered = 6
        outbox.sinks.settle(position)
        assert 6 == (await outbox.sinks.enlist("sink", start="oldest", window=5)).cursor


async def test_a_crash_puts_a_place_back_by_what_was_not_written(tmp_path):
    """After a kill a place is where the last commit left it: behind, never ahead."""
    running = await Running.start(tmp_path / "store")
    await fill(running.outbox, [count(n) for n in range(10)])
    position = await running.outbox.sinks.enlist("sink", start="oldest", window=5)
    position.cursor = position.delivered = 4
    await running.outbox.sinks.settle_now(position)
    position.cursor = position.delivered = 9
    running.outbox.sinks.settle(position)
    left = after_crash(tmp_path / "store", tmp_path / "left")
    await running.abandon()
    async with opened(left) as outbox:
        again = await outbox.sinks.enlist("sink", start="oldest", window=5)
        assert (4, 6) == (again.cursor, again.waiting(outbox.head))


async def test_rejected_events_and_the_place_behind_them_are_one_commit(tmp_path):
    """The letter of a refused event is on disk exactly when the place that passed it is."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(3)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        entry = outbox.recent(0, 1)[0]
        position.cursor, position.lettered = 1, 1
        await outbox.sinks.settle_now(position, rejected=[(entry, "too odd")])
        assert [("deliver", "sink", "counter-a", "too odd")] == rows(
            tmp_path, "SELECT stage, sink, sender, reason FROM letters"
        )
        number = rows(tmp_path, "SELECT number FROM letters")[0][0]
        position.lettered, position.delivered = 0, 1
        await outbox.sinks.settle_now(position, answered=[number])
        assert [] == rows(tmp_path, "SELECT * FROM letters")
        assert (2, 2) == account(tmp_path, "sink")[1:]


# The account, in every state that a forwarder can bring about


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 30)),
        st.tuples(st.just("new"), st.integers(1, 12)),
        st.tuples(st.just("letter"), st.integers(1, 3)),
        st.tuples(st.just("jump"), st.just(0)),
        st.tuples(st.just("arrears"), st.integers(1, 12)),
        st.tuples(st.just("again"), st.integers(1, 40)),
    ),
    max_size=60,
)


@given(steps=steps)
@settings(deadline=None, max_examples=150)
def test_what_waits_is_what_is_in_the_log(steps):
    """Whatever a forwarder does, the count from the counters equals the count of owed entries."""
    head, position = 0, place()
    for kind, number in steps:
        if kind == "append":
            head += number
        elif kind == "jump":
            position.jump(head)
        elif kind == "again":
            position.ask_again(0, min(number, position.cursor))
        elif kind in ("new", "letter"):
            taken = min(number, head - position.cursor)
            position.cursor += taken
            if kind == "new":
                position.delivered += taken
            else:
                position.lettered += taken
        elif position.arrears:
            owed = position.arrears[0]
            up_to = min(owed.first + number, owed.last)
            if not owed.replay:
                position.delivered += up_to - owed.first
            position.advance_arrears(owed, up_to)
        owed = {*range(position.cursor + 1, head + 1)}
        ranges = [range(a.first + 1, a.last + 1) for a in position.arrears if not a.replay]
        assert sum(map(len, ranges)) == len(set().union(*ranges)), "ranges overlap"
        assert position.waiting(head) == len(owed.union(*ranges))
        assert all(a.first < a.last for a in position.arrears if not a.replay)
        assert position.settled_up_to() <= position.cursor <= head


async def test_a_place_that_moves_while_it_is_read_is_no_damage(tmp_path):
    """A place and its sum are of one moment, though the note of another is committed between the two."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(30)])
        await outbox.sinks.enlist("sink", start="oldest", window=10)
    with (
        contextlib.closing(connection.open_reader(tmp_path / FILE_NAME)) as reader,
        contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as writer,
    ):
        moved = positions.load(writer, "sink")
        moved.cursor, moved.delivered = 7, 7

        def commit(statement: str) -> None:
            if "SELECT crc" in statement:
                positions.save(writer, moved)

        reader.set_trace_callback(commit)
        assert positions.load(reader, "sink").cursor == 0
        reader.set_trace_callback(None)
        assert positions.load(reader, "sink").cursor == 7
