"""The one writer: who is told what, and when."""

import asyncio
import contextlib
import sqlite3
import threading

import anyio
import pytest
from keeping import NOON, Running, count, counter, opened, rows, tallies

from gateway.errors import GatewayError, StoreUnavailable
from gateway.outbox import StoreDamaged

pytestmark = pytest.mark.anyio


class Gate:
    """A job that holds the writer until it is let go, so that others gather behind it."""

    def __init__(self, outbox):
        self._opened = threading.Event()
        self._entered = threading.Event()
        self.task = asyncio.create_task(outbox.write(self._wait))

    def _wait(self, _conn):
        self._entered.set()
        assert self._opened.wait(20)

    async def closed(self):
        while not self._entered.is_set():
            await asyncio.sleep(0.001)

    async def open(self):
        self._opened.set()
        await self.task


class Watched(sqlite3.Connection):
    """A connection that asks before each statement."""

    watch = None

    def execute(self, sql, *rest):
        if self.watch:
            self.watch(sql)
        return super().execute(sql, *rest)


@pytest.fixture
def connections(monkeypatch):
    """Have every connection be of a class of the test's own."""
    real = sqlite3.connect

    def use(kind):
        monkeypatch.setattr(
            sqlite3, "connect", lambda *args, **rest: real(*args, **{**rest, "factory": kind})
        )

    return use


@contextlib.asynccontextmanager
async def held(outbox):
    gate = Gate(outbox)
    await gate.closed()
    try:
        yield gate
    finally:
        await gate.open()


async def gathered(calls):
    """Start calls behind a closed gate, and give the tasks when all of them have asked."""
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_a_caller_is_answered_when_the_row_is_on_disk(tmp_path):
    """At the moment of the answer another connection sees the event, its tally and its device."""
    async with opened(tmp_path) as outbox:
        for minute in range(30):
            await outbox.append([count(minute, 2)], NOON)
            assert [(minute + 1, 2 * (minute + 1))] == rows(
                tmp_path,
                "SELECT (SELECT max(seq) FROM events), (SELECT amount FROM tallies WHERE measure = 'enters')",
            )
            assert [(minute + 1,)] == rows(tmp_path, "SELECT events FROM devices")


async def test_nobody_is_answered_before_the_commit(tmp_path, connections):
    """While the disk does not take the commit no caller of that transaction has an answer."""
    committing, may_commit = threading.Event(), threading.Event()

    def hold(sql):
        if sql == "COMMIT":
            committing.set()
            assert may_commit.wait(20)

    connections(Watched)
    async with opened(tmp_path) as outbox:
        outbox._conn.watch = hold
        task = asyncio.create_task(outbox.append([count(0)], NOON))
        while not committing.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        assert not task.done()
        may_commit.set()
        assert 1 == (await task).new
        outbox._conn.watch = None


async def test_many_callers_share_one_commit(tmp_path):
    """A hundred pushes that wait for the same commit are on disk after one more transaction."""
    async with opened(tmp_path) as outbox:
        async with held(outbox):
            tasks = await gathered(outbox.append([count(n)], NOON) for n in range(100))
            before = outbox.commits
        await asyncio.gather(*tasks)
        assert 2 == outbox.commits - before  # the gate's own, and one for the hundred
        assert list(range(1, 101)) == [row[0] for row in rows(tmp_path, "SELECT seq FROM events")]


async def test_a_bug_in_one_job_fails_that_job_alone(tmp_path):
    """Of fifty pushes and a job with a bug in the middle, the job gets its bug and the pushes are kept once."""
    async with opened(tmp_path) as outbox:

        def bug(conn):
            conn.execute("INSERT INTO meta VALUES ('half', 'done')")
            raise ZeroDivisionError("a bug")

        async with held(outbox):
            tasks = await gathered(outbox.append([count(n, 3)], NOON) for n in range(25))
            broken = await gathered([outbox.write(bug)])
            tasks += await gathered(outbox.append([count(n, 3)], NOON) for n in range(25, 50))
        with pytest.raises(ZeroDivisionError):
            await broken[0]
        results = await asyncio.gather(*tasks)
        assert 50 == sum(result.new for result in results)
        assert 50 == outbox.head
        assert 150 == next(n for (_, measure), n in tallies(tmp_path).items() if measure == "enters")
        assert [] == rows(tmp_path, "SELECT * FROM meta WHERE key = 'half'")
        await outbox.append([count(60)], NOON)
        assert 51 == outbox.head


