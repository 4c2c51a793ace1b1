"""Writes so that a power cut leaves the old file or the new one, and wipes what must not stay on a card."""

import contextlib
import os
from pathlib import Path

from gateway.firstboot.exchanging import exchange


def put(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file at once; nobody else can read it before it has its mode."""
    fresh = path.with_name(f".{path.name}.new")
    _write_new(fresh, content, mode)
    fresh.replace(path)
    sync_folder(path.parent)


def put_if_other(path: Path, content: bytes) -> None:
    """Replace a file of the card only when it says something else: cards wear out."""
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass  # it is not there, or cannot be read: then the write says what is wrong
    put(path, content)


def rewrite(path: Path, fresh: Path, content: bytes) -> None:
    """Replace a file and wipe the bytes of the old one.

    The two change places, so that the folder has a whole file at any moment; what then has the name ``fresh`` is wiped,
    now or at the next start (`wipe`). A file system that cannot exchange gets the new file over the old one, whose
    bytes are wiped through the open file.
    """
    _write_new(fresh, content, 0o644)
    sync_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if exchange(fresh, path):
            sync_folder(path.parent)
            _blank(descriptor)
            fresh.unlink()
        else:
            fresh.replace(path)
            sync_folder(path.parent)
            _blank(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def overwrite(path: Path, content: bytes) -> None:
    """Write over a file in its own place; for a card that has no room for a second file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> None:
    """Overwrite and remove a file, if it is there."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _blank(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot; then the file's own sync must do
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)  # of a start that was cut off
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, content)
        with contextlib.suppress(PermissionError):  # FAT has no modes
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _blank(descriptor: int) -> None:
    """Overwrite what is in an open file."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    _write_all(descriptor, b"\n" * os.fstat(descriptor).st_size)
    os.fsync(descriptor)
