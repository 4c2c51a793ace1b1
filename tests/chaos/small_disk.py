"""A file system of a few megabytes of its own, which an experiment may fill, break and repair."""

import contextlib
import errno
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

MIB = 2**20
_ROOM = 2 * MIB


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


class SmallDisk:
    """ext4 in a file, mounted at ``place``; where loop devices are not to be had, a tmpfs."""

    def __init__(self, image: Path, place: Path, *, size: int, need_ext4: bool = False) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can mount a small file system")
        self.place, self.image, self.device = place, image, ""
        place.mkdir(exist_ok=True)
        self.kind = self._ext4(size)
        if not self.kind and need_ext4:
            pytest.fail(
                "no loop device, or mkfs.ext4 is missing: apt-get install e2fsprogs mount, or make debian"
            )
        if not self.kind:
            mounted = run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
            if mounted.returncode:
                pytest.fail(f"root may not mount a small file system here: {mounted.stderr.strip()}")
            self.kind = "tmpfs"

    def _ext4(self, size: int) -> str:
        if not shutil.which("mkfs.ext4") or not shutil.which("losetup"):
            return ""
        with self.image.open("wb") as image:
            image.truncate(size)
        # Without room of its own for root, who runs these tests. With the blocks of a real disk: in smaller ones, which
        # mkfs takes for small disks, SQLite's shared memory has holes, and a full disk ends whoever writes into one.
        if run("mkfs.ext4", "-q", "-m", "0", "-b", "4096", str(self.image)).returncode or self.mount():
            self._detach()
            return ""
        return "ext4"

    def mount(self, options: str = "errors=remount-ro") -> str:
        """Mount the image; say why it cannot be."""
        if not self.device:
            found = run("losetup", "--find", "--show", str(self.image))
            if found.returncode:
                return found.stderr or "losetup failed"
            self.device = found.stdout.strip()
        mounted = run("mount", "-t", "ext4", "-o", options, self.device, str(self.place))
        return mounted.stderr if mounted.returncode else ""

    def unmount(self) -> None:
        ended = run("umount", str(self.place))
        if ended.returncode:
            run("umount", "-l", str(self.place))

    def repair(self) -> None:
        """Do what a box does when it starts after an error: look through the file system, mount it anew."""
        # Really unmounted, never lazily: a repair beside a mount that somebody still holds would lose what was synced.
        deadline = time.monotonic() + 60
        while (ended := run("umount", str(self.place))).returncode:
            assert time.monotonic() < deadline, ended.stderr
            time.sleep(0.05)
        # A box that another test boots has a copy of every mount until it has let go of them.
        while "is in use" in (looked := run("e2fsck", "-p", self.device)).stderr + looked.stdout:
            assert time.monotonic() < deadline, looked.stderr
            time.sleep(0.2)
        assert looked.returncode in (0, 1), looked.stdout + looked.stderr  # 1: mended
        trouble = self.mount()
        assert not trouble, trouble

    def break_down(self) -> None:
        """Have the kernel meet an error in the file system: it goes read-only under whoever works on it."""
        trigger = Path("/sys/fs/ext4", Path(self.device).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.fail("this kernel has no way to ask for an error of a file system")
        trigger.write_text("an experiment")

    @property
    def read_only(self) -> bool:
        """Try it: not every kernel shows in the flags of the mount what an error did to it."""
        try:
            (self.place / "probe").touch()
        except OSError as error:
            return error.errno == errno.EROFS
        return False

    @property
    def free(self) -> int:
        told = os.statvfs(self.place)
        return told.f_bavail * told.f_frsize

    @property
    def ballast(self) -> Path:
        return self.place / "ballast"

    def fill(self, *, leave: int = 0) -> None:
        """Write a file until no more than so many bytes are free."""
        with self.ballast.open("ab", buffering=0) as file:
            while (room := self.free - leave) > 0:
                try:
                    file.write(b"x" * min(room, 65_536))
                except OSError:
                    break
            # The kernel's sum of what is free is an estimate: take the rest, too.
            if not leave:
                with contextlib.suppress(OSError):
                    while file.write(b"x" * 512):
                        pass

    def empty(self) -> None:
        """Give the room back; a disk that the store itself has filled proves nothing any more."""
        self.ballast.unlink(missing_ok=True)
        assert self.free > _ROOM, (
            f"{self.place} is full without what an experiment filled it with: make it bigger"
        )

    def close(self) -> None:
        self.unmount()
        self._detach()

    def _detach(self) -> None:
        if self.device:
            run("losetup", "--detach", self.device)
            self.device = ""
