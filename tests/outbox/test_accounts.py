"""Each sink's account by device: it balances against the log, whatever happens to store, sinks and devices."""

import asyncio
import contextlib
import sqlite3

import pytest
from keeping import NOON, Running, after_crash, alter, audited, count, counter, fill, opened, rows

from gateway.control.accounts import MOST_ROWS, audit
from gateway.errors import GatewayError, StoreUnavailable
from gateway.outbox import (
    Arrears,
    Entry,
    Housekeeper,
    accounts,
    positions,
    reading,
    retention,
    schema,
    statements,
)
from gateway.outbox.connection import FILE_NAME
from gateway.outbox.sums import checked

pytestmark = pytest.mark.anyio
DEVICES = ("counter-a", "counter-b", "counter-c")


def some(*minutes, devices=DEVICES):
    return [count(minute, device=counter(device)) for minute in minutes for device in devices]


def figures(directory, sink="sink", *names):
    names = names or ("received", "delivered", "waiting")
    return {device: tuple(row[name] for name in names) for device, row in audited(directory, sink).items()}


async def deliver(outbox, position, number, *, refused=()):
    """Settle the next entries, some of them by a letter."""
    with reading.looking(outbox.path.parent) as conn:
        found = conn.execute(statements.READ_LOG, (position.cursor, outbox.head, number))
        entries = [Entry(*checked(row)) for row in found]
    position.cursor = entries[-1].seq
    kept = [entry for entry in entries if entry.seq in refused]
    position.settle(
        [entry.device for entry in entries if entry not in kept], [entry.device for entry in kept]
    )
    await outbox.sinks.settle_now(position, rejected=[(entry, "no") for entry in kept])


# Beginning


async def test_a_sink_that_begins_now_is_owed_what_comes_next_by_each_device(tmp_path):
    """Of devices that were there it is owed nothing older, of one that comes later everything."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, some(0, 1, devices=DEVICES[:2]))
        await outbox.sinks.enlist("sink", start="now", window=5)
        assert {} == figures(tmp_path)
        await fill(outbox, some(2))
        assert dict.fromkeys(DEVICES, (1, 0, 1)) == figures(tmp_path)


async def test_a_sink_that_begins_at_the_oldest_is_owed_what_is_in_the_log(tmp_path):
    """What had left the log before the sink began is no part of any device's account."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, some(0, 1, 2))
        await outbox.rewriting.remove(
            lambda conn, _: retention.remove_settled(conn, settled_up_to=9, limit=4)
        )
        await outbox.sinks.enlist("sink", start="oldest", window=5)
        await fill(outbox, some(3))
        assert {DEVICES[0]: (2, 0, 2), DEVICES[1]: (3, 0, 3), DEVICES[2]: (3, 0, 3)} == figures(tmp_path)


async def test_what_comes_while_a_sink_begins_is_in_its_account(tmp_path, monkeypatch):
    """A push between the survey and the first place, and one in the same transaction, are owed by device."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, some(0))
        real, loop = reading.survey, asyncio.get_running_loop()

        def survey(*args):
            found = real(*args)
            asyncio.run_coroutine_threadsafe(outbox.append(some(1), NOON), loop).result(10)
            loop.call_soon_threadsafe(
                lambda: pushes.append(asyncio.ensure_future(outbox.append(some(2), NOON)))
            )
            return found

        pushes = []
        monkeypatch.setattr(reading, "survey", survey)
        await outbox.sinks.enlist("oldest", start="oldest", window=5)
        await outbox.sinks.enlist("now", start="now", window=5)
        await asyncio.gather(*pushes)
        await outbox.append(some(3), NOON)
        assert dict.fromkeys(DEVICES, 4) == {d: row[0] for d, row in figures(tmp_path, "oldest").items()}
        audited(tmp_path, "now")


# Moving


async def test_deliveries_and_refusals_are_counted_by_device(tmp_path):
    """Each device's row says what was taken, what became a letter and what waits, and they add up to the sink's."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await fill(outbox, some(0, 1, 2))
        await deliver(outbox, position, 5, refused={2})
        names = ("delivered", "lettered", "waiting")
        assert {DEVICES[0]: (2, 0, 1), DEVICES[1]: (1, 1, 1), DEVICES[2]: (1, 0, 2)} == figures(
            tmp_path, "sink", *names
        )
        number = rows(tmp_path, "SELECT number FROM letters")[0][0]
        position.answer_letter(DEVICES[1])
        await outbox.sinks.settle_now(position, answered=[number])
        assert (2, 0, 1) == figures(tmp_path, "sink", *names)[DEVICES[1]]
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await deliver(outbox, position, 1)
        assert (2, 0, 1) == figures(tmp_path, "sink", *names)[DEVICES[1]]
        assert (2, 0, 1) == figures(tmp_path, "sink", *names)[DEVICES[2]]


