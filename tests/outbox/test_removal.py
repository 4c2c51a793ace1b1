"""Nothing about a person is left in the file of the store once the row has gone, whatever way it went."""

import contextlib
import random
import sqlite3

import pytest
from keeping import MINUTE, NOON, access, count, heartbeat, opened

from gateway.outbox import erasing, retention
from gateway.outbox.connection import FILE_NAME

pytestmark = pytest.mark.anyio
PERSONS = 240


def name_of(number):
    return f"Ada Canary{number:05}"


def record(number, **more):
    """A record whose row is short, fills a page, or reaches over several."""
    personal = {
        "user_id": f"ada-{number}",
        "name": name_of(number),
        "note": "n" * (0, 50, 300, 1500)[number % 4],
    }
    return access(number, time=NOON + number * MINUTE, personal=personal, **more)


def mixed():
    """One record a minute, with counts and heartbeats before and behind it, in pushes of a minute."""
    rng = random.Random(4)
    for number in range(PERSONS):
        first = 5 * number
        around = [
            (count if rng.random() < 0.7 else heartbeat)(first + turn) for turn in range(rng.randint(1, 4))
        ]
        push = [record(number), *around]
        rng.shuffle(push)
        yield number, push


async def fill_with_people(outbox):
    waiting = []
    for number, push in mixed():
        waiting += push
        if number % 20 == 19:
            await outbox.append(waiting, NOON + number * MINUTE)
            waiting = []


def left_behind(directory):
    """Give the persons of whom something is in the file or its WAL, although no row names them."""
    path = directory / FILE_NAME
    with contextlib.closing(sqlite3.connect(path)) as conn:
        assert (0, 0, 0) == conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        alive = "".join(
            row[0] for row in conn.execute("SELECT personal FROM events WHERE personal IS NOT NULL")
        )
        assert "n" in alive or not alive
    raw = path.read_bytes() + path.with_name(f"{FILE_NAME}-wal").read_bytes()
    readable = {number for number in range(PERSONS) if name_of(number).encode() in raw}
    stated = {number for number in range(PERSONS) if name_of(number) in alive}
    assert stated <= readable
    return readable - stated, stated


async def remove_all(outbox, directory, step):
    """Remove step by step to the end; between the steps, look some times."""
    turns = rounds = 0
    while (await outbox._writer.submit(step)).rows:
        turns += 1
        if turns % max(1, 60 // 4) == 0:
            rounds += 1
            assert set() == left_behind(directory)[0], f"after {turns} steps"
    assert (set(), set()) == left_behind(directory)
    return turns


@pytest.mark.parametrize("limit", [19, 2_000])
async def test_age_leaves_nothing_of_a_person(tmp_path, limit):
    """Records that leave by age among counts, in small steps and in one, are in no page of the file."""
    async with opened(tmp_path) as outbox:
        await fill_with_people(outbox)
        late = int((NOON + 10_000 * MINUTE).timestamp() * 1000)

        def old(conn):
            return retention.remove_old(
                conn, settled_up_to=10**9, received_before=late, now=late, limit=limit
            )

        assert (await remove_all(outbox, tmp_path, old)) >= PERSONS // limit


@pytest.mark.parametrize("limit", [19, 2_000])
async def test_pressure_leaves_nothing_of_a_person(tmp_path, limit):
    """Heartbeats that leave first, and then records with counts, leave no copy of a record that moved meanwhile."""
    async with opened(tmp_path) as outbox:
        await fill_with_people(outbox)
        await remove_all(
            outbox, tmp_path, lambda conn: retention.remove_settled(conn, settled_up_to=10**9, limit=limit)
        )


@pytest.mark.parametrize("limit", [19, 2_000])
async def test_what_is_given_up_leaves_nothing_of_a_person(tmp_path, limit):
    """Records that are dropped although a sink is owed them are in no page of the file."""
    async with opened(tmp_path) as outbox:
        await outbox.sinks.enlist("sink", start="oldest", window=5)
        await fill_with_people(outbox)
        await remove_all(outbox, tmp_path, lambda conn: retention.remove_owed(conn, keep=[], limit=limit))


async def test_counts_that_leave_alone_leave_no_copy_of_a_person_who_is_erased_later(tmp_path):
    """When only counts went, and then each person is erased, none is left, and the file was not written anew."""
    async with opened(tmp_path) as outbox:
        await fill_with_people(outbox)

        def counts_only(conn):
            rows = conn.execute("SELECT seq FROM events WHERE personal IS NULL ORDER BY seq LIMIT 19")
            return retention._remove(conn, [row[0] for row in rows])

        while (await outbox._writer.submit(counts_only)).rows:
            pass
        assert PERSONS == len(left_behind(tmp_path)[1])
        for number in range(PERSONS):
            person = erasing.Person(key=b"k", stated=f"ada-{number}")
            await outbox.rewriting.amend(
                lambda conn, person=person: erasing.erase(
                    conn, person, erasing.find(conn, person, bytes), bytes
                ),
                lambda gone: gone.seqs,
            )
        assert (set(), set()) == left_behind(tmp_path)


async def test_a_record_in_the_name_of_a_counter_leaves_nothing_either(tmp_path):
    """Where the book knows people counters only, a row that is about a person is written over all the same."""
    async with opened(tmp_path) as outbox:
        for start in range(0, PERSONS, 40):
            await outbox.append([record(n, device=count().device) for n in range(start, start + 40)], NOON)
        await remove_all(
            outbox, tmp_path, lambda conn: retention.remove_settled(conn, settled_up_to=10**9, limit=500)
        )


async def test_the_setting_is_on_again_after_every_removal(tmp_path):
    """Where counts alone were removed, the next row that is deleted is written over."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(minute) for minute in range(20)], NOON)
        removed = await outbox._writer.submit(
            lambda conn: retention.remove_settled(conn, settled_up_to=10**9)
        )
        assert 20 == removed.rows
        assert 1 == await outbox._writer.submit(
            lambda conn: conn.execute("PRAGMA secure_delete").fetchone()[0]
        )
