"""Every question is answered by an index where the table may be large: ten million events, thousands of letters."""

import asyncio
import contextlib
import re
import sqlite3
from dataclasses import fields
from functools import partial

import pytest
from keeping import NOON, Running, count, counter, fill, heartbeat, opened

from gateway.outbox import Housekeeper, devices, reading, retention, statements
from gateway.outbox.devices import Page

pytestmark = pytest.mark.anyio
# A scan of these is a scan of everything; sinks, arrears, devices and meta are small.
LARGE = re.compile(
    r"SCAN (events|letters|e|gone|older)\b(?! USING (COVERING )?INDEX (events_heartbeats|letters_to_retry))"
)


def plan(conn, query, *values):
    return [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {query}", values)]


def texts(module):
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, str) and re.match(r"(SELECT|INSERT|UPDATE|DELETE) ", value)
    }


@pytest.mark.parametrize("name", sorted(texts(statements)))
async def test_no_hot_statement_scans(tmp_path, name):
    """A hot statement searches, whatever the size of its table."""
    async with opened(tmp_path) as outbox:
        query = re.sub(r":\w+", "?", texts(statements)[name])
        steps = plan(outbox._conn, query, *[None] * _bindings(query))
    scans = [step for step in steps if LARGE.search(step)]
    assert [] == scans or name in {"LAST_SEQ", "FIRST_SEQ", "KEEP_HEAD"}, steps
    # A minimum or maximum of the key is read off one end of the tree.


def _bindings(query):
    numbered = [int(number) for number in re.findall(r"\?(\d+)", query)]
    return max(numbered) if numbered else query.count("?")


async def test_the_ends_of_the_log_are_read_off_the_tree(tmp_path):
    """First and last number cost the same in a log of ten as in a log of thousands."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(10)])
        few = _steps(outbox._conn, [statements.LAST_SEQ, statements.FIRST_SEQ, statements.KEEP_HEAD])
        await fill(outbox, [count(n) for n in range(10, 3_000)])
        many = _steps(outbox._conn, [statements.LAST_SEQ, statements.FIRST_SEQ, statements.KEEP_HEAD])
    assert few == many


def _steps(conn, queries):
    """Count the virtual machine's steps of statements, in hundreds."""
    count = 0

    def step():
        nonlocal count
        count += 1

    conn.set_progress_handler(step, 100)
    try:
        for query in queries:
            conn.execute(query).fetchall()
    finally:
        conn.set_progress_handler(None, 0)
    return count


@contextlib.contextmanager
def traced(conn):
    """Collect what is asked of a connection."""
    asked = []
    conn.set_trace_callback(asked.append)
    try:
        yield asked
    finally:
        conn.set_trace_callback(None)


def scanning(conn, asked):
    """Give the questions that walk a large table without a bound."""
    found = []
    for query in dict.fromkeys(asked):
        if not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", query):
            continue
        steps = plan(conn, query)
        scans = [step for step in steps if LARGE.search(step)]
        # In the order of the numbers and with a limit it begins at an end, and stops.
        bounded = "ORDER BY seq" in query and "LIMIT" in query and "TEMP B-TREE" not in " ".join(steps)
        if scans and not bounded and not re.search(r"(min|max)\(seq\)", query):
            found.append((query, scans))
    return found


async def test_keeping_forwarding_and_tidying_scan_nothing(tmp_path):
    """A day of work, from a push to its removal, asks no question that reads the whole log."""
    async with opened(tmp_path, keep_days=0, when_full="drop_oldest") as outbox:
        with traced(outbox._conn) as asked:
            position = await outbox.sinks.enlist("sink", start="oldest", window=5)
            await fill(outbox, [count(n) if n % 3 else heartbeat(n) for n in range(60)])
            await outbox.append(
                [count(1, 5, revision=1), count(1, 6, revision=0), count(1, 7, revision=0)], NOON
            )
            entries = outbox.recent(0, 5)
            position.cursor, position.delivered, position.lettered = 5, 4, 1
            await outbox.sinks.settle_now(position, rejected=[(entries[0], "no")])
            await outbox.sinks.settle_now(position, answered=[1])
            await Housekeeper(outbox).tidy()
            for step in (
                lambda conn, kept: retention.remove_settled(conn, settled_up_to=kept.settled_up_to),
                lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=3),
                lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way),
            ):
                await outbox.rewriting.remove(step)
        asked = [query for query in asked if "going" not in query or not query.startswith("CREATE")]
        assert 60 < len(asked)
        assert [] == scanning(outbox._conn, asked)


