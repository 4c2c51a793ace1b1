"""Files that are written so that a power cut or a full disk costs nothing."""

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from gateway import durable
from gateway.config import last_good, settings

GATEWAY = Path(__file__).parents[1] / "gateway"
STEPS = ("open", "fchmod", "write", "fsync", "replace")
CUT = 77


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Disk:
    """Notes what is asked of the disk, and says no at the step that a test names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.done: list[tuple[str, str]] = []
        self.refuses: dict[str, int] = {}
        self.modes: list[int] = []  # of a file at each write
        for name in (*STEPS, "fchown"):
            monkeypatch.setattr(os, name, self._noted(name, getattr(os, name)))

    def _noted(self, name, real):
        def call(*given, **more):
            first = Path(f"/proc/self/fd/{given[0]}").readlink() if type(given[0]) is int else given[0]
            if self.folder not in (Path(first), *Path(first).parents):  # of whoever runs the tests
                return real(*given, **more)
            if name == "write":
                self.modes.append(stat.S_IMODE(os.fstat(given[0]).st_mode))
            self.done.append((name, Path(first).name))
            if name in self.refuses:
                raise OSError(self.refuses[name], os.strerror(self.refuses[name]))
            return real(*given, **more)

        return call


@pytest.fixture
def disk(monkeypatch, tmp_path):
    return Disk(monkeypatch, tmp_path)


def test_the_file_is_on_disk_before_it_has_its_name(disk, tmp_path):
    """First the content is synced, then it is renamed, and then the folder is synced."""
    durable.put(tmp_path / "kept", b"new", mode=0o600)
    order = [one for one in disk.done if one[0] in {"write", "fsync", "replace"}]
    half = ".kept.new"
    assert [("write", half), ("fsync", half), ("replace", half), ("fsync", tmp_path.name)] == order
    assert b"new" == (tmp_path / "kept").read_bytes()


@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644])
def test_a_file_has_its_mode_before_its_first_byte(disk, tmp_path, wanted):
    """Nobody reads a secret between the write and the change of its mode, whatever the umask and the old mode are."""
    (tmp_path / "kept").touch(mode=0o666)
    old = os.umask(0o002)
    try:
        durable.put(tmp_path / "kept", b"new", mode=wanted)
    finally:
        os.umask(old)
    assert ([wanted], wanted) == (disk.modes, mode(tmp_path / "kept"))


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(disk, tmp_path, step, before):
    """Whatever the disk refuses, there is no half of a secret in the folder."""
    if before is not None:
        (tmp_path / "kept").write_bytes(before)
    disk.refuses[step] = errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        durable.put(tmp_path / "kept", b"new", mode=0o600)
    assert ([] if before is None else [(tmp_path / "kept", before)]) == [
        (path, path.read_bytes()) for path in tmp_path.iterdir()
    ]


@pytest.mark.parametrize("step", range(8))
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path, step):
    """A process that ends without a word leaves one of both, whole, and the next write clears what was half."""
    file = tmp_path / "kept"
    file.write_bytes(b"old")
    child = os.fork()
    if child == 0:
        left = [step]
        for name in STEPS:
            setattr(os, name, _ending(left, getattr(os, name)))
        try:
            durable.put(file, b"new", mode=0o600)
        finally:
            os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert file.read_bytes() in ({b"old"} if step <= STEPS.index("replace") else {b"new"})
    assert (CUT if step < 7 else 0) == ended
    durable.put(file, b"newest", mode=0o600)
    assert [(file, b"newest")] == [(path, path.read_bytes()) for path in tmp_path.iterdir()]


def _ending(left, real):
    def call(*given, **more):
        left[0] -= 1
        if left[0] < 0:
            os._exit(CUT)
        return real(*given, **more)

    return call


def test_a_folder_that_cannot_be_synced_is_no_failure(disk, tmp_path):
    """Some file systems sync no folder and say so; every other refusal is told."""
    disk.refuses["fsync"] = errno.EINVAL
    durable.sync(tmp_path)
    disk.refuses["fsync"] = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        durable.sync(tmp_path)


def test_the_last_good_configuration_is_on_disk(disk, tmp_path, monkeypatch):
    """The copy that a box falls back to after a power cut is synced before it has its name, and so is its folder."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    kept = tmp_path / "state" / "last-good.toml"
    monkeypatch.setattr(last_good, "place", lambda _path: kept)
    (tmp_path / "config.toml").write_text("# mine\n")
    last_good.remember(tmp_path / "config.toml")
    synced = [name for step, name in disk.done if step in {"fsync", "replace"}]
    assert [".last-good.toml.new", ".last-good.toml.new", "state"] == synced
    assert ("# mine\n", 0o600) == (kept.read_text(), mode(kept))


