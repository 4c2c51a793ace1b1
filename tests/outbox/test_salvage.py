"""A damaged store: the daemon starts, what can be read is there, and the accounts say what is not."""

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from file_pages import PAGE, damage, pages, tree
from keeping import (
    NOON,
    Running,
    account,
    after_crash,
    audited,
    count,
    counter,
    fill,
    opened,
    rows,
    settings,
    tallies,
)

from gateway import durable
from gateway.outbox import Arrears, Housekeeper, Outbox, StoreDamaged, leaves, opening
from gateway.outbox.connection import FILE_NAME

pytestmark = pytest.mark.anyio
EVENTS = 600
DELIVERED, ARREARS = 250, Arrears(100, 140)
COLUMNS = "seq, id, revision, kind, device, device_seq, time, received, flags, body, personal"


def event(number):
    return count(number, number % 9, device=counter(f"counter-{number % 7}", label=f"door {number % 7}"))


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def original(tmp_path_factory):
    """A store with two sinks that are halfway, stopped in good order."""
    directory = tmp_path_factory.mktemp("original")
    async with opened(directory) as outbox:
        await fill(outbox, [event(n) for n in range(EVENTS)], at_once=50)
        position = await outbox.sinks.enlist("strict", start="oldest", window=50)
        position.cursor = DELIVERED
        position.settle(f"counter-{n % 7}" for n in range(DELIVERED))
        await outbox.sinks.settle_now(position, rejected=())
        position = await outbox.sinks.enlist("live", start="oldest", window=50)
        position.cursor, position.arrears = EVENTS, [ARREARS]
        had = [n for n in range(EVENTS) if not ARREARS.first <= n < ARREARS.last]
        position.settle(f"counter-{n % 7}" for n in had)
        await outbox.sinks.settle_now(position)
        for number in range(5):
            await outbox.keep_letter(
                stage="parse",
                sender="1",
                reason="odd",
                received_at=NOON,
                head={"n": number},
                body=b"x" * 2_000,
            )
    return directory


@pytest.fixture
def store(original, tmp_path):
    """A copy to be damaged."""
    shutil.copytree(original, tmp_path / "store")
    return tmp_path / "store"


def owed(after):
    return [seq for seq in after if seq > DELIVERED]


async def reopened(store, before):
    """Open a damaged store and hold it to everything that is promised; give what happened and what is left."""
    async with opened(store) as outbox:
        salvaged = outbox.salvaged
        after = {row[0]: row for row in rows(store, f"SELECT {COLUMNS} FROM events")}
        assert set(after) <= set(before)
        for sink in ("strict", "live"):
            position, waiting, in_log = account(store, sink) if _knows(store, sink) else (None, 0, 0)
            assert waiting == in_log, f"{sink}: {position}"
            if _knows(store, sink):
                audited(store, sink)
        head, received = outbox.head, outbox.received
        assert head >= max(before)
        appended = await outbox.append([event(EVENTS)], NOON)
        assert head + 1 == appended.first_seq
        assert received + 1 == outbox.received
        # Facts that are still there are recognised; the others count as new.
        again = await outbox.append([event(n) for n in range(EVENTS)], NOON)
        assert EVENTS - len(after) <= again.new
        if salvaged is not None:
            assert again.new == EVENTS - len(after)
            assert salvaged.kept_as.exists()
            assert len(after) == salvaged.events
        assert [("ok",)] == rows(store, "PRAGMA integrity_check") or salvaged is None
    assert [] == list(store.glob("*rescue*"))
    return salvaged, after


def _knows(store, sink):
    return bool(rows(store, "SELECT 1 FROM sinks WHERE name = ?", sink))


def log_of(store):
    return {row[0]: row for row in rows(store, f"SELECT {COLUMNS} FROM events")}


def root(store, name):
    return rows(store, "SELECT rootpage FROM sqlite_master WHERE name = ?", name)[0][0]