async def test_a_delivery_writes_one_row_for_each_device_it_touches(tmp_path):
    """Sixty events of three devices make three rows, and a batch of one device leaves the others alone."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        await fill(outbox, some(*range(20)))
        await deliver(outbox, position, 60)
        assert [(3,)] == rows(tmp_path, "SELECT count(*) FROM accounts")
        await fill(outbox, some(30, devices=["counter-d"]))
        changes = await outbox.write(lambda conn: conn.total_changes)
        await deliver(outbox, position, 9)
        assert 3 >= await outbox.write(lambda conn: conn.total_changes) - changes


async def test_arrears_are_in_the_account_and_replays_are_not(tmp_path):
    """A range that a sink leapt over waits by device; one that was asked for again moves no figure."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await fill(outbox, some(0, 1, 2))
        position.jump(9)
        await outbox.sinks.settle_now(position)
        assert dict.fromkeys(DEVICES, (3, 0, 3)) == figures(tmp_path)
        position.arrears = [Arrears(4, 9)]
        position.settle([*DEVICES, DEVICES[0]])
        position.ask_again(0, 9)
        await outbox.sinks.settle_now(position)
        position.replayed += 9
        position.advance_arrears(position.arrears[1], 9)
        await outbox.sinks.settle_now(position)
        assert {DEVICES[0]: (3, 2, 1), DEVICES[1]: (3, 1, 2), DEVICES[2]: (3, 1, 2)} == figures(tmp_path)


async def test_expired_events_are_counted_at_the_device_they_were_of(tmp_path):
    """What goes before a sink had it is expired there, by device, also for a sink that is configured no more."""
    async with opened(tmp_path, keep_days=0) as outbox:
        gone = await outbox.sinks.enlist("gone", start="oldest", window=5)
        fast = await outbox.sinks.enlist("fast", start="oldest", window=5)
        await fill(outbox, some(0, 1, 2))
        await deliver(outbox, gone, 4)
        await deliver(outbox, fast, 9)
        outbox.dismiss("gone")
        await Housekeeper(outbox).tidy()
        assert [(0,)] == rows(tmp_path, "SELECT count(*) FROM events")
        names = ("delivered", "waiting", "expired")
        assert {DEVICES[0]: (2, 0, 1), DEVICES[1]: (1, 0, 2), DEVICES[2]: (1, 0, 2)} == figures(
            tmp_path, "gone", *names
        )
        assert dict.fromkeys(DEVICES, (3, 0, 0)) == figures(tmp_path, "fast", *names)
        await fill(outbox, some(5))
        back = await outbox.sinks.enlist("gone", start="oldest", window=5)
        await deliver(outbox, back, 3)
        assert (2, 0, 2) == figures(tmp_path, "gone", *names)[DEVICES[1]]


# Notes and numbers


async def test_a_note_that_is_written_twice_counts_once(tmp_path, monkeypatch):
    """A place that waits, one that is written now and one behind it put each delivery into the account once."""
    monkeypatch.setattr("gateway.outbox.places._RARELY_S", 0)
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await fill(outbox, some(*range(4)))

        def took(number):
            for entry in outbox.recent(position.cursor, number):
                position.cursor = entry.seq
                position.settle([entry.device])

        took(2)
        outbox.sinks.settle(position)
        took(3)
        now = asyncio.create_task(outbox.sinks.settle_now(position))
        await asyncio.sleep(0)
        took(4)
        outbox.sinks.settle(position)
        await now
        await outbox.write(lambda _conn: None)
        assert dict.fromkeys(DEVICES, (4, 3, 1)) == figures(tmp_path)
        assert [] == position.sealed
        took(3)
        outbox.sinks.settle(position)
        again = await outbox.sinks.enlist("sink", start="oldest", window=50)
        assert (12, 12) == (again.cursor, again.delivered)
        assert dict.fromkeys(DEVICES, (4, 4, 0)) == figures(tmp_path)


