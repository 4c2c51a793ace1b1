"""Kills and power cuts: what was acknowledged is there, and everything that belongs together is together."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import powercut
import pytest
from child import event_of
from keeping import NOON, account, audited, opened, rows

from gateway.outbox.connection import FILE_NAME

pytestmark = pytest.mark.anyio
HERE = Path(__file__).parent
EVENTS = int(os.environ.get("CRASH_EVENTS", "150"))
CUTS = int(os.environ.get("CRASH_CUTS", "240"))
KILLS = int(os.environ.get("CRASH_KILLS", "6"))


def child(directory, *how, env=None):
    """Start a process that keeps events below the directory."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    return subprocess.Popen(
        [sys.executable, str(HERE / "child.py"), str(directory), str(EVENTS), *how],
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
    )


def lost(directory, acknowledged):
    """Give what was acknowledged and is neither in the log nor settled, and hold the store to its own sums."""
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as conn:
        if conn.execute("PRAGMA integrity_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("not intact")
        kept = {(id_, revision) for id_, revision in conn.execute("SELECT id, revision FROM events")}
        (counted,) = conn.execute(
            "SELECT coalesce(sum(amount), 0) FROM tallies WHERE measure = 'enters'"
        ).fetchone()
        (accepted,) = conn.execute("SELECT coalesce(sum(events), 0) FROM devices").fetchone()
        place = conn.execute("SELECT cursor, delivered FROM sinks").fetchone()
        (newest,) = conn.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    # Each event and each correction added one to its day; each took one number.
    assert accepted == counted
    cursor, delivered = place or (0, 0)
    assert cursor == delivered <= accepted
    assert newest == accepted or newest < cursor
    if place is not None:
        audited(directory)
    return [
        number
        for number, seq in acknowledged.items()
        if seq > cursor and _key(event_of(number % EVENTS, revision=number // EVENTS)) not in kept
    ]


def _key(event):
    return event.id, event.revision


# Kills


def test_a_kill_at_any_moment_loses_nothing_acknowledged(tmp_path):
    """A process that is killed again and again in the middle of its work keeps everything it answered for."""
    rng = random.Random(7)
    for turn in range(KILLS):
        directory = tmp_path / f"turn{turn}"
        directory.mkdir()
        process = child(directory)
        ack = directory / "ack"
        deadline = time.monotonic() + 20
        while not (ack.exists() and ack.stat().st_size >= 16 * rng.randrange(1, EVENTS)):
            if process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(rng.random() / 50)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = ack.read_bytes()
        whole = content[: len(content) // 16 * 16]
        assert [] == lost(directory, dict(struct.iter_unpack("<QQ", whole)))


async def test_work_goes_on_after_a_kill(tmp_path):
    """The store of a killed process opens at once, without a rescue, and recognises everything it had."""
    process = child(tmp_path)
    ack = tmp_path / "ack"
    while not (ack.exists() and ack.stat().st_size >= 16 * 60):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged is None
        head = outbox.head
        in_log = {row[0] for row in rows(tmp_path, "SELECT id FROM events WHERE revision = 0")}
        again = [event_of(number) for number in range(60) if event_of(number).id in in_log]
        assert len(again) == (await outbox.append(again, NOON)).duplicates
        assert head == outbox.head
        _, waiting, counted = account(tmp_path, "sink")
        assert waiting == counted


# Power cuts


@pytest.fixture(scope="module")
def recorder(tmp_path_factory):
    """The compiled recorder."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: the recorder of disk operations cannot be built")
    library = tmp_path_factory.mktemp("recorder") / "recorder.so"
    build = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "recorder.c"), "-ldl"]
    subprocess.run(build, check=True)
    return library


def recorded(recorder, directory, *how):
    """Let a child live its whole life and give all that it asked of its disk."""
    watched, log = directory / "watched", directory / "log"
    watched.mkdir()
    env = {"LD_PRELOAD": str(recorder), "RECORD_DIR": str(watched), "RECORD_LOG": str(log)}
    assert 0 == child(watched, *how, env=env).wait(120)
    return powercut.read(log)


def cut_everywhere(records, directory):
    """Cut the power at random places; count the cuts that lost something, and those that broke the file."""
    rng = random.Random(11)
    losing = broken = most = 0
    for number in range(CUTS):
        place = rng.randrange(len(records) + 1)
        survival = ("none", "some", "torn")[number % 3]
        disk = directory / f"cut{number}"
        disk.mkdir()
        for path, content in powercut.after_cut(records[:place], survival, rng).items():
            (disk / Path(path).name).write_bytes(content)
        acknowledged = powercut.acknowledged(records[:place])
        most = max(most, len(acknowledged))
        try:
            losing += bool(lost(disk, acknowledged))
        except (sqlite3.DatabaseError, AssertionError):
            broken += bool(acknowledged)  # before the first answer nothing was promised
        shutil.rmtree(disk)
    assert most > EVENTS // 2, "hardly anything was acknowledged: the rig proves nothing"
    return losing, broken


def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(recorder, tmp_path):
    """After hundreds of cuts, with what was not synced gone, reordered or torn, every answered event is there."""
    records = recorded(recorder, tmp_path)
    assert 20 < sum(record.kind in "sd" for record in records)
    assert (0, 0) == cut_everywhere(records, tmp_path)


@pytest.mark.parametrize("sync", ["NORMAL", "OFF"])
def test_with_fewer_syncs_the_same_cuts_lose_events(recorder, tmp_path, sync):
    """The control: a store that syncs less loses acknowledged events under the same cuts, so they would show."""
    losing, broken = cut_everywhere(recorded(recorder, tmp_path, sync), tmp_path)
    assert losing + broken > CUTS // 3
    assert (losing if sync == "NORMAL" else broken) > CUTS // 10


async def test_a_store_opens_after_any_power_cut(recorder, tmp_path):
    """The daemon's own start finds nothing to salvage after a cut, and goes on behind the last number."""
    records = recorded(recorder, tmp_path)
    rng = random.Random(3)
    for number in range(20):
        place = rng.randrange(len(records) // 3, len(records) + 1)
        disk = tmp_path / f"open{number}"
        disk.mkdir()
        for path, content in powercut.after_cut(
            records[:place], ("none", "some", "torn")[number % 3], rng
        ).items():
            (disk / Path(path).name).write_bytes(content)
        async with opened(disk) as outbox:
            assert outbox.salvaged is None
            head = outbox.head
            assert head + 1 == (await outbox.append([event_of(EVENTS + 1)], NOON)).first_seq
            _, waiting, counted = account(disk, "sink")
            assert waiting == counted
