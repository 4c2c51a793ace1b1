"""How wheels are laid out, and what ends the build."""

import zipfile
from pathlib import Path

import pytest
from deb import tree
from deb.targets import Target

OLD, NEW = Target("amd64", "3.11"), Target("amd64", "3.13")


def wheel(at: Path, name: str, *files: str) -> Path:
    at.mkdir(exist_ok=True)
    with zipfile.ZipFile(at / name, "w") as archive:
        for file in files:
            archive.writestr(file, f"content of {file}")
    return at / name


def laid(base: Path) -> list[str]:
    return sorted(str(path.relative_to(base)) for path in base.rglob("*") if path.is_file())


def test_pure_ones_lie_once_and_native_ones_by_python(tmp_path):
    """What both Pythons read is there once."""
    pure = wheel(tmp_path, "one-1-py3-none-any.whl", "one/__init__.py", "one-1.dist-info/METADATA")
    native = [wheel(tmp_path, f"two-1-cp{v}-cp{v}-manylinux1_x86_64.whl", f"two/x{v}.so") for v in (311, 313)]
    tree.spread({OLD: [pure, native[0]], NEW: [pure, native[1]]}, tmp_path / "base")
    assert [
        "cp311/two/x311.so",
        "cp313/two/x313.so",
        "pure/one-1.dist-info/METADATA",
        "pure/one/__init__.py",
    ] == laid(tmp_path / "base")


def test_pythons_that_need_different_pure_packages_end_the_build(tmp_path):
    """The one directory for all would silently hold what one of them must not have, or lack what it needs."""
    one, two = (wheel(tmp_path, f"{name}-1-py3-none-any.whl", f"{name}.py") for name in ("one", "two"))
    with pytest.raises(SystemExit, match=r"two-1-py3-none-any\.whl"):
        tree.spread({OLD: [one], NEW: [one, two]}, tmp_path / "base")


def test_what_a_daemon_never_needs_stays_behind(tmp_path):
    """Tests, sources of extensions and headers go; licences and what is imported stay."""
    names = ["a/x.py", "a/tests/test_x.py", "a/x.pyx", "a/x.h", "lxml/includes/a.py"]
    names += [
        "a-1.dist-info/RECORD",
        "a-1.dist-info/licenses/LICENSE.rst",
        "a-1.dist-info/METADATA",
        "a/tests.py",
    ]
    tree.unpack(wheel(tmp_path, "a-1-py3-none-any.whl", *names), tmp_path / "base")
    assert ["a-1.dist-info/METADATA", "a-1.dist-info/licenses/LICENSE.rst", "a/tests.py", "a/x.py"] == laid(
        tmp_path / "base"
    )


@pytest.mark.parametrize("name", ["a-1.data/scripts/a", "../a.py", "/etc/a"])
def test_a_wheel_that_wants_another_place_ends_the_build(tmp_path, name):
    """Nothing is written beside the tree, and no part is left out unsaid."""
    with pytest.raises(SystemExit):
        tree.unpack(wheel(tmp_path / "w", "a-1-py3-none-any.whl", name), tmp_path / "base")


def test_two_packages_with_the_same_file_end_the_build(tmp_path):
    """Otherwise the order of the lock would decide whose code runs."""
    tree.unpack(wheel(tmp_path, "a-1-py3-none-any.whl", "same.py"), tmp_path / "base")
    with pytest.raises(SystemExit, match=r"same\.py"):
        tree.unpack(wheel(tmp_path, "b-1-py3-none-any.whl", "same.py"), tmp_path / "base")


@pytest.mark.parametrize("name", ["pip/__init__.py", "x.data/a", "x.pth", "a/__pycache__/a.pyc"])
def test_what_must_never_be_on_a_box_ends_the_build(tmp_path, name):
    """The last look finds it, whatever brought it."""
    place = tmp_path / "pure" / name
    place.parent.mkdir(parents=True)
    place.touch()
    with pytest.raises(SystemExit):
        tree.check(tmp_path)
