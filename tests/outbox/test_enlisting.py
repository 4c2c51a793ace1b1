"""A sink gets its place beside removals, and keeps nobody from removing for longer than it counts."""

import asyncio

import pytest
from keeping import account, audited, count, fill, opened

from gateway.outbox import reading, retention

pytestmark = pytest.mark.anyio
EVENTS = 400


def remove_one(conn, retained):
    return retention.remove_settled(conn, settled_up_to=retained.settled_up_to, limit=1)


async def test_a_new_sink_gets_its_place_under_steady_removals(tmp_path, monkeypatch):
    """However fast the log is emptied, the second count of what a sink is owed is not overtaken by a removal."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(minute) for minute in range(EVENTS)])
        loop, survey, surveys, removed = asyncio.get_running_loop(), reading.survey, [], []

        def overtaken(*of):
            found = survey(*of)
            surveys.append(found)
            assert len(surveys) < 5, "every count was overtaken"
            removing = asyncio.run_coroutine_threadsafe(outbox.rewriting.remove(remove_one), loop)
            removed.append(removing.result(20).rows)
            return found

        monkeypatch.setattr(reading, "survey", overtaken)
        position = await outbox.sinks.enlist("sink", start="oldest", window=10)
        assert [1, 0] == removed
        assert EVENTS - 1 == position.waiting(outbox.head)
        assert 0 == (await outbox.rewriting.remove(remove_one)).rows  # all of it is owed
        outbox.dismiss("sink")
        assert 1 == (await outbox.rewriting.remove(remove_one)).rows
    audited(tmp_path)
    assert EVENTS - 2 == account(tmp_path, "sink")[2]


async def test_a_count_that_fails_holds_up_no_removal(tmp_path, monkeypatch):
    """When a sink cannot count what it is owed, because the disk fails or it is ended, the log is emptied again."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(minute) for minute in range(EVENTS)])
        loop, survey, surveys = asyncio.get_running_loop(), reading.survey, []

        def fails_later(*of):
            surveys.append(of)
            if len(surveys) > 1:
                raise OSError("no disk")
            asyncio.run_coroutine_threadsafe(outbox.rewriting.remove(remove_one), loop).result(20)
            return survey(*of)

        monkeypatch.setattr(reading, "survey", fails_later)
        with pytest.raises(OSError, match="no disk"):
            await outbox.sinks.enlist("sink", start="oldest", window=10)
        assert 1 == (await outbox.rewriting.remove(remove_one)).rows
