"""Damage that SQLite does not see: no text where text was, numbers that are none, a list of tables with a changed letter."""

import pytest
from file_pages import place_of_rowid
from keeping import FILE_NAME, NOON, Running, account, alter, audited, count, fill, opened, rows

from gateway.event import Device
from gateway.outbox import LogReader, StoreDamaged

pytestmark = pytest.mark.anyio
EVENTS = 30


async def stored(directory):
    async with opened(directory) as outbox:
        await outbox.sinks.enlist("sink", start="oldest", window=100)
        await fill(outbox, [count(minute) for minute in range(EVENTS)])


async def test_a_number_that_grew_hides_nothing_behind_it(tmp_path):
    """One bit makes number 20 a 52: the scan of the log ends there, and that is damage, not a hole of ten numbers."""
    await stored(tmp_path)
    file = tmp_path / FILE_NAME
    ((root,),) = rows(tmp_path, "SELECT rootpage FROM sqlite_master WHERE name = 'events'")
    content = bytearray(file.read_bytes())
    content[place_of_rowid(file, root, 20)] ^= 0x20
    file.write_bytes(content)
    reader = LogReader(file)
    try:
        assert 10 == len(await reader.read(0, EVENTS, 10))
        with pytest.raises(StoreDamaged):
            await reader.read(10, EVENTS, 100)
    finally:
        reader.close()


NO_TEXT = "UPDATE events SET body = CAST(x'7bff7d' AS TEXT) WHERE seq = 7"
NO_JSON = "UPDATE events SET body = '{\"data\":{' WHERE seq = 7"


async def test_a_forwarder_that_meets_no_text_has_the_store_saved(tmp_path):
    """A body that is no UTF-8 ends the run and holds up no sink for ever; the next start drops it and counts it."""
    await stored(tmp_path)
    alter(tmp_path, NO_TEXT)
    running = await Running.start(tmp_path)
    assert running.outbox.salvaged is None
    reader = LogReader(running.outbox.path)
    with pytest.raises(StoreDamaged) as found:
        await reader.read(0, EVENTS, 100)
    reader.close()
    running.outbox.damaged(found.value)
    with pytest.raises(StoreDamaged):
        await running.writing
    await running.abandon()
    async with opened(tmp_path) as outbox:
        assert (EVENTS - 1, 1) == (outbox.salvaged.events, outbox.salvaged.lost)
        assert 1 == account(tmp_path, "sink")[0].lost
        audited(tmp_path)


@pytest.mark.parametrize("damage", [NO_TEXT, NO_JSON])
async def test_a_push_that_meets_a_damaged_entry_has_the_store_saved(tmp_path, damage):
    """A device that repeats a fact whose entry cannot be read is not refused for ever: the store is saved, and takes it."""
    await stored(tmp_path)
    alter(tmp_path, damage)
    running = await Running.start(tmp_path)
    with pytest.raises(StoreDamaged):
        await running.outbox.append([count(6, 5)], NOON)
    with pytest.raises(StoreDamaged):
        await running.writing
    await running.abandon()
    async with opened(tmp_path) as outbox:
        assert 1 == outbox.salvaged.lost
        assert 1 == (await outbox.append([count(6, 5)], NOON)).new


@pytest.mark.parametrize("key", ["head", "skipped", "pseudonym_key"])
@pytest.mark.parametrize("value", ["'12x4'", "''", "'-5'", "CAST(x'31ff' AS TEXT)"])
async def test_what_the_store_remembers_of_itself_may_be_damaged(tmp_path, key, value):
    """A number in `meta` that is none, or a key that is none, does not stop the start; every event is there."""
    await stored(tmp_path)
    alter(tmp_path, f"INSERT OR REPLACE INTO meta VALUES ('{key}', {value})")
    async with opened(tmp_path) as outbox:
        assert EVENTS == outbox.salvaged.events
        assert EVENTS < (await outbox.append([count(EVENTS)], NOON)).first_seq
        assert EVENTS + 1 == outbox.received
        assert 32 == len(outbox.key)
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged is None


async def test_a_letter_changed_in_the_list_of_tables_is_seen(tmp_path):
    """Another letter in the name of a column, which SQLite takes for the same, makes a fresh store of what can be read."""
    await stored(tmp_path)
    alter(
        tmp_path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = replace(sql, 'serial', 'seRial') WHERE name = 'devices'",
    )
    async with opened(tmp_path) as outbox:
        assert EVENTS == outbox.salvaged.events
        assert 1 == (await outbox.append([count(EVENTS)], NOON)).new


async def test_a_table_of_a_person_is_nobodys_damage(tmp_path):
    """What somebody added with a shell is left alone, and no rescue is made for it."""
    await stored(tmp_path)
    alter(tmp_path, "CREATE TABLE notes (a)", "CREATE INDEX mine ON events (kind)")
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged is None
    assert [("notes",)] == rows(tmp_path, "SELECT name FROM sqlite_master WHERE name = 'notes'")


async def test_a_page_of_the_book_that_the_start_reads_is_found(tmp_path):
    """Damage that only the reading of the book meets, after a clean stop, does not keep the gateway from starting."""
    async with opened(tmp_path) as outbox:
        devices = [Device(id=f"counter-{n}", source="people_counter", label="x" * 200) for n in range(60)]
        await fill(outbox, [count(0, device=device) for device in devices])
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    at = content.rindex(b"counter-59people_counter")
    size = int.from_bytes(content[16:18], "big")
    with path.open("r+b") as file:
        file.seek(at // size * size)
        file.write(bytes(size))
    async with opened(tmp_path) as outbox:
        assert 60 == outbox.salvaged.events
