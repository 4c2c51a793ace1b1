"""A backup on the disk of the store dies with it: that is said, and refused where another disk was asked for."""

import shutil
import tempfile
from pathlib import Path

import pytest
from backed_up import Box

from gateway.commands.outliving import doomed
from gateway.config import loads
from gateway.doctor.box import Box as Looked

SAME, MEMORY = "on the disk of the store itself", "in memory"


@pytest.fixture
def memory(tmp_path):
    """A folder in memory, while the other folders of a test are on a disk."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    folder = Path(tempfile.mkdtemp(dir=shared))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.anyio
async def test_a_backup_beside_the_store_is_told(tmp_path):
    """By hand it is taken all the same, with a word; to standard output nobody knows where it goes."""
    box = Box(tmp_path / "box")
    await box.receive(0, 5)
    assert SAME in box.do("backup", tmp_path / "b")
    assert (tmp_path / "b").is_file()
    assert SAME not in box.do("backup", "-")


@pytest.mark.anyio
async def test_another_disk_that_is_not_there_is_missed(tmp_path):
    """With --other-disk the folder of a stick that is not mounted gets nothing, and what lies there stays."""
    box = Box(tmp_path / "box")
    await box.receive(0, 5)
    (tmp_path / "usb").mkdir()
    said = box.do("backup", "--other-disk", tmp_path / "usb" / "b", status=1)
    assert SAME in said and "is the other disk mounted?" in said
    (tmp_path / "usb" / "b").write_text("of last week")
    box.do("backup", "--other-disk", "--force", tmp_path / "usb" / "b", status=1)
    assert "of last week" == (tmp_path / "usb" / "b").read_text()
    assert "does not" in box.do("backup", "--other-disk", "-", status=2)


@pytest.mark.anyio
async def test_another_disk_takes_it_and_memory_does_not(tmp_path, memory):
    """From a store elsewhere a disk takes the backup without a word; memory forgets it, so that is told and refused."""
    far = Box(memory / "box")
    await far.receive(0, 5)
    assert "It is" not in far.do("backup", "--other-disk", tmp_path / "b")
    near = Box(tmp_path / "box")
    await near.receive(0, 5)
    assert MEMORY in near.do("backup", memory / "b")
    assert MEMORY in near.do("backup", "--other-disk", memory / "c", status=1)
    assert not (memory / "c").exists()


@pytest.mark.parametrize(
    ("mount", "same"),
    [
        ("179:1 / {usb} rw - vfat /dev/mmcblk0p1 rw", True),  # the first part of the box's own card
        ("8:1 / {usb} rw - vfat /dev/sda1 rw", False),
        ("0:40 / {usb} rw - cifs //nas/backups rw", False),
    ],
)
def test_parts_of_one_card_are_one_disk(tmp_path, memory, mount, same):
    """What the kernel knows as parts of one disk counts as one, and a stick or a share as another."""
    for number, place in {
        "179:1": "mmcblk0/mmcblk0p1",
        "179:2": "mmcblk0/mmcblk0p2",
        "8:1": "sda/sda1",
    }.items():
        part = tmp_path / "root/sys/devices" / place
        part.mkdir(parents=True)
        (part / "partition").write_text("1\n")
        link = tmp_path / "root/sys/dev/block" / number
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(part)
    (tmp_path / "root/proc/self").mkdir(parents=True)
    lines = ["20 1 179:2 / / rw - ext4 /dev/root rw", f"21 20 {mount.format(usb=memory)}"]
    (tmp_path / "root/proc/self/mountinfo").write_text("\n".join(lines) + "\n")
    box = Looked(loads(f'[store]\npath = "{tmp_path}/store"\n'), root=tmp_path / "root")
    assert same == (SAME in (doomed(box, memory) or ""))