async def test_a_row_that_the_tables_refuse_is_one_jobs_own_trouble(tmp_path):
    """A statement that breaks a rule of the tables fails for its caller, as a bug and not as a full disk."""
    async with opened(tmp_path) as outbox:
        async with held(outbox):
            fine = await gathered([outbox.append([count(0)], NOON)])
            wrong = await gathered(
                [outbox.write(lambda conn: conn.execute("INSERT INTO meta VALUES ('a', NULL)"))]
            )
        with pytest.raises(sqlite3.IntegrityError):
            await wrong[0]
        assert 1 == (await fine[0]).new
        assert outbox.failure is None


async def test_a_day_that_counts_beyond_all_bounds_stops_its_device_only(tmp_path):
    """A device whose day no longer fits into a number is refused; the pushes beside it are kept."""
    huge = 2**31 - 1
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, huge, device=counter("counter-huge"))], NOON)
        await outbox.write(
            lambda conn: conn.execute(f"UPDATE tallies SET amount = {2**63 - 5} WHERE amount = {huge}")
        )
        async with held(outbox):
            fine = await gathered([outbox.append([count(0, 2)], NOON)])
            over = await gathered([outbox.append([count(1, 9, device=counter("counter-huge"))], NOON)])
        with pytest.raises(sqlite3.IntegrityError):
            await over[0]
        assert 1 == (await fine[0]).new


async def test_a_job_may_refuse_with_its_own_word(tmp_path):
    """A job that raises one of our errors gets it back, and the transaction goes on for the others."""
    async with opened(tmp_path) as outbox:

        def refuse(_conn):
            raise GatewayError("not now")

        async with held(outbox):
            refused = await gathered([outbox.write(refuse)])
            fine = await gathered([outbox.append([count(0)], NOON)])
        with pytest.raises(GatewayError, match="not now"):
            await refused[0]
        assert 1 == (await fine[0]).new


async def test_a_job_that_succeeds_at_its_second_try_has_succeeded(tmp_path):
    """What a job said in a transaction that was rolled back is not held against it."""
    tries = []

    def once_refused(_conn):
        tries.append(1)
        if len(tries) == 1:
            raise GatewayError("the first time")
        return "fine"

    def bug(_conn):
        raise ZeroDivisionError

    async with opened(tmp_path) as outbox:
        async with held(outbox):
            jobs = await gathered([outbox.write(once_refused), outbox.write(bug)])
        assert "fine" == await jobs[0]
        with pytest.raises(ZeroDivisionError):
            await jobs[1]


async def test_a_full_queue_refuses_at_once(tmp_path):
    """Beyond the configured number of waiting commits a push is refused, and those before it are kept."""
    async with opened(tmp_path, commit_queue=5) as outbox:
        async with held(outbox):
            tasks = await gathered(outbox.append([count(n)], NOON) for n in range(5))
            with pytest.raises(StoreUnavailable, match="5 commits are waiting"):
                await outbox.append([count(9)], NOON)
        await asyncio.gather(*tasks)
        assert 5 == outbox.head
        await outbox.append([count(9)], NOON)


async def test_a_caller_that_went_away_leaves_its_event_behind(tmp_path):
    """A push whose connection broke while it waited is on disk, once, and its resend is recognised."""
    async with opened(tmp_path) as outbox:
        async with held(outbox):
            with anyio.move_on_after(0.02) as scope:
                await outbox.append([count(0)], NOON)
            assert scope.cancelled_caught
            others = await gathered([outbox.append([count(1)], NOON)])
        await others[0]
        assert [1, 2] == [row[0] for row in rows(tmp_path, "SELECT seq FROM events")]
        assert 0 == (await outbox.append([count(0)], NOON)).new


