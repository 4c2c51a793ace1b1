"""Writes a file so that a power cut or a full disk leaves the old one or the new one, whole, and nothing beside it."""

import contextlib
import errno
import os
from pathlib import Path


def put(path: Path, content: bytes, *, mode: int, group: int | None = None) -> None:
    """Replace a file at once. Raises OSError; then the file is what it was before."""
    fresh = path.with_name(f".{path.name}.new")
    write_new(fresh, content, mode=mode, group=group)
    try:
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_new(path: Path, content: bytes, *, mode: int, group: int | None = None) -> None:
    """Write a file that is not yet in use; on the disk with its content, gone again where that fails."""
    path.unlink(missing_ok=True)  # of a time that was cut off
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if group is not None and os.fstat(handle).st_gid != group:
            os.fchown(handle, -1, group)
        with contextlib.suppress(PermissionError):  # FAT has no modes
            os.fchmod(handle, mode)  # before anything is in it
        write_all(handle, content)
        os.fsync(handle)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def write_all(handle: int, content: bytes) -> None:
    """Write all of it: the system may take a part at a time."""
    while content:
        content = content[os.write(handle, content) :]


def sync(path: Path) -> None:
    """Put a file, or the names in a folder, on disk: a file that was just made is not safe without its name."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems sync no folder; then the file's own sync must do
            raise
    finally:
        os.close(handle)