async def test_a_transaction_that_was_rolled_back_is_accounted_for_once(tmp_path, monkeypatch):
    """When the disk refuses a place its deliveries stay out of the account, and come in with the next one."""
    monkeypatch.setattr("gateway.outbox.places._AGAIN_S", 0.05)
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await fill(outbox, some(0, 1))
        real, broken = accounts.move, True

        def move(conn, sink, batches):
            real(conn, sink, batches)
            if broken:
                raise sqlite3.OperationalError("no")

        monkeypatch.setattr(accounts, "move", move)
        for _ in range(3):
            with contextlib.suppress(StoreUnavailable):
                await deliver(outbox, position, 1)
        assert dict.fromkeys(DEVICES, (2, 0, 2)) == figures(tmp_path)
        broken = False
        async with asyncio.timeout(5):
            await deliver(outbox, position, 1)
        assert {DEVICES[0]: (2, 2, 0), DEVICES[1]: (2, 1, 1), DEVICES[2]: (2, 1, 1)} == figures(tmp_path)


async def test_a_kill_leaves_an_account_that_balances(tmp_path):
    """What was settled and not yet on disk waits again after a kill, at the devices that it was of."""
    running = await Running.start(tmp_path / "store")
    position = await running.outbox.sinks.enlist("sink", start="oldest", window=50)
    await fill(running.outbox, some(0, 1))
    await deliver(running.outbox, position, 2)
    position.cursor = 5
    position.settle([DEVICES[2], *DEVICES[:2]])
    running.outbox.sinks.settle(position)
    left = after_crash(tmp_path / "store", tmp_path / "left")
    await running.abandon()
    async with opened(left):
        assert {DEVICES[0]: (2, 1, 1), DEVICES[1]: (2, 1, 1), DEVICES[2]: (2, 0, 2)} == figures(left)


# Older and damaged stores


def back_to_the_first_version(directory):
    """Make of a store one that a gateway without accounts per device has left."""
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as conn:
        for table in set(schema.TABLES) - FIRST:
            conn.execute(f"DROP TABLE {table}")
        kept = [row[1] for row in conn.execute("PRAGMA table_info(devices)")]
        for column in kept[kept.index("pruned") + 1 :]:
            conn.execute(f"ALTER TABLE devices DROP COLUMN {column}")
        for table in ("events", "sinks"):
            conn.execute(f"ALTER TABLE {table} DROP COLUMN crc")
        conn.execute("DELETE FROM _sqlite_migrations WHERE name <> '0001_first'")
        conn.execute("PRAGMA user_version = 1")


FIRST = {"events", "sinks", "arrears", "letters", "devices", "tallies", "meta"}


async def test_a_store_of_the_first_version_gets_accounts_that_balance(tmp_path):
    """What waits and what lies in letters is known by device; what was settled before is one row beside them."""
    async with opened(tmp_path, keep_days=0) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await fill(outbox, some(0, 1, 2))
        await deliver(outbox, position, 3)
        await outbox.rewriting.remove(lambda conn, _: retention.remove_owed(conn, keep=[], limit=4))
        await deliver(outbox, position, 2, refused={5, 6})
    back_to_the_first_version(tmp_path)
    before = rows(tmp_path, "SELECT * FROM sinks")
    async with opened(tmp_path) as outbox:
        assert [(*row, None) for row in before] == rows(tmp_path, "SELECT * FROM sinks")
        names = ("received", "delivered", "waiting", "lettered", "expired")
        known = {
            None: (4, 3, 0, 0, 1),
            DEVICES[0]: (1, 0, 1, 0, 0),
            DEVICES[1]: (2, 0, 1, 1, 0),
            DEVICES[2]: (2, 0, 1, 1, 0),
        }
        assert known == figures(tmp_path, "sink", *names)
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        position.answer_letter(DEVICES[1])
        number = rows(tmp_path, "SELECT number FROM letters WHERE sender = ?", DEVICES[1])[0][0]
        await outbox.sinks.settle_now(position, answered=[number])
        await fill(outbox, some(7))
        position.cursor = outbox.head
        position.settle([*DEVICES, *DEVICES])
        await outbox.sinks.settle_now(position)
        assert (3, 3, 0, 0, 0) == figures(tmp_path, "sink", *names)[DEVICES[1]]


