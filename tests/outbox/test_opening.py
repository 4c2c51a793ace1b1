"""The store's directory: who may use it, and what is said when it cannot be used."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from keeping import NOON, count, opened, rows, settings

from gateway.errors import StoreUnavailable
from gateway.outbox import Outbox, connection, reading
from gateway.outbox.connection import FILE_NAME

pytestmark = pytest.mark.anyio


PRAGMAS = {"synchronous": 2, "journal_mode": "wal", "mmap_size": 0, "max_page_count": 0, "page_size": 1024}


def files(directory):
    return {path.name for path in directory.iterdir()}


async def test_the_settings_of_the_promise_are_in_force(tmp_path):
    """The writing connection syncs every commit, uses a WAL, no mapping, and has its size bounded."""
    async with opened(tmp_path, max_bytes=50 * 2**20) as outbox:
        ask = {name: outbox._conn.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    assert {**PRAGMAS, "max_page_count": 51_200} == ask


async def test_a_second_gateway_is_told_that_there_is_a_first(tmp_path):
    """A store that is in use cannot be opened again, in this process or in another one, until it is let go."""
    async with opened(tmp_path):
        with pytest.raises(StoreUnavailable, match="Another gateway already uses"):
            await Outbox.open(settings(tmp_path))
        script = (
            "import asyncio, sys; from pathlib import Path; from gateway.outbox import *\n"
            "try: asyncio.run(Outbox.open(Settings(directory=Path(sys.argv[1]), drafting=Drafting())))\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        other = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert other.stdout.startswith("StoreUnavailable Another gateway already uses")
    async with opened(tmp_path):
        pass


async def test_a_failed_start_lets_go_of_the_lock(tmp_path):
    """After a start that could not open the store the next one is not refused by its lock."""
    (tmp_path / FILE_NAME).mkdir()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be opened"):
            await Outbox.open(settings(tmp_path))
    (tmp_path / FILE_NAME).rmdir()
    async with opened(tmp_path):
        pass


async def test_a_file_in_the_place_of_the_directory_is_said(tmp_path):
    """A store path that names a file is refused with the path and what to check."""
    (tmp_path / "store").write_text("x")
    with pytest.raises(StoreUnavailable, match=r"store.*cannot be used.*store\.path"):
        await Outbox.open(settings(tmp_path / "store"))


async def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    """A read-only store is refused with a sentence, and nothing of it is moved aside."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a file system cannot be mounted here: {made.stderr.strip()}")
    try:
        async with opened(place):
            pass
        names = files(place)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(StoreUnavailable, match="cannot be used"):
            await Outbox.open(settings(place))
        assert names == files(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("name", ["with space", "50%25", "what?mode=rw", "a#b", "größe"])
async def test_a_path_may_hold_what_means_something_in_an_address(tmp_path, name):
    """Odd characters in the store's path change neither where it is nor how it is read."""
    async with opened(tmp_path / name) as outbox:
        await outbox.append([count(0)], NOON)
        with reading.looking(tmp_path / name) as conn:
            assert 1 == reading.head(conn)
    assert [tmp_path / name] == list(tmp_path.iterdir())
    assert [(1,)] == rows(tmp_path / name, "SELECT seq FROM events")


async def test_a_reader_cannot_write(tmp_path):
    """What commands and pages read with refuses every change."""
    async with opened(tmp_path) as outbox:
        conn = connection.open_reader(outbox.path)
        with pytest.raises(Exception, match="readonly"):
            conn.execute("DELETE FROM meta")
        conn.close()


async def test_the_key_of_pseudonyms_stays(tmp_path):
    """The key is made once and is the same after a restart."""
    keys = []
    for _ in range(2):
        async with opened(tmp_path):
            with reading.looking(tmp_path) as conn:
                keys.append(reading.meta(conn, "pseudonym_key"))
    assert keys[0] == keys[1]
    assert 64 == len(keys[0])


async def test_a_clean_stop_leaves_one_file_and_no_check(tmp_path, monkeypatch):
    """After a stop in good order the WAL is folded back, and the next start looks at no page more than it must."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0)], NOON)
    assert {FILE_NAME, "gateway.lock"} == files(tmp_path)
    looked = []
    real = connection.open_reader
    monkeypatch.setattr(connection, "open_reader", lambda path, **how: _spying(real(path, **how), looked))
    async with opened(tmp_path):
        pass
    assert not [sql for sql in looked if "quick_check" in sql]


async def test_a_look_from_outside_is_no_unclean_stop(tmp_path, monkeypatch):
    """A command that reads the store while the daemon is down does not make the next start check every page."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0)], NOON)
    with reading.looking(tmp_path) as conn:
        assert 1 == reading.head(conn)
    looked = []
    real = connection.open_reader
    monkeypatch.setattr(connection, "open_reader", lambda path, **how: _spying(real(path, **how), looked))
    async with opened(tmp_path):
        pass
    assert not [sql for sql in looked if "quick_check" in sql]


def _spying(conn, looked):
    conn.set_trace_callback(looked.append)
    return conn


async def test_a_store_that_never_was_is_said(tmp_path):
    """Looking into a directory without a store says so instead of making one."""
    with pytest.raises(StoreUnavailable, match="has not run here yet"), reading.looking(tmp_path):
        pass
    assert set() == files(tmp_path)


@pytest.mark.parametrize("readable", [True, False])
async def test_a_new_directory_is_on_disk_with_its_own_entry(tmp_path, monkeypatch, readable):
    """A store's directory that the gateway makes is synced in its parent; one that may not be read stops no start."""
    synced, fsync, open_ = [], os.fsync, os.open

    def seen(handle):
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def refused(path, flags, *rest, **more):
        if not readable and str(path) == str(tmp_path):
            raise PermissionError(13, "Permission denied")
        return open_(path, flags, *rest, **more)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "open", refused)
    async with opened(tmp_path / "var" / "store"):
        assert [True] * 2 == [str(tmp_path / place) in synced for place in ("var", "var/store")]
        assert readable == (str(tmp_path) in synced)
