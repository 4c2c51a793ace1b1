"""Both kinds of control groups are read right: a tree of plain files stands for the kernel's."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import memory_group
import pytest
from memory_group import FIRST, READ_ONLY, SECOND, MemoryGroup, kind_of
from root_skips import NO_ROOT_CAN, no_root_can


@pytest.fixture
def second(tmp_path):
    """What a stock Debian 12 shows: the second kind, with memory, and not handed down yet."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu pids\n")
    return tmp_path


@pytest.fixture
def grouped():
    """Make a group below a root; a tree of plain files cannot be removed as the kernel's can."""
    made = []

    def make(root):
        made.append(MemoryGroup(root))
        return made[-1]

    yield make
    for group in made:
        group.unwatch()


def put(group, files):
    """Have the kernel's files in the group."""
    for name, text in files.items():
        new = group.folder.with_name("new")
        new.write_text(text)
        new.replace(group.folder / name)  # somebody may be reading it


def test_the_second_kind_is_found_and_handed_down(second, grouped):
    """Where only the second kind has memory, a group of it is made, and its parent hands the control down."""
    assert MemoryGroup.missing(second) is None
    group = grouped(second)
    assert SECOND is group.kind
    assert second == group.folder.parent
    assert "+memory" == (second / "cgroup.subtree_control").read_text()


def test_what_is_handed_down_already_is_left_alone(second, grouped):
    """A parent that hands the control down, as systemd's root does, is not written to."""
    (second / "cgroup.subtree_control").write_text("cpu memory pids\n")
    grouped(second)
    assert "cpu memory pids\n" == (second / "cgroup.subtree_control").read_text()


def test_who_is_in_a_containers_root_moves_aside(second, grouped, monkeypatch):
    """Where processes in the parent keep it from handing the control down, all of them move beside our group first."""
    (second / "cgroup.procs").write_text("1\n7\n")
    written, moved = Path.write_text, []

    def kernels(path, text):
        if path.parent.name == "beside-gateway-under-test":
            moved.append(text)
        elif path.name == "cgroup.subtree_control" and moved != ["1", "7"]:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return written(path, text)

    monkeypatch.setattr(Path, "write_text", kernels)
    grouped(second)
    assert ["1", "7"] == moved
    assert "+memory" == (second / "cgroup.subtree_control").read_text()


def test_the_second_kind_is_read(second, grouped):
    """Ceiling, use without what can be dropped, peak and kills are those of the second kind's files."""
    group = grouped(second)
    stat = "anon 7000\nfile 900000\nkernel_stack 100\npagetables 20\nsock 3\nslab_reclaimable 5000\n"
    events = "low 0\nhigh 4\nmax 90\noom 3\noom_kill 2\noom_group_kill 0\n"
    kept = {"memory.stat": stat, "memory.events": events, "memory.peak": "12345\n"}
    put(group, kept | {"memory.swap.max": "max\n"})
    assert (7123, 12345, 2) == (group.in_use(), group.highest(), group.kills())
    group.limit(4096)
    assert "4096" == (group.folder / "memory.max").read_text()
    assert "0" == (group.folder / "memory.swap.max").read_text()


def test_an_old_kernel_is_watched(second, grouped, monkeypatch):
    """Where the kernel keeps no peak, the most of what was looked at counts, also after it has gone down."""
    monkeypatch.setattr(memory_group, "_LOOK_S", 0.001)
    group, gone = grouped(second), 0
    for now in (500, 90_000, 700):
        put(group, {"memory.current": f"{now}\n"})
        while group.highest() < now and gone < 10_000:
            gone += 1
            group.closing.wait(0.001)
    assert 90_000 == group.highest()


def test_the_first_kind_goes_before_an_empty_second(tmp_path, grouped):
    """On a machine with both, the one that has the memory is taken, and read by its own names."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    group = grouped(tmp_path)
    put(group, {"memory.stat": "cache 900\nrss 77\n", "memory.max_usage_in_bytes": "5\n"})
    put(group, {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"})
    assert FIRST is group.kind
    assert (77, 5, 1) == (group.in_use(), group.highest(), group.kills())


def test_no_memory_in_either_kind_says_how_to_get_it(tmp_path):
    """A kernel without that control is named as what it is, with the cure, and root may not skip it."""
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    assert kind_of(tmp_path) is None
    why = MemoryGroup.missing(tmp_path)
    assert "cgroup_enable=memory" in why
    assert not no_root_can("tests/chaos/test_memory_ceiling.py::test_x", f"Skipped: {why}")


def test_only_the_named_skip_is_left_to_root(second, monkeypatch):
    """Read-only groups are the one thing that root may skip, in that file and with that sentence only."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert READ_ONLY == MemoryGroup.missing(second)
    ceiling = "tests/chaos/test_memory_ceiling.py"
    assert [ceiling] == list(NO_ROOT_CAN)
    assert no_root_can(f"{ceiling}::test_x", f"Skipped: {READ_ONLY}")
    assert not no_root_can(f"{ceiling}::test_x", "Skipped: only root may make a control group")
    assert not no_root_can("tests/test_durable.py::test_x", f"Skipped: {READ_ONLY}")
