"""One flipped bit in a text or a number, which SQLite does not see: it goes to nobody, is counted, and stops nothing."""

from datetime import timedelta

import pytest
from hand_clock import NOW, HandClock, in_use
from keeping import NOON, Running, access, account, alter, audited, count, fill, opened, rows, tallies

from gateway import clock
from gateway.outbox import Arrears, LogReader, StoreDamaged, erasing, retention, sums
from gateway.outbox.entry import Flag

pytestmark = pytest.mark.anyio
EVENTS, BAD = 30, 7
MINUTE = timedelta(minutes=1)
ADA = {"user_id": "ada-4711"}
FLIPS = {
    "count": "body = replace(body, '\"enters\":1', '\"enters\":9')",
    "name": "device = 'counter-c'",
    "id": "id = replace(id, 'counter-a', 'counter-c')",
    "kind": "kind = 'cound'",
    "revision": "revision = revision + 16",
    "number of the device": "device_seq = device_seq + 64",
    "time": "time = time + 4096",
    "receipt": "received = received - 4096",
    "flag": f"flags = flags | {Flag.LATE}",
    "sum": "crc = crc + 1",
    "personal": 'personal = \'{"name":"Eva"}\'',
}


async def stored(directory):
    async with opened(directory) as outbox:
        await outbox.sinks.enlist("sink", start="oldest", window=100)
        await fill(outbox, [count(minute, 1) for minute in range(EVENTS)])


async def ended(running, found):
    """End the run as the daemon does when somebody met damage."""
    running.outbox.damaged(found)
    with pytest.raises(StoreDamaged):
        await running.writing
    await running.abandon()


def whole(directory):
    return [sums.is_whole(row) for row in rows(directory, f"SELECT {sums.CHECKED_COLUMNS} FROM events")]


@pytest.mark.parametrize("what", FLIPS)
async def test_an_entry_with_a_flipped_bit_goes_to_nobody(tmp_path, what):
    """Whatever of an entry was changed by the disk, no sink gets it: the next start leaves it out, names it, counts it."""
    await stored(tmp_path)
    # The bit flips on the disk: the index goes on saying what it said.
    alter(tmp_path, f"UPDATE events SET {FLIPS[what]} WHERE seq = {BAD}")
    running = await Running.start(tmp_path)
    assert running.outbox.salvaged is None, "nobody sees it at the start"
    reader = LogReader(running.outbox.path)
    assert BAD - 1 == len(await reader.read(0, BAD - 1, 100))
    with pytest.raises(StoreDamaged, match=f"event {BAD} of counter-") as found:
        await reader.read(0, EVENTS, 100)
    reader.close()
    await ended(running, found.value)
    async with opened(tmp_path) as outbox:
        assert (EVENTS - 1, 1) == (outbox.salvaged.events, outbox.salvaged.lost)
        assert [True] == [name.startswith(f"event {BAD} of ") for name in outbox.salvaged.altered]
        reader = LogReader(outbox.path)
        assert {*range(1, EVENTS + 1)} - {BAD} == {entry.seq for entry in await reader.read(0, EVENTS, 100)}
        reader.close()
        assert 1 == account(tmp_path, "sink")[0].lost
        audited(tmp_path)


async def test_a_correction_takes_nothing_damaged_back(tmp_path):
    """A count that became another one is not taken out of the day when its device corrects it."""
    await stored(tmp_path)
    before = tallies(tmp_path)
    alter(tmp_path, f"UPDATE events SET {FLIPS['count']} WHERE seq = {BAD}")
    running = await Running.start(tmp_path)
    with pytest.raises(StoreDamaged, match=f"event {BAD} of counter-a"):
        await running.outbox.append([count(BAD - 1, 5, revision=10**13)], NOON)
    with pytest.raises(StoreDamaged):
        await running.writing
    await running.abandon()
    assert before == tallies(tmp_path)