async def test_who_follows_the_log_is_woken_once_per_commit_with_events(tmp_path):
    """A follower hears of commits with new entries, and of no others."""
    woken = []
    async with opened(tmp_path) as outbox:
        outbox.follow(lambda: woken.append(outbox.head))
        await outbox.append([count(0), count(1)], NOON)
        await outbox.append([count(1)], NOON)
        await outbox.write(lambda _conn: None)
        await outbox.append([count(2)], NOON)
        assert [2, 3] == woken


async def test_a_follower_with_a_bug_costs_nobody_an_answer(tmp_path):
    """When waking a follower fails the push is answered all the same, and the writer can be started again."""
    running = await Running.start(tmp_path)
    outbox = running.outbox

    def broken():
        raise ZeroDivisionError

    outbox.follow(broken)
    assert 1 == (await outbox.append([count(0)], NOON)).new
    with pytest.raises(ZeroDivisionError):
        await running.writing
    outbox.unfollow(broken)
    # What is asked meanwhile waits for the next start.
    waiting = asyncio.create_task(outbox.append([count(1)], NOON))
    await asyncio.sleep(0)
    running.writing = asyncio.create_task(outbox.run())
    assert 1 == (await waiting).new
    assert [1, 2] == [row[0] for row in rows(tmp_path, "SELECT seq FROM events")]
    await running.stop()


async def test_the_writer_can_die_among_suspects_without_losing_a_caller(tmp_path):
    """When a follower fails while jobs are done one by one, the jobs behind are still done."""
    running = await Running.start(tmp_path)
    outbox = running.outbox

    def bug(_conn):
        raise ZeroDivisionError

    def broken():
        raise KeyError

    async with held(outbox):
        jobs = await gathered([outbox.write(bug), *(outbox.append([count(n)], NOON) for n in range(4))])
        outbox.follow(broken)
    await asyncio.wait([running.writing])
    assert isinstance(running.writing.exception(), KeyError)
    outbox.unfollow(broken)
    running.writing = asyncio.create_task(outbox.run())
    with pytest.raises(ZeroDivisionError):
        await jobs[0]
    assert [1, 1, 1, 1] == [result.new for result in await asyncio.gather(*jobs[1:])]
    assert 4 == len(rows(tmp_path, "SELECT seq FROM events"))
    await running.stop()


async def test_a_stopping_store_takes_nothing_and_finishes_what_waits(tmp_path):
    """Pushes that came before the stop are kept; one that comes after it is refused."""
    running = await Running.start(tmp_path)
    async with held(running.outbox):
        tasks = await gathered(running.outbox.append([count(n)], NOON) for n in range(700))
        await running.outbox.close()
        with pytest.raises(StoreUnavailable, match="stopping"):
            await running.outbox.append([count(999)], NOON)
    await asyncio.gather(*tasks)
    await running.writing
    running.outbox.release()
    assert [(700,)] == rows(tmp_path, "SELECT count(*) FROM events")


async def test_a_lock_of_a_persons_shell_delays_and_does_not_break(tmp_path):
    """While somebody else holds the write lock for a moment a push waits, and then it is kept."""
    async with opened(tmp_path) as outbox:
        shell = sqlite3.connect(outbox.path, isolation_level=None)
        shell.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(outbox.append([count(0)], NOON))
        await asyncio.sleep(0.2)
        assert not task.done()
        shell.execute("ROLLBACK")
        assert 1 == (await task).new
        shell.close()


# Trouble of the disk


