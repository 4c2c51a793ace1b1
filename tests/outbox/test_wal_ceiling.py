"""The write-ahead log has a ceiling: under load with readers beside it, and after one that held it open for long."""

import sqlite3

import pytest
from keeping import Running, count

from gateway import clock
from gateway.outbox import connection
from gateway.outbox.connection import FILE_NAME
from gateway.outbox.reading import looking

pytestmark = pytest.mark.anyio
MIB = 2**20


def size(directory) -> int:
    return (directory / f"{FILE_NAME}-wal").stat().st_size


async def append(outbox, first: int, number: int) -> int:
    """Append so many events, each in a commit of its own; give the largest size of the log seen."""
    largest = 0
    for one in range(first, first + number):
        await outbox.append([count(one)], clock.now())
        largest = max(largest, size(outbox.settings.directory))
    return largest


async def test_it_is_folded_back_while_events_come(tmp_path):
    """With readers that come and go between commits the log stays near the four megabytes at which it is folded back."""
    running = await Running.start(tmp_path)
    try:
        largest = 0
        for first in range(0, 1500, 100):
            largest = max(largest, await append(running.outbox, first, 100))
            with looking(tmp_path) as conn:
                conn.execute("SELECT count(*) FROM events").fetchone()
        assert 3 * MIB < largest < 6 * MIB
    finally:
        await running.stop()


async def test_it_is_cut_after_a_reader_that_held_it(tmp_path, monkeypatch):
    """Somebody who reads for long lets it grow; the next time that it begins anew it is cut back to its limit."""
    monkeypatch.setattr(connection, "_CHECKPOINT_BYTES", 256 * 1024)
    monkeypatch.setattr(connection, "_WAL_LIMIT_BYTES", MIB)
    running = await Running.start(tmp_path)
    try:
        await append(running.outbox, 0, 20)
        reader = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        held = await append(running.outbox, 1000, 400)
        assert held > 3 * MIB
        reader.execute("ROLLBACK")
        reader.close()
        await append(running.outbox, 2000, 60)
        assert size(tmp_path) <= MIB
    finally:
        await running.stop()