async def test_a_store_that_is_fine_is_left_alone(store):
    """Neither a clean nor an unclean start makes a rescue of a file that has nothing wrong with it."""
    salvaged, after = await reopened(store, log_of(store))
    assert salvaged is None
    assert EVENTS == len(after)
    assert [] == list(store.glob("*damaged*"))


@pytest.mark.parametrize("number", [0, 3, -1])
async def test_a_page_costs_its_own_rows_and_no_others(store, number):
    """With one leaf of the log zeroed exactly its rows are gone, and the sinks' accounts call them lost."""
    before = log_of(store)
    leaves = [page for page in tree(store / FILE_NAME, root(store, "events")) if page.kind == "leaf"]
    victim = leaves[number]
    damage(store / FILE_NAME, victim.start, bytes(PAGE))
    (store / "gateway.damaged").touch()
    salvaged, after = await reopened(store, before)
    assert set(before) - set(victim.rowids) == set(after)
    assert all(before[seq] == after[seq] for seq in after)
    lost = [seq for seq in victim.rowids if seq > DELIVERED]
    assert len(lost) == salvaged.lost or number == 0
    assert len(lost) == account(store, "strict")[0].lost


async def test_several_holes_cost_their_own_rows_and_no_others(store):
    """With every fifth leaf of the log gone the rows of all others are there, byte for byte."""
    before = log_of(store)
    leaves = [page for page in tree(store / FILE_NAME, root(store, "events")) if page.kind == "leaf"]
    gone = set()
    for victim in leaves[2::5]:
        damage(store / FILE_NAME, victim.start, b"\xff" * PAGE)
        gone |= set(victim.rowids)
    (store / "gateway.damaged").touch()
    salvaged, after = await reopened(store, before)
    assert 40 < len(gone)
    assert set(before) - gone == set(after)
    assert all(before[seq] == after[seq] for seq in after)
    # The live sink had had everything but its arrears; of those it misses what is gone.
    assert len([seq for seq in gone if 100 < seq <= 140]) == account(store, "live")[0].lost
    assert salvaged.lost == len(owed(gone))


@pytest.mark.parametrize("victim", ["root", "list of tables", "name in the list", "page size"])
async def test_what_leads_to_the_log_is_gone_and_the_log_is_not(store, victim):
    """Without its root, or without any list of tables, every row is found on its own page, byte for byte."""
    before = log_of(store)
    if victim == "root":
        damage(store / FILE_NAME, (root(store, "events") - 1) * PAGE, bytes(PAGE))
    elif victim == "list of tables":
        damage(store / FILE_NAME, 100, bytes(PAGE - 100))
    elif victim == "page size":
        damage(store / FILE_NAME, 0, bytes(100))
    else:
        with contextlib.closing(sqlite3.connect(store / FILE_NAME, isolation_level=None)) as conn:
            conn.execute("PRAGMA writable_schema=ON")
            conn.execute("DELETE FROM sqlite_master WHERE name = 'events'")
    (store / "gateway.damaged").touch()
    salvaged, after = await reopened(store, before)
    assert before == after
    assert (EVENTS, 0) == (salvaged.events, salvaged.lost)


async def test_rows_that_lie_on_several_pages_are_found_too(tmp_path):
    """A body too long for its page is put together again, also from pages that are in the WAL alone."""
    running = await Running.start(tmp_path / "store")
    for number in range(20):
        await running.outbox.append([count(number, 1, pad="x" * 613 * number)], NOON)
    left = after_crash(tmp_path / "store", tmp_path / "left")
    await running.abandon()
    before = log_of(tmp_path / "store")
    found = {row[0]: row[:11] for row in leaves.rows(left / FILE_NAME)}
    assert before == found