async def test_looking_scans_nothing_but_what_it_counts(tmp_path):
    """What commands and pages ask begins at an end of the log or at an index."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n, device=counter(serial="S", label="L")) for n in range(50)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        with reading.looking(tmp_path) as conn, traced(conn) as asked:
            reading.head(conn)
            reading.received(conn)
            reading.sinks(conn)
            reading.devices(conn)
            for name in ("counter-a", "S", "L"):
                assert 1 == len(reading.devices(conn, name))
            reading.day_tallies(conn, "counter-a", "2026-10-05")
            reading.lifetime_tallies(conn, "counter-a")
            assert 50 == reading.count_owed(conn, position, 50)
            assert list(range(46, 51)) == [entry.seq for entry in reading.last_entries(conn, 5)]
            assert list(range(46, 51)) == [entry.seq for entry in reading.last_entries(conn, 5, "counter-a")]
            assert [] == reading.last_entries(conn, 5, "nobody")
        assert [] == scanning(outbox._conn, asked)


async def test_a_start_does_not_read_the_log(tmp_path, monkeypatch):
    """Opening a store after a clean stop, enlisting known sinks and listing devices costs the same at any size."""
    costs = []
    for number in (10, 4_000):
        directory = tmp_path / str(number)
        async with opened(directory) as outbox:
            await fill(outbox, [count(n) for n in range(number)])
            await outbox.sinks.enlist("sink", start="oldest", window=5)
        steps = 0

        def step():
            nonlocal steps
            steps += 1

        class Counting(sqlite3.Connection):
            def __init__(self, *args, **rest):
                super().__init__(*args, **rest)
                self.set_progress_handler(step, 100)

        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", partial(_connect, sqlite3.connect, Counting))
            running = await Running.start(directory)
            await running.outbox.sinks.enlist("sink", start="oldest", window=5)
            await running.stop()
        costs.append(steps)
    assert costs[1] <= costs[0] + 5


def _connect(real, kind, *args, **rest):
    return real(*args, **{**rest, "factory": kind})


async def test_a_device_is_found_by_id_before_any_other_name(tmp_path):
    """A device whose label is another one's id does not answer for it."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(device=counter("counter-a"))], NOON)
        await outbox.append([count(device=counter("counter-b", label="counter-a", serial="S"))], NOON)
        with reading.looking(tmp_path) as conn:
            assert ["counter-a"] == [page["id"] for page in reading.devices(conn, "counter-a")]
            assert ["counter-b"] == [page["id"] for page in reading.devices(conn, "S")]


async def test_counting_what_is_owed_does_not_hold_the_log(tmp_path, monkeypatch):
    """A count of a long backlog is made piece by piece, and its pieces add up over holes."""
    monkeypatch.setattr(reading, "_COUNT_ROWS", 7)
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) if n % 4 else heartbeat(n) for n in range(100)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await outbox.rewriting.remove(lambda conn, _: retention.remove_settled(conn, settled_up_to=60))
        with reading.looking(tmp_path) as conn:
            left = conn.execute("SELECT count(*) FROM events").fetchone()[0]
            assert left == reading.count_owed(conn, position, outbox.head)
            assert 85 == left


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_new_sink_is_owed_what_is_there_and_not_the_holes(tmp_path, monkeypatch, when):
    """A sink that begins at the oldest entry has exactly the entries of the log waiting for it."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) if n % 4 else heartbeat(n) for n in range(100)])
        removal = partial(
            outbox.rewriting.remove, lambda conn, _: retention.remove_settled(conn, settled_up_to=60)
        )
        if when == "before":
            await removal()
        else:
            real, loop, once = reading.survey, asyncio.get_running_loop(), []

            def survey(*args):
                result = real(*args)
                if not once:
                    once.append(1)
                    asyncio.run_coroutine_threadsafe(removal(), loop).result(10)
                return result

            monkeypatch.setattr(reading, "survey", survey)
        position = await outbox.sinks.enlist("late", start="oldest", window=5)
        await outbox.append([count(200)], NOON)
        with reading.looking(tmp_path) as conn:
            assert 86 == reading.count_owed(conn, position, outbox.head) == position.waiting(outbox.head)


def test_a_page_of_the_book_is_written_whole():
    """The columns of a page are those that are written, so that a new one cannot be forgotten."""
    named = re.findall(r":(\w+)", statements.PUT_DEVICE)
    assert named == [column.name for column in fields(Page) if column.name not in devices._FLEETING]