def test_a_disk_that_is_full_keeps_the_last_good_copy(disk, tmp_path, monkeypatch):
    """The copy of before stays whole when the new one has no room."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    kept = tmp_path / "last-good.toml"
    kept.write_text("# before\n")
    monkeypatch.setattr(last_good, "place", lambda _path: kept)
    (tmp_path / "config.toml").write_text("# mine\n")
    disk.refuses["write"] = errno.ENOSPC
    last_good.remember(tmp_path / "config.toml")
    assert "# before\n" == kept.read_text()
    assert {"last-good.toml", "config.toml"} == {path.name for path in tmp_path.iterdir()}


# The configuration, in which path tokens may stand


class Runner:
    pw_gid = 54_321


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to a group that it is not in")
def test_root_writes_the_configuration_for_the_gateway_alone(disk, tmp_path, monkeypatch):
    """It has the gateway's group and the mode 0640 from its first byte on."""
    monkeypatch.setattr(settings, "user", Runner)
    settings.put(tmp_path / "config.toml", b"# mine\n")
    told = (tmp_path / "config.toml").stat()
    assert (0, 54_321, 0o640) == (told.st_uid, told.st_gid, stat.S_IMODE(told.st_mode))
    assert [0o640] == disk.modes


@pytest.mark.skipif(os.geteuid() != 0, reason="the mode depends on root")
def test_a_root_of_the_gateways_group_needs_no_right_to_give_files_away(disk, tmp_path, monkeypatch):
    """As in the unit that reads the card: its group is the gateway's, and it may change no owner."""
    monkeypatch.setattr(settings, "user", Runner)
    monkeypatch.setattr(Runner, "pw_gid", tmp_path.stat().st_gid)
    disk.refuses["fchown"] = errno.EPERM
    settings.put(tmp_path / "config.toml", b"# mine\n")
    assert 0o640 == mode(tmp_path / "config.toml")


@pytest.mark.skipif(os.geteuid() != 0, reason="the mode depends on root")
@pytest.mark.parametrize("refusal", [errno.EPERM, errno.EINVAL, None])
def test_a_gateway_that_has_no_group_can_read_its_configuration(disk, tmp_path, monkeypatch, refusal):
    """Where the file cannot be given to it, or where there is no such user, everybody may read it."""
    monkeypatch.setattr(settings, "user", Runner if refusal else lambda: None)
    if refusal:
        disk.refuses["fchown"] = refusal
    settings.put(tmp_path / "config.toml", b"# mine\n")
    assert ("# mine\n", 0o644) == ((tmp_path / "config.toml").read_text(), mode(tmp_path / "config.toml"))


# One way for all


def test_nobody_else_knows_how_to_do_it():
    """A sync of a file stands in this module, and where a file is no replacement: a ballast, a stream, a card."""
    own = {
        str(path.relative_to(GATEWAY))
        for path in GATEWAY.rglob("*.py")
        if re.search(r"os\.fsync\(", path.read_text("utf-8"))
    }
    kept = {"outbox/ballast.py", "backup/taking.py", "backup/restoring.py", "firstboot/writing.py"}
    assert {"durable.py", *kept} == own


def test_the_free_room_of_a_disk_is_measured_in_one_place():
    """What is free to a gateway that is not root is computed by one function."""
    computing = re.compile(r"f_bavail|disk_usage\([^)]*\)\.free")
    assert ["outbox/disk.py"] == [
        str(path.relative_to(GATEWAY))
        for path in GATEWAY.rglob("*.py")
        if computing.search(path.read_text("utf-8"))
    ]
