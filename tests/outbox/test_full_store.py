"""A store or a disk without room: what is refused, what still works, and that nothing is half written."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest
from keeping import NOON, Running, count, data_of, opened, rows, settings, tallies

from gateway.errors import StoreFull, StoreUnavailable
from gateway.outbox import Housekeeper, Outbox, retention
from gateway.outbox.space import Space

pytestmark = pytest.mark.anyio
MIB = 2**20


def padded(minute, size=3_000):
    return count(minute, 1, pad="x" * size)


async def fill_up(outbox, start=0):
    """Append until the store says no; give the minutes that were kept."""
    kept = []
    for minute in range(start, start + 5_000):
        try:
            await outbox.append([padded(minute)], NOON)
        except StoreFull:
            return kept
        kept.append(minute)
    raise AssertionError("the store never became full")


def consistent(directory, kept):
    """Say whether log, tallies and book agree with the minutes that were acknowledged."""
    found = rows(directory, "SELECT seq, device_seq, body FROM events ORDER BY seq")
    assert list(range(1, len(kept) + 1)) == [seq for seq, _, _ in found]
    assert list(range(1, len(kept) + 1)) == [device_seq for _, device_seq, _ in found]
    assert {3_000} == {len(data_of(body)["pad"]) for _, _, body in found}
    assert len(kept) == sum(n for (_, measure), n in tallies(directory).items() if measure == "enters")
    assert [("ok",)] == rows(directory, "PRAGMA integrity_check")


async def test_a_full_store_refuses_and_keeps_what_it_has(tmp_path, monkeypatch):
    """Near its bound the store takes nothing more, everything acknowledged is there, and room is left for places."""
    monkeypatch.setattr("gateway.outbox.room._LOOK_S", 0)
    async with opened(tmp_path, max_bytes=MIB) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=10)
        kept = await fill_up(outbox)
        assert 100 < len(kept)
        consistent(tmp_path, kept)
        position.cursor = 5
        await outbox.sinks.settle_now(position)
        with pytest.raises(StoreFull, match="bring the sink back"):
            await outbox.append([padded(9_999)], NOON)
        with pytest.raises(StoreFull):
            await outbox.keep_letter(
                stage="parse", sender="1", reason="", received_at=NOON, head={}, body=b"x"
            )


async def test_a_full_database_refuses_the_transaction_as_a_whole(tmp_path, monkeypatch):
    """When SQLite itself says full, a push of several events leaves nothing, and memory goes back with it."""
    monkeypatch.setattr(Space, "shortage", 0)  # the gauge did not look in time
    async with opened(tmp_path, max_bytes=MIB) as outbox:
        kept = await fill_up(outbox)
        head = outbox.head
        assert len(kept) == head
        with pytest.raises(StoreFull):
            await outbox.append([padded(minute, 50_000) for minute in range(6_000, 6_010)], NOON)
        assert head == outbox.head == outbox._appender.head
        assert "full" in outbox.failure
        consistent(tmp_path, kept)
        # Removing works in a full store, and after it appending does.
        removed = await outbox.rewriting.remove(
            lambda conn, _: retention.remove_settled(conn, settled_up_to=50, limit=50)
        )
        assert 50 == removed.rows
        await outbox.append([padded(7_000)], NOON)
        assert outbox.failure is None
        assert head + 1 == outbox.head
        assert [(head + 1, head + 1)] == rows(
            tmp_path, "SELECT seq, device_seq FROM events ORDER BY seq DESC LIMIT 1"
        )


async def test_a_store_of_settled_events_never_refuses(tmp_path):
    """With a sink that has everything, a store at its bound goes on for ever: the housekeeper is early."""
    async with opened(tmp_path, max_bytes=4 * MIB) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        housekeeper = Housekeeper(outbox)
        for minute in range(0, 4_000, 20):
            await outbox.append([padded(minute + n) for n in range(20)], NOON)
            position.cursor, position.delivered = outbox.head, outbox.head
            await outbox.sinks.settle_now(position)
            outbox.room.look()
            if outbox.room.pressed.is_set():
                outbox.room.pressed.clear()
                await housekeeper.tidy()
        assert 4_000 == outbox.head
        left = rows(tmp_path, "SELECT count(*) FROM events")[0][0]
        assert 4_000 == left + housekeeper.removed_settled
        assert 200 < left
        assert 4 * MIB >= outbox.path.stat().st_size


async def test_a_disk_that_is_nearly_full_is_said_so(tmp_path):
    """When the disk has less room than it must keep, pushes are refused with a sentence about the disk."""
    async with opened(tmp_path, min_free_bytes=2**60) as outbox:
        with pytest.raises(StoreFull, match=r"disk of .* nearly full"):
            await outbox.append([count(0)], NOON)


async def test_a_gauge_that_fails_stops_nothing(tmp_path, monkeypatch):
    """When the room cannot be measured the last measure stands, and pushes are kept."""
    async with opened(tmp_path) as outbox:
        monkeypatch.setattr(os, "statvfs", lambda _path: (_ for _ in ()).throw(OSError("gone")))
        monkeypatch.setattr("gateway.outbox.room._LOOK_S", 0)
        for minute in range(3):
            await outbox.append([count(minute)], NOON)
        assert 3 == outbox.head


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


async def test_a_full_disk_refuses_and_recovers(small_disk):
    """On a disk without a free byte nothing is half written; when a file goes, pushes are taken again."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)
    running = await Running.start(small_disk / "store")
    outbox = running.outbox
    kept = await fill_up(outbox)
    assert 20 < len(kept)
    assert len(kept) == outbox.head
    for minute in range(8_000, 8_005):
        with pytest.raises(StoreUnavailable):
            await outbox.append([padded(minute, 100_000)], NOON)
    consistent(small_disk / "store", kept)
    ballast.unlink()
    await outbox.append([padded(2_000)], NOON)
    consistent(small_disk / "store", [*kept, 2_000])
    await running.stop()
    async with opened(small_disk / "store") as outbox:
        assert len(kept) + 1 == outbox.head