async def test_without_the_root_of_the_log_the_rest_is_there(store):
    """When nothing of the log can be read, places, tallies, book and letters are, and all owed events are lost."""
    before, days = log_of(store), tallies(store, "counter-3")
    for page in tree(store / FILE_NAME, root(store, "events")):
        damage(store / FILE_NAME, page.start, bytes(200))
    salvaged, after = await reopened(store, before)
    assert {} == after
    assert EVENTS - DELIVERED == salvaged.lost == account(store, "strict")[0].lost
    assert 40 == account(store, "live")[0].lost
    assert (
        days.items() <= tallies(store, "counter-3").items()
        or days.keys() == tallies(store, "counter-3").keys()
    )
    assert 5 == rows(store, "SELECT count(*) FROM letters")[0][0]
    assert 7 == rows(store, "SELECT count(*) FROM devices")[0][0]


@pytest.mark.parametrize("name", ["sinks", "arrears"])
async def test_without_the_places_every_sink_begins_at_the_oldest(store, name):
    """When nobody knows how far a sink had got it is owed everything there is, also if it begins with "now"."""
    damage(store / FILE_NAME, (root(store, name) - 1) * PAGE, bytes(200))
    async with opened(store) as outbox:
        assert outbox.salvaged.places_lost
        assert EVENTS == outbox.salvaged.events
        position = await outbox.sinks.enlist("another", start="now", window=50)
        assert EVENTS == position.waiting(outbox.head)
        if name == "sinks":
            position = await outbox.sinks.enlist("strict", start="now", window=50)
            assert EVENTS == position.waiting(outbox.head)


@pytest.mark.parametrize("name", ["devices", "tallies", "letters", "meta"])
async def test_a_lost_table_does_not_touch_the_log(store, name):
    """Whatever other table is gone, every event and every place is there and numbers go on behind them."""
    before = log_of(store)
    damage(store / FILE_NAME, (root(store, name) - 1) * PAGE, bytes(200))
    salvaged, after = await reopened(store, before)
    assert before == after
    assert 0 == salvaged.lost
    assert EVENTS - DELIVERED + 1 == account(store, "strict")[1]


async def test_an_index_is_made_anew(store):
    """With the index of ids gone every event is there and every fact is recognised."""
    before = log_of(store)
    for page in tree(store / FILE_NAME, root(store, "events_by_id")):
        damage(store / FILE_NAME, page.start, bytes(PAGE))
    (store / "gateway.damaged").touch()
    _, after = await reopened(store, before)
    assert before == after


@pytest.mark.parametrize(
    ("at", "garbage"),
    [
        (0, b"not SQLite format"),
        (16, b"\x00\x03"),
        (18, b"\x07\x07"),
        (28, b"\xff\xff\xff\xff"),
        (60, b"\x00\x00\x00\x00"),
        (60, b"\x00\x00\x01\x01"),
        (100, bytes(8)),
        (0, bytes(PAGE)),
        (0, b"\xff" * PAGE * 3),
    ],
)
async def test_a_damaged_head_of_the_file(store, at, garbage):
    """Whatever is wrong at the head of the file, the daemon starts and no number is given twice."""
    before = log_of(store)
    damage(store / FILE_NAME, at, garbage)
    salvaged, after = await reopened(store, before)
    assert all(before[seq] == row for seq, row in after.items())
    assert salvaged is None or salvaged.kept_as.exists()


@pytest.mark.parametrize("seed", range(30))
async def test_garbage_anywhere_never_stops_the_start(original, tmp_path, seed):
    """Random bytes on random pages: it starts, only rows of those pages may differ, and the accounts are right."""
    rng, store = random.Random(seed), tmp_path / "store"
    shutil.copytree(original, store)
    before = log_of(store)
    touched = rng.sample(pages(store / FILE_NAME), rng.randint(1, 4))
    for page in touched:
        start = page.start + rng.choice([0, 0, 8, rng.randrange(PAGE - 64)])
        damage(store / FILE_NAME, start, rng.randbytes(rng.choice([1, 2, 16, 64])))
    (store / "gateway.damaged").touch()
    async with opened(store) as outbox:
        after, head = log_of(store), outbox.head
        assert head >= max(after, default=0)
        assert head + 1 == (await outbox.append([event(EVENTS + 1)], NOON)).first_seq
        allowed = {rowid for page in touched for rowid in page.rowids}
        odd = {seq for seq, row in after.items() if before.get(seq) != row} - allowed
        assert odd == set() or any(page.kind != "leaf" for page in touched), touched
        for sink in ("strict", "live"):
            if _knows(store, sink):
                assert account(store, sink)[1] == account(store, sink)[2]
        assert [("ok",)] == rows(store, "PRAGMA integrity_check")


