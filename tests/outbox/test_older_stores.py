"""Stores of earlier versions: they open, nothing in them changes, and their index is put in order when they are small."""

import contextlib
import sqlite3

import pytest
from keeping import FILE_NAME, MINUTE, NOON, count, counter, opened, rows
from sqlite_utils import Database, Migrations

from gateway.errors import StoreUnavailable
from gateway.outbox import schema, slots, versions, windows

pytestmark = pytest.mark.anyio
INDEX = "SELECT sql FROM sqlite_master WHERE name = 'events_by_id'"
LOG = "SELECT seq, id, revision, device_seq, flags, body FROM events ORDER BY seq"
FACTS = [
    count(minute, 1, device=counter(name)) for minute in range(50) for name in ("counter-a", "counter-b")
]


def older(path, version, page_bytes=4096):
    """Write the same store with the tables of an earlier version, and its pages."""
    new = path.rename(path.with_suffix(".new"))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA page_size={page_bytes}")
        migrations = Migrations("gateway")
        migrations(name="0001_first")(versions.first)
        if version > 1:
            migrations(name="0002_truth")(versions.truth)
        migrations.apply(Database(conn, execute_plugins=False))
        conn.execute(f"PRAGMA user_version={version}")
        conn.execute("ATTACH ? AS new", (str(new),))
        there = {name for (name,) in conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        for table in there & set(schema.TABLES):
            names = ", ".join(column[1] for column in conn.execute(f"PRAGMA main.table_info({table})"))
            conn.execute(f"INSERT OR REPLACE INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    new.unlink()


async def stored(directory, version):
    async with opened(directory) as outbox:
        await outbox.append(FACTS, NOON)
    older(directory / FILE_NAME, version)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_store_of_an_earlier_version_gets_the_index_of_this_one(tmp_path, version):
    """The log of an older store stays as it is, its index is made anew once, and a resend is still recognised."""
    await stored(tmp_path, version)
    before = rows(tmp_path, LOG)
    for _ in range(2):
        async with opened(tmp_path) as outbox:
            assert outbox.salvaged is None
            again = await outbox.append(FACTS, NOON)
            assert (0, len(FACTS)) == (again.new, again.duplicates)
    assert before == rows(tmp_path, LOG)
    assert [(slots.INDEX,)] == rows(tmp_path, INDEX)
    assert [("ok",)] == rows(tmp_path, "PRAGMA integrity_check")
    assert [(schema.VERSION,)] == rows(tmp_path, "PRAGMA user_version")


async def test_a_large_store_of_an_earlier_version_works_in_the_old_order(tmp_path, monkeypatch):
    """A store with too many rows for its start keeps its index, searches it, and changes when it has become small."""
    await stored(tmp_path, 2)
    monkeypatch.setattr(schema, "_REBUILT_AT_ONCE", 10)
    old = rows(tmp_path, INDEX)
    async with opened(tmp_path) as outbox:
        again = await outbox.append(FACTS, NOON)
        assert (0, len(FACTS)) == (again.new, again.duplicates)
        assert 1 == (await outbox.append([count(99, 1)], NOON)).new
        said = list(windows.statements_of(outbox._conn, "counter-a", 0))
        assert 51 == len(said) == len({fact[0].id for fact in said})
    assert old == rows(tmp_path, INDEX)
    monkeypatch.undo()
    async with opened(tmp_path) as outbox:
        assert said == list(windows.statements_of(outbox._conn, "counter-a", 0))
    assert [(slots.INDEX,)] == rows(tmp_path, INDEX)


async def test_a_store_of_a_newer_version_is_refused(tmp_path):
    """What a newer gateway wrote is not touched by this one, and the reason is said."""
    await stored(tmp_path, 2)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    with pytest.raises(StoreUnavailable, match="newer gateway"):
        async with opened(tmp_path):
            pass
    assert [(schema.VERSION + 1,)] == rows(tmp_path, "PRAGMA user_version")


async def test_the_bound_of_an_old_store_is_counted_in_its_own_pages(tmp_path):
    """A file with larger pages is bounded by the same number of bytes."""
    await stored(tmp_path, 2)
    async with opened(tmp_path, max_bytes=50 * 2**20) as outbox:
        size = outbox._conn.execute("PRAGMA page_size").fetchone()[0]
        bound = outbox._conn.execute("PRAGMA max_page_count").fetchone()[0]
        pages = outbox._conn.execute("PRAGMA page_count").fetchone()[0]
        free = outbox._conn.execute("PRAGMA freelist_count").fetchone()[0]
        assert (4096, 50 * 2**20) == (size, size * bound)
        assert size * (pages - free) == outbox.room.look().used


async def test_the_index_of_alarms_is_made_again(tmp_path):
    """A store whose index of alarms somebody dropped is whole, and has it again after the next start."""
    async with opened(tmp_path) as outbox:
        await outbox.append(FACTS, NOON)
    alarms = "SELECT sql FROM sqlite_master WHERE name = 'events_alarms'"
    assert [(slots.ALARMS_INDEX,)] == rows(tmp_path, alarms)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as conn:
        conn.execute("DROP INDEX events_alarms")
    assert [] == rows(tmp_path, alarms)
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged is None
    assert [(slots.ALARMS_INDEX,)] == rows(tmp_path, alarms)


async def test_the_last_window_before_an_instant_is_looked_for_in_the_last_days(tmp_path):
    """It is the one that began last before it, of this device alone; what lies further back than two days is none."""
    async with opened(tmp_path) as outbox:
        windows_of = {"counter-a": (0, 5, 9), "counter-b": (7,), "counter-ab": (8,)}
        for device, minutes in windows_of.items():
            await outbox.append([count(minute, device=counter(device)) for minute in minutes], NOON)

        def last(device, minute):
            before = int((NOON + minute * MINUTE).timestamp() * 1000)
            return windows.last_before(outbox._conn, device, before)

        def at(minute):
            return int((NOON + minute * MINUTE).timestamp() * 1000)

        assert (at(9), at(5), at(5), at(0), 0) == tuple(last("counter-a", n) for n in (60, 9, 6, 5, 0))
        assert (at(7), at(9), 0) == (
            last("counter-b", 2879),
            last("counter-a", 2880),
            last("counter-a", 4000),
        )
        assert 0 == last("counter-never", 60)
