"""What is on disk is forwarded, also when something behind the commit fails."""

import asyncio
import contextlib
import sqlite3

import pytest
from keeping import NOON, count, opened, rows, settings

from gateway.outbox import Outbox
from gateway.outbox.entry import Entry
from gateway.outbox.tail import Tail

pytestmark = pytest.mark.anyio


def entry(seq: int) -> Entry:
    return Entry(seq, f"e{seq}", 0, "count", "counter-a", seq, 0, 0, 0, "{}", None)


async def write_on(outbox: Outbox) -> None:
    """Run the writer once more when it has died, as the daemon does."""
    with contextlib.suppress(sqlite3.OperationalError):
        await outbox.run()
    await outbox.run()


@pytest.mark.parametrize("step", ["desk.committed", "room.look_again"])
async def test_what_fails_behind_a_commit_hides_no_event(tmp_path, monkeypatch, step):
    """A read error behind the commit: the events that were answered are found, by those that follow, at once."""
    async with opened(tmp_path) as first:
        await first.append([count(0)], NOON)
    outbox = await Outbox.open(settings(tmp_path))
    writing = asyncio.create_task(write_on(outbox))
    part, name = step.split(".")
    whole, wakes = getattr(getattr(outbox, part), name), []

    def once() -> None:
        monkeypatch.setattr(getattr(outbox, part), name, whole)
        raise sqlite3.OperationalError("disk I/O error")

    outbox.follow(lambda: wakes.append(outbox.head))
    monkeypatch.setattr(getattr(outbox, part), name, once)
    assert 2 == (await outbox.append([count(1), count(2)], NOON)).new
    assert (3, [3]) == (outbox.head, wakes)
    await outbox.append([count(3)], NOON)
    assert [2, 3, 4] == [one.seq for one in outbox.recent(1, 10) or ()]
    await outbox.close()
    await writing
    outbox.release()
    assert [(1,), (2,), (3,), (4,)] == rows(tmp_path, "SELECT seq FROM events")


def test_a_tail_with_a_hole_begins_anew():
    """A place is found by counting, so what lies before a missing number is forgotten and read from the disk."""
    tail = Tail()
    tail.add(entry(seq) for seq in (1, 2, 5, 6))
    assert tail.after(1, 10) is None
    assert [5, 6] == [one.seq for one in tail.after(4, 10) or ()]
    tail.forget(6)
    assert 0 == tail._bytes