@pytest.mark.parametrize("seed", range(6))
async def test_garbage_that_is_found_while_running_ends_the_run(original, tmp_path, seed):
    """What a start did not see is found by whoever reads it: at worst the run ends as damaged, never otherwise."""
    rng, store = random.Random(seed + 1_000), tmp_path / "store"
    shutil.copytree(original, store)
    for page in rng.sample(pages(store / FILE_NAME), 4):
        damage(store / FILE_NAME, page.start + rng.choice([0, 8, 50]), rng.randbytes(8))
    try:
        running = await Running.start(store)
    except StoreDamaged:
        pytest.fail("a start never gives up")
    try:
        await fill(running.outbox, [event(number) for number in range(EVENTS)], at_once=20)
    except StoreDamaged:
        with pytest.raises(StoreDamaged):
            await running.writing
        await running.abandon()
        async with opened(store) as outbox:
            assert outbox.salvaged is not None
            await outbox.append([event(1)], NOON)
    else:
        await running.stop()


# The write-ahead log


@pytest.fixture(scope="module")
async def killed(tmp_path_factory):
    """What a kill leaves: most of the store in the WAL, one commit per event."""
    directory = tmp_path_factory.mktemp("killed")
    running = await Running.start(directory / "store")
    for number in range(60):
        await running.outbox.append([event(number)], NOON)
    left = after_crash(directory / "store", directory / "left")
    await running.abandon()
    return left


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("how", ["cut", "garbled"])
async def test_a_damaged_wal_gives_a_beginning_of_what_was_committed(killed, tmp_path, how, seed):
    """With the WAL cut or garbled anywhere the log holds the first commits, whole, and goes on behind them."""
    rng, store = random.Random(seed), tmp_path / "store"
    shutil.copytree(killed, store)
    wal = store / f"{FILE_NAME}-wal"
    size = wal.stat().st_size
    if how == "cut":
        with wal.open("r+b") as file:
            file.truncate(rng.randrange(size))
    else:
        damage(wal, rng.randrange(size - 16), rng.randbytes(16))
    async with opened(store) as outbox:
        left = sorted(log_of(store))
        assert list(range(1, len(left) + 1)) == left
        counted = sum(n for (n,) in rows(store, "SELECT amount FROM tallies WHERE measure = 'enters'"))
        assert sum(number % 9 for number in range(len(left))) == counted
        again = await outbox.append([event(n) for n in range(60)], NOON)
        assert (60 - len(left), len(left)) == (again.new, again.duplicates)
    assert [("ok",)] == rows(store, "PRAGMA integrity_check")


async def test_a_kill_alone_damages_nothing(killed, tmp_path):
    """After a kill the WAL is read back, everything is there, and no rescue is made."""
    shutil.copytree(killed, tmp_path / "store")
    async with opened(tmp_path / "store") as outbox:
        assert outbox.salvaged is None
        assert 60 == outbox.head == len(log_of(tmp_path / "store"))


# Files that are not what they should be


async def test_a_file_that_is_no_database_is_kept(tmp_path):
    """Any other file under the store's name is moved aside, byte for byte, and a new store begins."""
    (tmp_path / FILE_NAME).write_bytes(b"a shopping list" * 1000)
    async with opened(tmp_path) as outbox:
        assert b"a shopping list" * 1000 == outbox.salvaged.kept_as.read_bytes()
        assert (0, 0) == (outbox.salvaged.events, outbox.salvaged.lost)
        await outbox.append([event(1)], NOON)
        assert 1 == outbox.received
        # No trace of earlier numbers was left, so they begin where none can have been.
        assert 1_700_000_000_000 < outbox.head