async def test_without_the_accounts_a_rescue_begins_them_anew(tmp_path):
    """When the table itself is lost, what waits is known by device again, and the rest is one row beside."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await fill(outbox, some(0, 1, 2))
        await deliver(outbox, position, 4)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as conn:
        conn.execute("DROP TABLE accounts")
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged
        assert {
            None: (4, 4, 0),
            DEVICES[0]: (1, 0, 1),
            DEVICES[1]: (2, 0, 2),
            DEVICES[2]: (2, 0, 2),
        } == figures(tmp_path)


async def test_a_page_of_the_log_that_is_lost_is_lost_at_its_devices(tmp_path):
    """Each event that a rescue could not read is counted as lost at the device that it was of."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await fill(outbox, some(*range(4)))
        await deliver(outbox, position, 3)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as conn, conn:
        conn.execute("DELETE FROM events WHERE device = ? AND seq > 3", (DEVICES[1],))
        conn.execute("DROP TABLE polls")  # something to rescue
    async with opened(tmp_path) as outbox:
        assert (3, 3) == (outbox.salvaged.lost, audited(tmp_path)[DEVICES[1]]["lost"])
        assert (0, 3) == (audited(tmp_path)[DEVICES[0]]["lost"], audited(tmp_path)[DEVICES[0]]["waiting"])


# What a person is told


def told(directory, **how):
    with reading.looking(directory) as conn:
        return audit(conn, **how)


async def spoilt(directory, *statements_):
    async with opened(directory) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await fill(outbox, some(0, 1))
        await deliver(outbox, position, 4, refused={4})
    alter(directory, *statements_)
    return told(directory)[0]


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DELETE FROM events WHERE seq = 6", "1 wait by the counters and 0 in the log at counter-c"),
        (
            "UPDATE accounts SET delivered = delivered + 5 WHERE device = 'counter-a'",
            "1 delivered by the sink's own row",
        ),
        ("UPDATE sinks SET expired = 7", "7 expired by the sink's own row and 0 by its devices"),
        ("UPDATE sinks SET since = since - 2", "8 received by the sink's own row and 6 by its devices"),
        (
            "INSERT INTO letters VALUES (99, 'deliver', 'sink', 'counter-b', '', 0, 0, '{}', x'')",
            "1 letters are kept and 0 were counted at counter-b",
        ),
    ],
)
async def test_an_account_that_does_not_balance_says_which_figure_and_by_how_many(
    tmp_path, statement, sentence
):
    """A store that somebody changed by hand is found out, with the figure, both numbers and what to do."""
    found = await spoilt(tmp_path, statement)
    assert not found["balanced"]
    if "accounts" not in statement:
        assert sentence in found["sentence"]
    assert "Keep a copy of the store" in found["sentence"]
    assert found["differences"]


async def test_an_account_that_balances_says_its_sum(tmp_path):
    """One sentence has the whole sum."""
    found = await spoilt(tmp_path)
    sum_ = "6 received = 3 delivered + 2 waiting + 1 lettered"
    assert f"Balances: {sum_}. The log holds the 2 that wait." == found["sentence"]


async def test_the_answer_is_bounded_and_the_worst_come_first(tmp_path):
    """Of very many devices five hundred are shown, first those that miss something, and the rest are counted."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=5)
        await fill(outbox, [count(0, device=counter(f"counter-{n}")) for n in range(MOST_ROWS + 20)])
        await deliver(outbox, position, 300, refused={250})
    (found,) = told(tmp_path)
    assert (MOST_ROWS, 20) == (len(found["devices"]), found["left_out"])
    assert ("counter-249", 1) == (found["devices"][0]["device"], found["devices"][1]["waiting"])
    assert MOST_ROWS + 20 == found["total"]["received"]
    (one,) = told(tmp_path, device="counter-7", sink="sink")
    assert (["counter-7"], MOST_ROWS + 20) == (
        [row["device"] for row in one["devices"]],
        one["total"]["received"],
    )


async def test_a_sink_or_device_that_nobody_knows_is_said(tmp_path):
    """A wrong name is no empty answer."""
    await spoilt(tmp_path)
    with pytest.raises(GatewayError, match="no sink 'nosuch'"):
        told(tmp_path, sink="nosuch")
    with pytest.raises(GatewayError, match="No device is called 'nosuch'"):
        told(tmp_path, device="nosuch")


def test_the_tables_of_the_first_version_are_still_known():
    """The test of the migration takes away what came after the first version, and no more."""
    assert set(schema.TABLES) > FIRST
    assert "accounts" not in statements.MOVE_SINK
    assert {"taken", "refused", "sealed"} <= set(positions.Position.__slots__)
