"""What the package takes from the lock: the right versions for the target, not for the machine that builds."""

from pathlib import Path

import pytest
from deb import lock, wheels
from deb.targets import ARCHES, PYTHONS, Target, is_pure

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
SUM = "0" * 64


def test_the_whole_lock_but_pip_is_on_the_box():
    """What a marker leaves out for Linux is left out, and pip is, and nothing else."""
    every = {one.name for one in lock.read(LOCK)}
    assert len(every) > 25
    for arch in ARCHES:
        names = [{one.name for one in lock.wanted(LOCK, Target(arch, python))} for python in PYTHONS]
        assert names[0] == names[1]
        assert {"pip", "httpx2-jsfetch"} == every - names[0]


@pytest.mark.parametrize("line", ["anyio==4.0", "anyio>=4.0 --hash=sha256:" + SUM, "-r other.lock"])
def test_a_line_without_a_version_and_a_sum_ends_the_build(tmp_path, line):
    """What could not be checked is not built in, and the line is named."""
    file = tmp_path / "requirements.lock"
    file.write_text(f"{line}\n")
    with pytest.raises(SystemExit, match=line.split(" ")[0].split("=")[0]):
        lock.read(file)


def test_a_marker_is_read_for_the_target(tmp_path):
    """The Python that builds does not decide what another Python gets."""
    file = tmp_path / "requirements.lock"
    file.write_text(f"one==1.0 ; python_version >= '3.13' \\\n    --hash=sha256:{SUM}\n")
    assert [] == lock.wanted(file, Target("amd64", "3.11"))
    assert ["one"] == [one.name for one in lock.wanted(file, Target("amd64", "3.13"))]


@pytest.mark.parametrize(
    ("wheel", "arch", "python", "fits"),
    [
        ("a-1-py3-none-any.whl", "armhf", "3.13", True),
        ("a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "amd64", "3.11", True),
        ("a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", "amd64", "3.13", False),
        ("a-1-cp311-cp311-manylinux2014_x86_64.whl", "arm64", "3.11", False),
        ("a-1-cp313-cp313-manylinux_2_31_armv7l.whl", "armhf", "3.13", True),
        ("a-1-cp313-cp313-manylinux_2_34_aarch64.whl", "arm64", "3.13", False),
        ("a-1-cp313-cp313-musllinux_1_2_aarch64.whl", "arm64", "3.13", False),
    ],
)
def test_only_wheels_that_run_there_are_taken(wheel, arch, python, fits):
    """Architecture, Python and the age of the C library must all fit."""
    assert fits == Target(arch, python).runs(wheel)


def test_a_wheel_with_another_sum_is_not_taken(tmp_path, monkeypatch):
    """A kept file that was changed is no better than a missing one: it is fetched again, and then the build ends."""
    (tmp_path / "one-1.0-py3-none-any.whl").write_bytes(b"changed")
    asked = []
    monkeypatch.setattr(wheels, "_download", lambda missing, *_: asked.extend(missing))
    pinned = lock.Pinned("one", "1.0", None, frozenset({SUM}))
    with pytest.raises(SystemExit, match=r"No wheel for amd64 and Python 3\.11: one"):
        wheels.fetch([pinned], Target("amd64", "3.11"), tmp_path)
    assert [pinned] == asked


def test_pure_is_what_every_machine_reads():
    """A wheel for one platform is never laid where all Pythons look."""
    assert is_pure("tzdata-2026.6-py2.py3-none-any.whl")
    assert not is_pure("lxml-6.1.3-cp311-cp311-manylinux2014_x86_64.whl")