async def test_an_empty_file_is_a_new_store(tmp_path):
    """A file of no bytes is what a crash at the very first start leaves; it is used."""
    (tmp_path / FILE_NAME).touch()
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged is None
        assert 1 == (await outbox.append([event(1)], NOON)).first_seq


@pytest.mark.parametrize("file", ["empty", "missing"])
async def test_a_wal_without_its_database_is_kept(killed, tmp_path, file):
    """When only the WAL is left SQLite would delete it; here it is moved aside for a person."""
    store = tmp_path / "store"
    shutil.copytree(killed, store)
    wal = (store / f"{FILE_NAME}-wal").read_bytes()
    (store / FILE_NAME).unlink()
    if file == "empty":
        (store / FILE_NAME).touch()
    async with opened(store) as outbox:
        kept = outbox.salvaged.kept_as
        assert wal == kept.with_name(f"{kept.name}-wal").read_bytes()
        await outbox.append([event(1)], NOON)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_file_that_was_cut_off(store, share):
    """With the end of the file missing, what the rest holds is there."""
    before = log_of(store)
    with (store / FILE_NAME).open("r+b") as file:
        file.truncate(int((store / FILE_NAME).stat().st_size * share))
    (store / "gateway.damaged").touch()
    salvaged, after = await reopened(store, before)
    assert all(before[seq] == row for seq, row in after.items())
    assert share < 0.9 or len(after) > EVENTS // 2
    assert salvaged.problem


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE letters",
        "DROP INDEX events_by_id",
        "ALTER TABLE events RENAME COLUMN body TO bodi",
        "ALTER TABLE sinks RENAME TO sink",
        "ALTER TABLE arrears DROP COLUMN last",
    ],
)
async def test_a_schema_that_is_not_ours_is_seen_at_the_start(store, statement):
    """A file that SQLite finds fine but that lacks something of ours is replaced by what fits."""
    with sqlite3.connect(store / FILE_NAME) as conn:
        conn.execute(statement)
    conn.close()
    async with opened(store) as outbox:
        assert outbox.salvaged is not None
        assert EVENTS == outbox.salvaged.events
        await outbox.append([event(EVENTS)], NOON)


async def test_the_damaged_file_is_kept_as_it_was(store):
    """Nothing is written to a damaged file: a person finds it as the disk left it."""
    damage(store / FILE_NAME, (root(store, "events") - 1) * PAGE, bytes(200))
    before = (store / FILE_NAME).read_bytes()
    async with opened(store) as outbox:
        assert before == outbox.salvaged.kept_as.read_bytes()


async def test_two_rescues_keep_two_files(store):
    """A second damage within the same second does not overwrite what was kept of the first."""
    for turn in range(2):
        (store / "gateway.damaged").touch()
        async with opened(store) as outbox:
            assert EVENTS == outbox.salvaged.events
            assert turn + 1 == len(
                [
                    kept
                    for kept in store.glob(f"{FILE_NAME}.damaged-*")
                    if kept.name[-4:] not in ("-wal", "-shm")
                ]
            )
            assert EVENTS == outbox.received
    async with opened(store) as outbox:
        assert outbox.salvaged is None
        assert EVENTS == outbox.received < outbox.head


# Interrupted rescues


async def test_a_rescue_that_was_interrupted_begins_again(store):
    """A half-written rescue beside the damaged file is thrown away, and the next start makes a whole one."""
    (store / "gateway.damaged").touch()
    (store / f"{FILE_NAME}.rescue").write_bytes(b"half")
    (store / f"{FILE_NAME}.rescue-journal").write_bytes(b"half")
    salvaged, after = await reopened(store, log_of(store))
    assert EVENTS == salvaged.events == len(after)


