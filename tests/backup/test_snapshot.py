"""The copy of a store that is written to meanwhile."""

import contextlib
import sqlite3

import pytest
from backed_up import Box
from keeping import FILE_NAME

from gateway.backup import snapshot
from gateway.errors import GatewayError

pytestmark = pytest.mark.anyio
_TALLY = "INSERT INTO tallies (device, day, measure, amount) VALUES (?, 'x', 'enters', 1)"


@pytest.fixture
async def box(tmp_path, monkeypatch):
    """A store of some dozens of pieces."""
    box = Box(tmp_path / "box")
    await box.receive(0, 60)
    monkeypatch.setattr(snapshot, "_PAGES", 2)
    return box


@contextlib.contextmanager
def writing(box):
    """Write between any two pieces, as the daemon does, and count how often nobody waited."""
    with contextlib.closing(sqlite3.connect(box.store / FILE_NAME, isolation_level=None, timeout=0)) as conn:
        done = []

        def write() -> None:
            conn.execute(_TALLY, (f"device-{len(done)}",))  # timeout 0: raises if anybody holds it up
            done.append(1)

        yield write, done


async def test_the_copy_is_of_one_moment_and_holds_no_writer_up(box, tmp_path):
    """What is committed while it is copied is not in it, no commit waits, and it is whole."""
    before = box.query("SELECT count(*) FROM tallies")
    fresh = tmp_path / "fresh"
    with writing(box) as (write, done):
        snapshot.copy(box.store, fresh, write)
    snapshot.settle(fresh)
    assert len(done) > 10
    assert len(done) == box.query("SELECT count(*) FROM tallies")[0][0] - before[0][0]
    with contextlib.closing(sqlite3.connect(fresh)) as conn:
        assert before == conn.execute("SELECT count(*) FROM tallies").fetchall()
        assert [("ok",)] == conn.execute("PRAGMA integrity_check").fetchall()


async def test_it_gives_up_before_the_wal_grows_beyond_its_bound(box, tmp_path, monkeypatch):
    """A copy that cannot keep up lets go, and the WAL can be cut again."""
    monkeypatch.setattr(snapshot, "_WAL_MOST", 20_000)
    with writing(box) as (write, done), pytest.raises(GatewayError, match="given up"):
        snapshot.copy(box.store, tmp_path / "fresh", write)
    assert done
    with contextlib.closing(sqlite3.connect(box.store / FILE_NAME, isolation_level=None)) as conn:
        assert 0 == conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