async def test_a_start_on_a_full_disk_touches_nothing(small_disk):
    """A store whose disk is full at the start is not taken for a damaged one, and is whole when there is room."""
    store = small_disk / "store"
    async with opened(store) as outbox:
        await outbox.append([padded(minute) for minute in range(50)], NOON)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    try:
        outbox = await Outbox.open(settings(store))
    except StoreUnavailable:
        pass
    else:
        outbox.release()
    assert [] == [name for name in map(str, store.iterdir()) if "damaged" in name or "rescue" in name]
    ballast.unlink()
    async with opened(store) as outbox:
        assert outbox.salvaged is None
        assert 50 == outbox.head


async def test_a_damaged_store_on_a_full_disk_waits_for_room(small_disk):
    """When there is no room to save a damaged store it stays where it is, and the start says how much it needs."""
    store = small_disk / "store"
    async with opened(store) as outbox:
        await outbox.append([padded(minute) for minute in range(200)], NOON)
    (store / "gateway.damaged").write_text("a page was wrong")
    before = (store / "gateway.db").read_bytes()
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 300_000))
    with pytest.raises(StoreUnavailable, match="free at least"):
        await Outbox.open(settings(store))
    assert before == (store / "gateway.db").read_bytes()
    ballast.unlink()
    async with opened(store) as outbox:
        assert 200 == outbox.salvaged.events
        assert 200 == rows(store, "SELECT count(*) FROM events")[0][0]


def test_a_full_store_can_still_be_read(tmp_path):
    """What the sentence promises holds in SQLite: a full database is readable and rows can be removed."""
    conn = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    conn.execute("PRAGMA max_page_count=50")
    conn.execute("CREATE TABLE t (a)")
    many = [("x" * 3_000,)] * 1_000
    with pytest.raises(sqlite3.OperationalError) as caught:
        conn.executemany("INSERT INTO t VALUES (?)", many)
    assert sqlite3.SQLITE_FULL == caught.value.sqlite_errorcode
    conn.execute("DELETE FROM t WHERE rowid < 5")
    conn.execute("INSERT INTO t VALUES (?)", ("x" * 3_000,))
    conn.close()
