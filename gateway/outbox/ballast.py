"""A file that only takes up room beside the store, and gives it back when somebody else has filled the disk.

On a disk without a free byte not even a removal can be written, because the write-ahead log must grow for it: places of
sinks could not be noted, so nothing more could be sent, and nobody could be erased. With the room of the ballast
all that goes on; events are refused meanwhile, so that they do not eat it up.

The file says by its size how things are: whole, given back (empty), or never made (not there).
"""

import contextlib
import errno
import os
from pathlib import Path

from gateway.errors import GatewayError
from gateway.outbox import disk

NAME = "gateway.ballast"
_LOW_SHARE = 8  # with less than this part of the ballast free, the disk is full
_ROOM = 3  # ballasts that must be free beside the reserve before it is made (again): the two bounds lie apart
_PIECE = 1024 * 1024
_BLOCK = 512  # of st_blocks, whatever the file system's own are


class NoBallast(GatewayError):
    """The ballast cannot be made; the sentence says why."""


def low(size: int) -> int:
    """Give the free bytes below which a disk is as good as full."""
    return max(size // _LOW_SHARE, 64 * 1024)


def needed(size: int, min_free_bytes: int) -> int:
    """Give the free bytes that there must be before a ballast is made."""
    return min_free_bytes + _ROOM * size


def held(directory: Path) -> int:
    """Give how many bytes of the disk the ballast really takes up."""
    try:
        found = (directory / NAME).lstat()  # a link takes up nothing, and is not emptied
    except OSError:
        return 0
    return min(found.st_size, found.st_blocks * _BLOCK)


def is_given_back(directory: Path) -> bool:
    """Say whether there was a ballast that has been given back since."""
    try:
        return (directory / NAME).stat().st_size == 0
    except OSError:
        return False


def give_back(directory: Path) -> int:
    """Empty the file, which needs no room itself; give how many bytes that freed."""
    freed = held(directory)
    if freed:
        _empty(directory / NAME)
    return freed


def help_to_start(directory: Path) -> None:
    """Give the ballast back when the store could not even be opened without it."""
    with contextlib.suppress(OSError):
        size = held(directory)
        if size and disk.free(directory) < low(size):
            give_back(directory)


def make(directory: Path, size: int) -> None:
    """Take the room up. Raises `NoBallast`; then nothing is taken up.

    Where a file system compresses, or promises room that it does not set aside, bytes are written that cannot be made
    smaller.
    """
    path = directory / NAME
    known = path.exists()  # one that was given back stays so
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise NoBallast(str(error)) from error
    try:
        os.posix_fallocate(handle, 0, size)
        os.ftruncate(handle, size)  # a smaller one than before
        os.fsync(handle)
        if os.fstat(handle).st_blocks * _BLOCK < size:
            _write(handle, size)
        if os.fstat(handle).st_blocks * _BLOCK < size // 2:
            raise OSError(errno.EOPNOTSUPP, "this file system does not set room aside")  # noqa: TRY301 - as if it had said so
    except OSError as error:
        os.close(handle)
        if known:
            with contextlib.suppress(OSError):
                _empty(path)
        else:
            remove(directory)
        raise NoBallast(error.strerror or str(error)) from error
    os.close(handle)


def _empty(path: Path) -> None:
    # A link that was put there a moment ago would have what it leads to emptied.
    handle = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _write(handle: int, size: int) -> None:
    for place in range(0, size, _PIECE):
        os.pwrite(handle, os.urandom(min(_PIECE, size - place)), place)
    os.fsync(handle)


def remove(directory: Path) -> None:
    """Take the file away for good: the owner wants none."""
    with contextlib.suppress(OSError):
        (directory / NAME).unlink(missing_ok=True)
