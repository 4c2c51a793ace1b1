"""The file that is given back on a full disk: made where there is room, emptied when there is none, made again."""

import os
import tempfile
from pathlib import Path

import pytest
from keeping import Running, count, settings

from gateway import clock
from gateway.errors import StoreFull
from gateway.outbox import BallastKeeper, ballast, salvage
from gateway.outbox import disk as disk_room
from gateway.outbox.ballast import NAME

pytestmark = pytest.mark.anyio
MIB = 2**20
SIZE = 4 * MIB


class Disk:
    """What the file system says is free, as a test wants it."""

    def __init__(self, monkeypatch):
        self.free = 10**9
        monkeypatch.setattr(disk_room, "free", lambda _directory: self.free)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
async def kept(tmp_path):
    running = await Running.start(tmp_path, ballast_bytes=SIZE)
    yield BallastKeeper(running.outbox), running.outbox
    await running.stop()


async def test_it_takes_up_what_it_says(kept, tmp_path):
    """A ballast is of the size that was asked for, in blocks of the disk and not only by its length."""
    keeper, _ = kept
    keeper.look()
    made = (tmp_path / NAME).stat()
    assert made.st_size == SIZE
    assert made.st_blocks * 512 >= SIZE
    assert (SIZE, False, None) == (keeper.held, keeper.given_back, keeper.missing)


def test_in_memory_too():
    """On a tmpfs the file takes up what it says, and emptied it takes up nothing."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        pytest.skip("there is no tmpfs to write to")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        ballast.make(Path(folder), SIZE)
        assert SIZE == ballast.held(Path(folder))
        assert SIZE == ballast.give_back(Path(folder))
        assert 0 == (Path(folder) / NAME).stat().st_blocks
        assert ballast.is_given_back(Path(folder))


async def test_given_back_on_a_full_disk_and_made_again_with_room(kept, disk, tmp_path):
    """It goes at an eighth of itself, comes back with three of itself beside the reserve, and between nothing moves."""
    keeper, _ = kept
    keeper.look()
    disk.free = SIZE // 8
    keeper.look()
    assert SIZE == keeper.held
    disk.free = SIZE // 8 - 1
    keeper.look()
    assert (0, True) == (keeper.held, keeper.given_back)
    for disk.free in (SIZE, 2 * SIZE, 3 * SIZE - 1):
        keeper.look()
        assert (0, True, None) == (keeper.held, keeper.given_back, keeper.missing)
    disk.free = 3 * SIZE
    keeper.look()
    assert (SIZE, False) == (keeper.held, keeper.given_back)
    assert 0 < (tmp_path / NAME).stat().st_blocks


async def test_events_do_not_eat_what_was_given_back(tmp_path, disk):
    """While the ballast is given back events are refused though min_free_bytes is 0, until two ballasts are free."""
    (tmp_path / NAME).touch()
    running = await Running.start(tmp_path, ballast_bytes=2**50)
    try:
        assert running.outbox.room.look().disk_short
        assert running.outbox.room.look().ballast_given_back
        with pytest.raises(StoreFull, match="nearly full"):
            await running.outbox.append([count(1)], clock.now())
        running.outbox.settings = settings(tmp_path, ballast_bytes=SIZE)
        assert not running.outbox.room.look().disk_short
        await running.outbox.append([count(1)], clock.now())
    finally:
        await running.stop()


async def test_too_little_room_is_said_and_all_runs_on(kept, disk, tmp_path):
    """On a disk that never had room for one there is none, the reason is said with both figures, and events are taken."""
    keeper, outbox = kept
    disk.free = 3 * SIZE - MIB
    keeper.look()
    assert "the disk has 11 MiB free, and 12 MiB are needed" == keeper.missing
    assert not (tmp_path / NAME).exists()
    assert not outbox.room.look().ballast_given_back
    await outbox.append([count(1)], clock.now())
    disk.free = 3 * SIZE
    keeper.look()
    assert (SIZE, None) == (keeper.held, keeper.missing)


@pytest.mark.parametrize("how", ["refused", "sparse"])
async def test_a_file_system_that_sets_nothing_aside(kept, monkeypatch, tmp_path, how):
    """Where room cannot be set aside bytes are written; where that fails too it is said, and nothing is left behind."""
    keeper, _ = kept
    if how == "sparse":  # it says yes and does nothing, as compressing file systems do
        monkeypatch.setattr(os, "posix_fallocate", lambda handle, _start, size: os.ftruncate(handle, size))
        keeper.look()
        assert SIZE == keeper.held
        assert 255 == max((tmp_path / NAME).read_bytes())  # nothing that could be made smaller
        return

    def refused(_handle, _start, _size):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refused)
    keeper.look()
    assert "Operation not supported" == keeper.missing
    assert not (tmp_path / NAME).exists()


async def test_another_size_and_none(kept, tmp_path):
    """Another size is taken over in both directions, and 0 takes the file away."""
    keeper, outbox = kept
    for size in (SIZE, 3 * SIZE, SIZE, 2 * SIZE, 0):
        outbox.settings = settings(tmp_path, ballast_bytes=size)
        keeper.look()
        assert size == keeper.held
    assert not (tmp_path / NAME).exists()


async def test_a_start_on_a_full_disk_takes_the_ballast(tmp_path, disk):
    """A store that could not be opened for want of room is opened with the ballast's; with room it stays."""
    ballast.make(tmp_path, SIZE)
    await (await Running.start(tmp_path, ballast_bytes=SIZE)).stop()
    assert SIZE == ballast.held(tmp_path)
    disk.free = 4096
    await (await Running.start(tmp_path, ballast_bytes=SIZE)).stop()
    assert ballast.is_given_back(tmp_path)


async def test_a_rescue_leaves_it_alone(tmp_path):
    """A damaged store is set aside and rescued beside the ballast, which is neither moved nor taken for a store."""
    running = await Running.start(tmp_path, ballast_bytes=SIZE)
    await running.outbox.append([count(1)], clock.now())
    await running.stop()
    ballast.make(tmp_path, SIZE)
    before = (tmp_path / NAME).stat()
    with (tmp_path / "gateway.db").open("r+b") as store:
        store.write(b"this is no database")
    running = await Running.start(tmp_path, ballast_bytes=SIZE)
    await running.stop()
    assert running.outbox.salvaged
    after = (tmp_path / NAME).stat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    assert NAME not in {one.name for one in salvage.kept_beside(tmp_path)}
