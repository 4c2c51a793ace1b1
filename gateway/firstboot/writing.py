"""Writes so that a power cut leaves the old file or the new one, and wipes what must not stay on a card."""

import os
from pathlib import Path

from gateway.config.files import read_file
from gateway.durable import put, sync, write_all, write_new
from gateway.errors import ConfigError
from gateway.firstboot.exchanging import exchange

_PIECE = 65_536
_LARGEST = 16 << 20  # nothing of ours on a card is near as large: more is somebody else's, and only removed


def put_if_other(path: Path, content: bytes) -> None:
    """Replace a file of the card only when it says something else: cards wear out."""
    try:
        if read_file(path, len(content) + 1)[0] == content:
            return
    except (OSError, ConfigError):
        pass  # it is not there, or cannot be read: then the write says what is wrong
    put(path, content, mode=0o644)


def rewrite(path: Path, fresh: Path, content: bytes) -> None:
    """Replace a file and wipe the bytes of the old one.

    The two change places, so that the folder has a whole file at any moment; what then has the name ``fresh`` is wiped,
    now or at the next start (`wipe`). A file system that cannot exchange gets the new file over the old one, whose
    bytes are wiped through the open file.
    """
    write_new(fresh, content, mode=0o644)
    sync(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if exchange(fresh, path):
            sync(path.parent)
            _blank(descriptor)
            fresh.unlink()
        else:
            fresh.replace(path)
            sync(path.parent)
            _blank(descriptor)
    finally:
        os.close(descriptor)
    sync(path.parent)


def overwrite(path: Path, content: bytes) -> None:
    """Write over a file in its own place; for a card that has no room for a second file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> None:
    """Overwrite and remove a file, if it is there; of a link and a pipe there is nothing to overwrite."""
    if path.is_symlink() or path.is_fifo():
        path.unlink()
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _blank(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync(path.parent)


def _blank(descriptor: int) -> None:
    """Overwrite what is in an open file, as far as anything of ours can be in it."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    left = min(os.fstat(descriptor).st_size, _LARGEST)
    while left > 0:
        piece = min(left, _PIECE)
        write_all(descriptor, b"\n" * piece)
        left -= piece
    os.fsync(descriptor)
