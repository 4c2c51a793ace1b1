"""The numbers after a restore: they leap, the accounts balance, and nothing is given out twice."""

import contextlib
import sqlite3

import pytest
from keeping import FILE_NAME, NOON, access, audited, count, counter, fill, opened, rows

from gateway.errors import GatewayError
from gateway.outbox import epochs, opening, reading

pytestmark = pytest.mark.anyio
NUMBERS = "SELECT seq, device, device_seq FROM events ORDER BY seq"


def begin(directory, *, beyond=0):
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as conn:
        head, skipped = opening.last_number(conn), opening.skipped_numbers(conn)
        epochs.begin(conn, 1_000, head=head, skipped=skipped, beyond=beyond)


async def with_sink(directory, first, last):
    """Add minutes of two devices, with a sink that is owed all and has had none."""
    async with opened(directory) as outbox:
        await outbox.sinks.enlist("sink", start="oldest", window=10)
        minutes = [
            count(n, 1, device=counter(name))
            for n in range(first, last)
            for name in ("counter-a", "counter-b")
        ]
        await fill(outbox, minutes)
        return outbox.received


async def test_numbers_go_on_far_above_the_old_ones_and_the_account_balances(tmp_path):
    """After the leap both numbers are beyond a multiple of 2^32, in one step, and received counts the events alone."""
    assert 10 == await with_sink(tmp_path, 0, 5)
    begin(tmp_path)
    assert 16 == await with_sink(tmp_path, 5, 8)
    old, new = rows(tmp_path, NUMBERS)[:10], rows(tmp_path, NUMBERS)[10:]
    epoch = new[0][0] // epochs.SPAN
    assert epoch > 0
    assert [5, 5] == [old[-1][2], old[-2][2]]
    assert [epoch * epochs.SPAN + n for n in range(1, 7)] == [row[0] for row in new]
    assert {epoch * epochs.SPAN + n for n in (6, 7, 8)} == {row[2] for row in new}
    assert {"counter-a": 8, "counter-b": 8} == {
        name: row["waiting"] for name, row in audited(tmp_path).items()
    }


async def test_each_restore_begins_beyond_all_numbers_that_are_known(tmp_path):
    """Epochs only grow, also beyond the head of a store that is replaced."""
    await with_sink(tmp_path, 0, 1)
    heads = []
    for beyond in (0, 0, 5_000 * epochs.SPAN + 7):
        begin(tmp_path, beyond=beyond)
        with reading.looking(tmp_path) as conn:
            heads.append(reading.head(conn))
            assert 2 == reading.received(conn)
            assert heads[-1] == epochs.leap(conn)
            assert 1_000 == epochs.restored(conn).taken
    assert heads == sorted(set(heads))
    assert heads[-1] > 5_000 * epochs.SPAN + 7


async def test_the_leap_is_read_off_the_newest_event_when_its_note_is_gone(tmp_path):
    """A damaged note of the epoch does not make a device count in its old numbers again."""
    await with_sink(tmp_path, 0, 2)
    begin(tmp_path)
    await with_sink(tmp_path, 2, 3)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as conn:
        conn.execute("DELETE FROM meta WHERE key = 'epoch'")
    await with_sink(tmp_path, 3, 4)
    numbers = rows(tmp_path, NUMBERS)
    assert len(numbers) == len({row[0] for row in numbers}) == len({row[1:] for row in numbers})
    assert all(row[2] > epochs.SPAN for row in numbers[4:])


async def test_a_salvage_after_a_restore_counts_events_and_not_numbers(tmp_path):
    """Where the book is made anew of the log, the leap does not become events that never were."""
    await with_sink(tmp_path, 0, 3)
    begin(tmp_path)
    await with_sink(tmp_path, 3, 5)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as conn:
        conn.execute("DROP TABLE devices")
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged is not None
        await outbox.append([access(1)], NOON)
    assert {5} == {row[0] for row in rows(tmp_path, "SELECT events FROM devices WHERE id LIKE 'counter%'")}
    new = rows(tmp_path, "SELECT device_seq FROM events WHERE device = 'terminal-t'")
    assert new[0][0] > epochs.SPAN


async def test_numbers_that_no_reader_keeps_are_refused(tmp_path):
    """A store at the end of all numbers is not numbered anew: it would round."""
    await with_sink(tmp_path, 0, 1)
    with pytest.raises(GatewayError, match="used up"):
        begin(tmp_path, beyond=2**53 - 2**33)