async def test_a_rescue_that_was_not_yet_in_its_place_is_used(store):
    """When the damaged file was moved away and the power went, the next start goes on with the finished rescue."""
    (store / FILE_NAME).rename(store / f"{FILE_NAME}.rescue")
    (store / f"{FILE_NAME}-wal").write_bytes(b"of the damaged file" * 100)
    async with opened(store) as outbox:
        assert EVENTS == outbox.head == outbox.received
        assert EVENTS == len(log_of(store))
        kept = next(store.glob(f"{FILE_NAME}.damaged-*-wal"))
        assert b"of the damaged file" * 100 == kept.read_bytes()


@pytest.mark.parametrize("step", range(1, 8))
async def test_a_power_cut_at_any_step_of_a_rescue_loses_nothing(store, monkeypatch, step):
    """Whichever file operation of a rescue was the last one, the next start has all events."""
    done = 0

    def counted(real):
        def call(*args, **rest):
            nonlocal done
            if done == step:
                raise KeyboardInterrupt
            done += 1
            return real(*args, **rest)

        return call

    (store / "gateway.damaged").write_text("a page was wrong")
    (store / f"{FILE_NAME}-wal").touch()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted(Path.rename))
        patched.setattr(Path, "unlink", counted(Path.unlink))
        patched.setattr(durable, "sync", counted(durable.sync))
        with contextlib.suppress(KeyboardInterrupt):
            opening.open_directory(store, 2**30).release()
    async with opened(store):
        assert list(range(1, EVENTS + 1)) == sorted(log_of(store))


# Damage that shows later


async def test_a_large_store_is_checked_beside_the_work(store, monkeypatch):
    """After an unclean stop a store that is too large for a check at the start is checked soon after it."""
    monkeypatch.setattr(opening, "CHECK_AT_START_BYTES", 0)
    leaves = [page for page in tree(store / FILE_NAME, root(store, "events")) if page.kind == "leaf"]
    damage(store / FILE_NAME, leaves[5].start, b"\xff" * 64)
    running = await Running.start(store)
    await running.outbox.write(lambda conn: conn.execute("INSERT INTO meta VALUES ('x', 'y')"))
    left = after_crash(store, store.with_name("left"))
    await running.abandon()
    running = await Running.start(left)
    assert running.outbox.unchecked
    assert running.outbox.salvaged is None
    await Housekeeper(running.outbox)._outbox.check_whole()
    with pytest.raises(StoreDamaged):
        await running.writing
    await running.abandon()
    async with opened(left) as outbox:
        assert outbox.salvaged.events == EVENTS - len(leaves[5].rowids)


async def test_a_fine_store_passes_the_later_check(store, monkeypatch):
    """A check beside the work that finds nothing changes nothing, and is made once."""
    async with opened(store) as outbox:
        outbox.unchecked = True
        await outbox.check_whole()
        assert not outbox.unchecked
        await outbox.append([event(EVENTS)], NOON)


async def test_a_page_that_breaks_while_running_leads_to_a_rescue(store):
    """A damaged leaf that a push runs into ends the writer; the next start has everything else."""
    running = await Running.start(store)
    leaves = tree(store / FILE_NAME, root(store, "events_by_id"))
    for page in leaves:
        damage(store / FILE_NAME, page.start, b"\xff" * PAGE)
    with pytest.raises(StoreDamaged):
        await fill(running.outbox, [event(number) for number in range(EVENTS)])
    with pytest.raises(StoreDamaged):
        await running.writing
    await running.abandon()
    async with opened(store) as outbox:
        assert EVENTS == outbox.salvaged.events
        assert 0 == outbox.salvaged.lost


async def test_a_rescue_opens_like_any_other_store(store):
    """After a rescue the settings that the promises rest on are in force."""
    (store / "gateway.damaged").touch()
    outbox = await Outbox.open(settings(store))
    assert "wal" == outbox._conn.execute("PRAGMA journal_mode").fetchone()[0]
    assert 2 == outbox._conn.execute("PRAGMA synchronous").fetchone()[0]
    outbox.release()
