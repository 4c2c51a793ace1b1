"""Power cuts of a backup and of a restore: at every place, the former one or the new one is there, and is whole."""

import asyncio
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import powercut
import pytest
from backed_up import Box
from keeping import opened
from killing import chance
from powercut import Record

from gateway.errors import GatewayError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_UNSYNCED = str(Path(__file__).with_name("unsynced_gateway.py"))
_OLD, _NEW = 27, 20  # events


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The compiled recorder."""
    return powercut.build(tmp_path_factory.mktemp("recorder"))


def files(directory):
    found = (file for file in directory.rglob("*") if file.is_file())
    return {str(file): file.read_bytes() for file in found if not file.name.endswith("-shm")}


def recorded(library, watched, log, program, *words):
    """Run a command to its good end; give how many records lay there before, all synced, and all with what it did."""
    before = [
        record
        for path, content in files(watched).items()
        for record in (Record("c", path, 0, b""), Record("w", path, 0, content), Record("s", path, 0, b""))
    ]
    before += [Record("s", str(place), 0, b"") for place in (watched, *watched.rglob("*")) if place.is_dir()]
    done = subprocess.run(
        [sys.executable, *program, *map(str, words)],
        env={**os.environ, **powercut.environment(library, log, watched)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    records = before + powercut.read(log)
    assert files(watched) == powercut.uncut(records), "the recorder missed something"
    assert [] == powercut.strange(records)
    return len(before), records


def cut_everywhere(lived, watched, look, luck, times):
    """Cut before each record and behind the last, with another luck each; give what a look finds: old, new or neither."""
    first, records = lived
    found = []
    with powercut.disks() as directory:
        for place in range(first, len(records) + 1):
            for survival in powercut.SURVIVALS[: 4 if place == len(records) else None]:
                for number in range(times if survival != "none" else 1):
                    disk = directory / f"{place}-{survival}-{number}"
                    disk.mkdir()
                    powercut.put(powercut.after_cut(records[:place], survival, luck), watched, disk)
                    found.append((place == len(records), look(disk), f"{survival} at {place - first}"))
                    shutil.rmtree(disk)
    return found


def held(found, experiment):
    """Nothing but the former one or the new one, and both occur; behind the end of the command only the new one."""
    for ended, seen, where in found:
        experiment.hit("power cut")
        experiment.owe(1)
        experiment.found(missing=seen == "neither", wrong=ended and seen != "new")
        assert seen in ({"new"} if ended else {"old", "new"}), where
    assert {"old", "new"} == {seen for _, seen, _ in found}


def losing(found, experiment):
    """The control: without its syncs the command loses."""
    seen = Counter("lost" if one == "neither" or (ended and one == "old") else one for ended, one, _ in found)
    experiment.remarks.append(f"without syncs {seen['lost']} of {len(found)} cuts lose")
    assert seen["lost"] > 2


def store_in(directory):
    """Start on what a cut left as the daemon does, and say which store it is."""
    store = directory / "store"
    store.mkdir(exist_ok=True)
    try:
        received = asyncio.run(_received(store))
        kept = list((store / "pictures").iterdir())
        whole = [hashlib.sha256(file.read_bytes()).hexdigest() == file.stem for file in kept]
    except (GatewayError, OSError, sqlite3.Error, AssertionError):
        return "neither"
    aside = list(store.glob("replaced-*/gateway.db"))
    if [True] != whole or list(store.glob("restore.*")) or (received == _NEW) != bool(aside):
        return "neither"
    return {_OLD: "old", _NEW: "new"}.get(received, "neither")


async def _received(store):
    async with opened(store) as outbox:
        assert outbox.salvaged is None
        return outbox.received


def test_power_cut_of_a_restore(library, tmp_path, experiment, scale):
    """After a cut anywhere the daemon starts with the old store or the restored one; without the syncs some have neither."""
    luck = chance(17)
    box = Box(tmp_path / "box")
    asyncio.run(box.receive(0, _NEW, deliver=5))
    box.picture()
    box.do("backup", tmp_path / "b")
    asyncio.run(box.receive(_NEW, _OLD))
    shutil.copytree(box.folder, tmp_path / "kept")
    lives = []
    for program in (("-m", "gateway"), (_UNSYNCED,)):
        shutil.rmtree(box.folder)
        shutil.copytree(tmp_path / "kept", box.folder)
        words = ("-c", box.config, "restore", "--backwards", tmp_path / "b")
        lives.append(recorded(library, box.folder, tmp_path / f"log{len(lives)}", program, *words))
    cuts = [cut_everywhere(life, box.folder, store_in, luck, scale.pick(1, 20)) for life in lives]
    held(cuts[0], experiment)
    losing(cuts[1], experiment)
    experiment.demand(obligations=200, faults=200, doubled=None)  # files: no far end


def test_power_cut_of_a_backup(library, tmp_path, experiment, scale):
    """After a cut at any place the file is the former one or the new one; without the syncs some are neither."""
    luck = random.Random(chance(18).getrandbits(30))
    box, out = Box(tmp_path / "box"), tmp_path / "out"
    asyncio.run(box.receive(0, 20, deliver=5))
    out.mkdir()
    box.do("backup", out / "b")
    former = (out / "b").read_bytes()
    asyncio.run(box.receive(20, 21))
    for program in (("-m", "gateway"), (_UNSYNCED,)):
        (out / "b").write_bytes(former)
        log = tmp_path / f"log-{len(program)}"
        life = recorded(library, out, log, program, "-c", box.config, "backup", "--force", out / "b")
        states = {former: "old", (out / "b").read_bytes(): "new", None: "neither"}

        def file_in(directory, states=states):
            file = directory / "b"
            return states.get(file.read_bytes() if file.exists() else None, "neither")

        found = cut_everywhere(life, out, file_in, luck, scale.pick(3, 20))
        (held if len(program) == 2 else losing)(found, experiment)
    experiment.demand(obligations=100, faults=100, doubled=None)  # files: no far end
