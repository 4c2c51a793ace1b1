"""The disk that the store lies on: its room, and whether it is one that can hold a store."""

import os
import shlex
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.doctor.box import Box, Check, hindered, well, wrong
from gateway.doctor.finding import Finding
from gateway.doctor.mounts import Mount, existing, mount_of, mounts
from gateway.errors import StoreUnavailable
from gateway.faults import ACTIONS
from gateway.outbox import disk, space
from gateway.outbox.reading import looking
from gateway.outbox.space import Space

SPACE, DISK = "space", "disk"
_TOLD = "devices are told to keep what they send."
_BALLAST = " The ballast was given back, so that what is kept still goes out and is noted."
_MIB = 1 << 20
# They keep no promise about what is on disk after a power cut, or none about locks.
_UNFIT = {
    **dict.fromkeys(
        ("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk"), "it has no journal and no owners"
    ),
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"), "it is another computer's disk"),
    **dict.fromkeys(("tmpfs", "ramfs"), "it is memory: all is gone at the next start of the box"),
}
_FEW_SHARE, _FEW_INODES = 0.02, 2_000


def room(now: Space, folder: Path) -> Sequence[Finding]:
    """Say whether there is room; also the daemon's faults."""
    if now.disk_short:
        helped = _BALLAST if now.ballast_given_back else ""
        free, most = now.disk_free // _MIB, now.disk_reserve // _MIB
        sentence = f"The disk of {folder} has {free} MiB free, and {most} MiB must stay free: {_TOLD}{helped}"
        return [wrong(SPACE, "disk_full", sentence, remedy=_what_fills(folder))]
    if now.shortage:
        return [wrong(SPACE, "store_full", f"The store is full: {_TOLD}")]
    used, limit = now.used // _MIB, now.limit // _MIB
    return [
        well(
            SPACE, f"{now.disk_free // _MIB} MiB of the disk are free; the store uses {used} of {limit} MiB."
        )
    ]


def _what_fills(folder: Path) -> str:
    """Say how to find what fills this very disk."""
    top = Path(os.path.realpath(existing(folder)))
    while not top.is_mount():
        top = top.parent
    return ACTIONS["disk_full"].replace("du -xh /", f"du -xh {shlex.quote(str(top))}")


def look_at_room(box: Box) -> Iterable[Finding]:
    """Measure the store as the daemon does, or the disk alone before there is a store."""
    store = box.config.store
    try:
        with looking(store.path) as conn:
            now = space.look(
                conn,
                store.path,
                max_bytes=store.max_bytes,
                min_free_bytes=store.min_free_bytes,
                ballast_bytes=store.ballast_bytes,
            )
    except (StoreUnavailable, sqlite3.Error, PermissionError):  # the store's own check says why
        now = Space(0, store.max_bytes, disk.free(existing(store.path)), store.min_free_bytes)
    yield from room(now, store.path)


def look_at_disk(box: Box) -> Iterable[Finding]:
    """Judge the file system: its kind, whether it takes writes, its inodes, the errors that it noted."""
    folder = existing(box.config.store.path)
    mount = mount_of(box, folder)
    if mount is None:
        yield hindered(DISK, f"The list of file systems cannot be read, so that of {folder} is not known.")
        return
    found = [*_kind(box, mount), *_writable(folder, mount), *_inodes(folder), *_errors(box, mount)]
    yield from found or [well(DISK, f"{mount.source} ({mount.kind}) takes writes and has noted no error.")]


def _kind(box: Box, mount: Mount) -> Iterable[Finding]:
    why = _UNFIT.get(mount.kind)
    if "/systemd-private-" in mount.top:
        why = "it is the unit's own, and is emptied whenever the gateway ends"
    if mount.kind == "overlay" and _in_memory(box, mount):
        why = "what is written to it goes to memory: all is gone at the next start of the box"
    if why is not None:
        yield wrong(
            DISK, "disk_unfit", f"store.path is on {mount.kind} ({mount.point}), which cannot hold it: {why}."
        )


def _in_memory(box: Box, mount: Mount) -> bool:
    """Say whether an overlay writes to memory, as a Pi does whose card was made read-only."""
    upper = next((one.partition("=")[2] for one in mount.options if one.startswith("upperdir=")), None)
    if upper is None:
        return False
    over = [one for one in mounts(box) if upper == one.point or upper.startswith(one.point.rstrip("/") + "/")]
    below = max(over, key=lambda one: len(one.point), default=None)
    return below is not None and below.kind == "tmpfs"


def _writable(folder: Path, mount: Mount) -> Iterable[Finding]:
    if mount.read_only or os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield wrong(
            DISK,
            "disk_read_only",
            f"{mount.source} ({mount.point}) takes no writes, and store.path is on it.",
        )


def _inodes(folder: Path) -> Iterable[Finding]:
    told = os.statvfs(folder)
    if told.f_files and told.f_favail < min(told.f_files * _FEW_SHARE, _FEW_INODES):
        yield wrong(
            DISK,
            "disk_inodes",
            f"The disk of store.path has room for only {told.f_favail} more files, of {told.f_files}; then no file can"
            " be made on it, however much space is free.",
        )


def _errors(box: Box, mount: Mount) -> Iterable[Finding]:
    """Read what ext4 notes in itself, over restarts, until somebody repairs the file system."""
    name = Path(mount.source).name
    noted = box.read(f"sys/fs/ext4/{name}/errors_count") or "0"
    if noted.isdecimal() and int(noted):
        yield wrong(
            DISK,
            "disk_errors",
            f"The file system on {mount.source} has noted {noted} errors of its disk.",
            name,
        )


ROOM = Check(SPACE, look_at_room, frozenset({"disk_full", "store_full"}))
CHECK = Check(
    DISK,
    look_at_disk,
    frozenset({"disk_unfit", "disk_read_only", "disk_inodes", "disk_errors"}),
    cheap=True,
)
