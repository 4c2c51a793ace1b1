"""A start that is killed while it changes the tables leaves nothing that the next one takes for damage."""

from contextlib import closing

import pytest
from first_version import as_first_version
from keeping import FILE_NAME, NOON, count, opened, rows

from gateway.outbox import connection, salvage, schema

pytestmark = pytest.mark.anyio


async def a_store_of_the_first_version(directory):
    async with opened(directory) as outbox:
        await outbox.append([count(minute) for minute in range(10)], NOON)
    as_first_version(directory)


def killed_after_migrating(path):
    """Do what a start does with the tables, and nothing of what follows."""
    with closing(connection.open_writer(path, max_bytes=2**30)) as conn:
        schema.migrate(conn)


async def test_a_kill_after_the_index_was_made_anew_is_no_damage(tmp_path, monkeypatch):
    """The index of a store that was large is made anew at a later start, which is killed at once: nothing is salvaged."""
    await a_store_of_the_first_version(tmp_path)
    with monkeypatch.context() as large:
        large.setattr(schema, "_REBUILT_AT_ONCE", 0)
        async with opened(tmp_path):
            pass
    before = rows(tmp_path, "SELECT sql FROM sqlite_master WHERE name = 'events_by_id'")
    killed_after_migrating(tmp_path / FILE_NAME)
    assert before != rows(tmp_path, "SELECT sql FROM sqlite_master WHERE name = 'events_by_id'")
    assert None is salvage.check(tmp_path / FILE_NAME, whole=True)
    async with opened(tmp_path) as outbox:
        assert None is outbox.salvaged


async def test_a_kill_after_an_upgrade_is_no_damage(tmp_path):
    """A store that an earlier version signed is migrated by a start that is killed before it signs: nothing is salvaged."""
    await a_store_of_the_first_version(tmp_path)
    with closing(connection.open_writer(tmp_path / FILE_NAME, max_bytes=2**30)) as conn:
        schema.sign(conn)
    killed_after_migrating(tmp_path / FILE_NAME)
    assert None is salvage.check(tmp_path / FILE_NAME, whole=True)
    async with opened(tmp_path) as outbox:
        assert None is outbox.salvaged
