"""A damaged store of the first version, saved by this one, and a book that has to be made anew."""

import sqlite3
from contextlib import closing

import pytest
from first_version import as_first_version
from keeping import FILE_NAME, NOON, audited, count, counter, opened, rows

from gateway.outbox import damage

pytestmark = pytest.mark.anyio
BOOK = "SELECT id, source, events FROM devices ORDER BY id"
FACTS = [
    count(minute, 2, device=counter(name)) for name in ("counter-a", "counter-b") for minute in range(40)
]


async def stored(directory):
    async with opened(directory) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        await outbox.append(FACTS, NOON)
        position.cursor = 30
        position.settle("counter-a" for _ in range(30))
        await outbox.sinks.settle_now(position)


async def test_the_book_of_a_first_version_is_saved(tmp_path):
    """Pages, lifetimes and accounts of a damaged store of the first version are there, and no number means two events."""
    await stored(tmp_path)
    as_first_version(tmp_path)
    before = rows(tmp_path, BOOK)
    damage.mark(tmp_path, "found damaged")
    async with opened(tmp_path) as outbox:
        assert (80, 0, False) == (
            outbox.salvaged.events,
            outbox.salvaged.lost,
            outbox.salvaged.book_lost,
        )
        assert before == rows(tmp_path, BOOK)
        await outbox.sinks.enlist("sink", start="oldest", window=100)
        await outbox.append([count(50, 1)], NOON)
    lives = "SELECT amount FROM lifetimes WHERE measure = 'enters' ORDER BY device"
    assert [(81,), (80,)] == rows(tmp_path, lives)
    audited(tmp_path)


async def test_a_book_that_is_lost_is_made_of_the_log(tmp_path):
    """A page that cannot be had has the source and the counter that the log shows, and the report says so."""
    await stored(tmp_path)
    before = rows(tmp_path, BOOK)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as conn:
        conn.execute("ALTER TABLE devices RENAME TO gone")
        conn.execute("DROP TABLE lifetimes")
        conn.commit()
    damage.mark(tmp_path, "found damaged")
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged.book_lost
        assert before == rows(tmp_path, BOOK)
        assert [(80,)] == rows(
            tmp_path, "SELECT amount FROM lifetimes WHERE device = 'counter-b' AND amount > 0"
        )
        await outbox.append([count(50, 1)], NOON)
    doubled = "SELECT device FROM events GROUP BY device, device_seq HAVING count(*) > 1"
    assert [] == rows(tmp_path, doubled)
