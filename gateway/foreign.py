"""Look into a folder that somebody else owns: what he lays there leads root no further than he gets himself."""

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

NOTE_BYTES = 8_192  # of a file that holds a sentence or a number
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would hold who opens it for ever
_NOBODY = 65534


def opened(path: Path) -> BinaryIO:
    """Open a plain file to read it. Raises `OSError`, with ELOOP where a link, a pipe, a device or a folder lies."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link, a socket
            raise _no_file(path) from None
        raise
    if not _is_own(os.fstat(handle)):
        os.close(handle)
        raise _no_file(path)
    return os.fdopen(handle, "rb")


def read(path: Path, most: int) -> bytes:
    """Give up to ``most`` bytes of a plain file. Raises `OSError` as `opened` does."""
    with opened(path) as file:
        return file.read(most)


def note(path: Path) -> str:
    """Give what a small file says, on one line. Raises `OSError` as `opened` does."""
    return " ".join(read(path, NOTE_BYTES).decode("utf-8", "replace").split())


def is_plain(path: Path) -> bool:
    """Say whether a plain file lies there now, for a library that opens it by its name. Raises `OSError`."""
    return _is_own(path.lstat())


def _is_own(found: os.stat_result) -> bool:
    # A second name of a file of root's is as good as a link to it.
    return stat.S_ISREG(found.st_mode) and (os.geteuid() != 0 or found.st_nlink == 1)


def _no_file(path: Path) -> OSError:
    said = f"{path.name} is a link, or no plain file: look who put it there"
    return OSError(errno.ELOOP, said, str(path))


def is_of_somebody_else(directory: Path) -> bool:
    """Say whether root would write in a folder that is neither his own nor of who typed `sudo`."""
    return os.geteuid() == 0 and str(_nearest(directory).st_uid) not in {"0", os.environ.get("SUDO_UID")}


@contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """Have root act as whom a folder, or the nearest one above it, belongs to: its links lead no further than he gets."""
    if os.geteuid() or not (owner := _nearest(directory)).st_uid:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups([])
        os.setegid(owner.st_gid or _group_of(owner.st_uid))
        os.seteuid(owner.st_uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _nearest(directory: Path) -> os.stat_result:
    directory = directory.absolute()
    while not directory.exists():
        directory = directory.parent
    return directory.stat()


def _group_of(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid or _NOBODY
    except KeyError:
        return _NOBODY