async def test_every_lawful_change_of_an_entry_keeps_its_sum_true(tmp_path):
    """Corrections, what came behind, what was orphaned and what was erased: all of it is whole, and was changed."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(0, 1, revision=5), count(1, 1), access(0, personal=ADA), access(1)])
        await outbox.append([count(0, 2, revision=9), count(0, 3, revision=2)], NOON)
        person = erasing.Person(key=outbox.key, stated="ada-4711")
        found = erasing.find(outbox._conn, person, bytes)
        assert found.entries
        await outbox.rewriting.amend(
            lambda conn: erasing.erase(conn, person, found, bytes), lambda gone: gone.seqs
        )
        await outbox.write(lambda conn: retention._remove(conn, [5]))
        flags = [flags for (flags,) in rows(tmp_path, "SELECT flags FROM events")]
        changed = Flag.ERASED | Flag.SUPERSEDED | Flag.UNTALLIED
        assert changed == changed & (flags[0] | flags[-1] | flags[2] | flags[3]), flags
        assert {True} == set(whole(tmp_path))


async def test_an_erasure_does_not_vouch_for_damage(tmp_path):
    """What was damaged before a person was taken out of it gets no new sum."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [access(0, personal=ADA)])
        person = erasing.Person(key=outbox.key, stated="ada-4711")
        await outbox.write(lambda conn: conn.execute("UPDATE events SET time = time + 1"))
        found = erasing.find(outbox._conn, person, bytes)
        with pytest.raises(StoreDamaged):
            erasing.erase(outbox._conn, person, found, bytes)


async def test_an_entry_of_an_older_gateway_has_no_sum_and_goes_out(tmp_path):
    """A log that was written before there were sums is read as it is."""
    await stored(tmp_path)
    alter(tmp_path, "UPDATE events SET crc = NULL", "UPDATE sinks SET crc = NULL")
    async with opened(tmp_path) as outbox:
        reader = LogReader(outbox.path)
        assert EVENTS == len(await reader.read(0, EVENTS, 100))
        reader.close()
        again = await outbox.append([count(0, 1), count(99)], NOON)
        assert (1, 1) == (again.new, again.duplicates)


# The places of the sinks


@pytest.mark.parametrize(
    "flip",
    ["UPDATE sinks SET cursor = cursor + 16", "UPDATE arrears SET first = first + 4", "DELETE FROM arrears"],
)
async def test_a_place_that_jumped_loses_nothing(tmp_path, flip):
    """A cursor or a range that the disk has moved is not believed: the sink begins anew, and gets all there is."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        await fill(outbox, [count(minute, 1) for minute in range(EVENTS)])
        position.cursor, position.arrears = 10, [Arrears(2, 8)]
        position.settle(["counter-a"] * 4)
        await outbox.sinks.settle_now(position)
    alter(tmp_path, flip)
    running = await Running.start(tmp_path)
    with pytest.raises(StoreDamaged, match="place of sink sink") as found:
        await running.outbox.sinks.enlist("sink", start="now", window=100)
    await ended(running, found.value)
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged.places_lost
        position = await outbox.sinks.enlist("sink", start="now", window=100)
        assert (0, EVENTS) == (position.cursor, position.waiting(outbox.head))
        audited(tmp_path)


# How far back facts are gone


async def test_what_came_in_1970_does_not_count_again(tmp_path):
    """A fact that came before the box knew the time and has left the log is in no sum again when it is sent again."""
    with in_use(HandClock(NOW.replace(year=1970), synced=False)) as box:
        clock.anchor(None, believe=False)
        async with opened(tmp_path) as outbox:
            await outbox.append([count(0, 3, time=NOW)], clock.now())
            assert 3 == sum(tallies(tmp_path).values())
            box.set(NOW)
            await outbox.append([count(5, 1, time=NOW + MINUTE)], clock.now())
            await outbox.write(lambda conn: retention._remove(conn, [1]))
            outbox._book.read_pruned()
            await outbox.append([count(0, 3, time=NOW)], clock.now())
            assert 4 == sum(tallies(tmp_path).values())