class Fault:
    """A disk that fails at one statement."""

    def __init__(self, statement, name):
        self.statement, self.name = statement, name

    def __call__(self, sql):
        if sql.startswith(self.statement):
            error = sqlite3.OperationalError("the disk said no")
            error.sqlite_errorcode = getattr(sqlite3, self.name)
            error.sqlite_errorname = self.name
            raise error


@pytest.fixture
async def failing(tmp_path, connections):
    """A running store whose writing connection can be made to fail."""
    connections(Watched)
    running = await Running.start(tmp_path)
    yield running
    if running.outbox._conn.watch is None:
        await running.stop()
    else:
        await running.abandon()


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO events", "COMMIT"])
async def test_a_commit_that_fails_leaves_nothing_behind(failing, tmp_path, statement):
    """An I/O error anywhere in a transaction refuses all its pushes, and the same numbers are given again."""
    outbox = failing.outbox
    await outbox.append([count(0, 1)], NOON)
    outbox._conn.watch = Fault(statement, "SQLITE_IOERR_WRITE")
    async with held(outbox) if statement == "INSERT INTO events" else contextlib.AsyncExitStack():
        tasks = await gathered(outbox.append([count(n, 1)], NOON) for n in range(1, 5))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {StoreUnavailable} == {type(result) for result in results}
    assert "SQLITE_IOERR_WRITE" in outbox.failure
    assert 1 == outbox.head
    outbox._conn.watch = None
    await outbox.append([count(4, 1)], NOON)
    assert outbox.failure is None
    assert [1, 2] == [row[0] for row in rows(tmp_path, "SELECT seq FROM events")]
    assert [(1,), (2,)] == rows(tmp_path, "SELECT device_seq FROM events ORDER BY seq")
    assert 2 == next(n for (_, measure), n in tallies(tmp_path).items() if measure == "enters")


async def test_a_place_of_a_failed_commit_is_in_the_next_one(failing, tmp_path, monkeypatch):
    """However soon the next commit comes: what was taken back counts as not written, and is not spared its pages."""
    monkeypatch.setattr("gateway.outbox.places._RARELY_S", 1e6)
    outbox = failing.outbox
    await outbox.append([count(n) for n in range(6)], NOON)
    position = await outbox.sinks.enlist("sink", start="oldest", window=4)
    position.cursor = position.delivered = 3
    outbox.sinks.settle(position)

    def refuse(sql):
        if sql == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")

    outbox._conn.watch = refuse
    with pytest.raises(StoreUnavailable):
        await outbox.append([count(7)], NOON)
    outbox._conn.watch = None
    await outbox.append([count(8)], NOON)
    assert [(3,)] == rows(tmp_path, "SELECT cursor FROM sinks")


@pytest.mark.parametrize("code", ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB"])
async def test_damage_ends_the_writer_and_marks_the_store(failing, tmp_path, code):
    """Once SQLite calls the file damaged every caller is refused and `run` raises; the start will salvage."""
    outbox = failing.outbox
    outbox._conn.watch = Fault("INSERT INTO events", code)
    outcomes = await asyncio.gather(
        *(outbox.append([count(n)], NOON) for n in range(3)), return_exceptions=True
    )
    assert {StoreDamaged} == {type(outcome) for outcome in outcomes}
    with pytest.raises(StoreDamaged):
        await failing.writing
    with pytest.raises(StoreDamaged):
        await outbox.append([count(9)], NOON)
    assert code in (tmp_path / "gateway.damaged").read_text()


async def test_damage_that_a_reader_finds_ends_the_writer_too(tmp_path):
    """Whoever reports damage stops the writing: what waits is refused and nothing is written after it."""
    running = await Running.start(tmp_path)
    async with held(running.outbox):
        waiting = await gathered([running.outbox.append([count(0)], NOON)])
        running.outbox.damaged(StoreDamaged("a page of the log cannot be read"))
        with pytest.raises(StoreDamaged):
            await waiting[0]
    with pytest.raises(StoreDamaged):
        await running.writing
    assert [] == rows(tmp_path, "SELECT seq FROM events")
    await running.abandon()
