"""A backup and a restore that are killed at every step that changes a folder: one or the other is there, never half."""

import asyncio
import os
import resource
import shutil
import signal
import sys

import pytest
from backed_up import Box, credentials_at, parts_of
from keeping import opened

from gateway.backup import archive

_STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "sqlite3.connect"}
_MOST = 400


def killed_at(step: int, folder, work) -> bool:
    """Do the work in a process that is killed at its so many-th step below the folder; False when it came to its end."""
    child = os.fork()
    if not child:
        _count_down(step, str(folder))
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or not os.WEXITSTATUS(status), f"the work failed at step {step}"
    return os.WIFSIGNALED(status)


def _count_down(step: int, folder: str) -> None:
    left = step

    def hook(event, args):
        nonlocal left
        if event in _STEPS and any(
            folder in os.fsdecode(arg) for arg in args if isinstance(arg, str | bytes | os.PathLike)
        ):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


async def received(box) -> int:
    """Start as the daemon does, and say what it has."""
    async with opened(box.store) as outbox:
        assert outbox.salvaged is None
        return outbox.received


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_restore_that_is_killed_leaves_the_old_store_or_the_new_one(tmp_path, monkeypatch):
    """At every step: the next start has one of the two, whole, and the next restore succeeds."""
    credentials_at(monkeypatch, tmp_path / "credentials")
    made = Box(tmp_path / "box")
    asyncio.run(made.receive(0, 20, deliver=5))
    made.picture()
    made.do("backup", tmp_path / "b")
    asyncio.run(made.receive(20, 27))
    shutil.copytree(made.folder, tmp_path / "kept")
    found = []
    for step in range(1, _MOST):
        shutil.rmtree(made.folder)
        shutil.copytree(tmp_path / "kept", made.folder)
        if not killed_at(step, made.folder, lambda: made.do("restore", "--backwards", tmp_path / "b")):
            break
        found.append(asyncio.run(received(made)))
        assert found[-1] in (20, 27), f"at step {step}"
        assert 1 == made.query("SELECT count(*) FROM pictures")[0][0]
        assert 1 == len(list((made.store / "pictures").iterdir())), f"at step {step}"
        assert not list(made.store.glob("restore.*")), f"at step {step}"
        aside = list(made.store.glob("replaced-*/gateway.db"))
        assert (found[-1] == 20) == bool(aside), f"at step {step}"
    assert {20, 27} == set(found)
    assert sorted(found, reverse=True) == found  # there is one moment
    assert len(found) > 20
    made.do("restore", "--backwards", tmp_path / "b")
    assert 20 == asyncio.run(received(made))


@pytest.mark.parametrize("room", [33_000, 40_000, 60_000])
def test_a_disk_that_is_full_leaves_no_half_file(tmp_path, room):
    """Whichever write it is that finds no room: a sentence, the former file, and nothing beside it."""
    box = Box(tmp_path / "box")
    asyncio.run(box.receive(0, 20))
    box.picture(more=os.urandom(80_000))  # the packed file is larger than the copy of the store
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "b"
    file.write_bytes(b"the former one")
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            said = box.do("backup", "--force", file, status=1)
            os._exit(0 if "is as it was" in said else 3)
        finally:
            os._exit(1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert b"the former one" == file.read_bytes()
    assert ["b"] == [path.name for path in (tmp_path / "out").iterdir()]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_backup_that_is_killed_leaves_the_former_file(tmp_path):
    """At every step: the file is the former one or the new one, and the next backup clears up."""
    box = Box(tmp_path / "box")
    asyncio.run(box.receive(0, 20, deliver=5))
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "b"
    box.do("backup", file)
    former, outcomes = file.read_bytes(), []
    asyncio.run(box.receive(20, 21))
    for step in range(1, _MOST):
        if not killed_at(step, tmp_path / "out", lambda: box.do("backup", "--force", file)):
            break
        outcomes.append(former == file.read_bytes())
        if not outcomes[-1]:
            assert archive.SUMS in parts_of(file)
            file.write_bytes(former)
        asyncio.run(received(box))
    assert len(outcomes) > 5
    assert outcomes[0]
    box.do("backup", "--force", file)
    assert ["b"] == [path.name for path in (tmp_path / "out").iterdir()]
    assert former != file.read_bytes()
