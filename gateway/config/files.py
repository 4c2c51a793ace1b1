"""Reads a file once, without ever waiting for it, and says what it is."""

import os
import stat
from pathlib import Path

from gateway.errors import ConfigError


class NotAFileError(ConfigError):
    """This is not a file."""


def read_file(path: Path, limit: int) -> tuple[bytes, int]:
    """Read up to ``limit`` bytes; give them with the mode of the very file that they come from.

    Raises OSError, `NotAFileError`, or ValueError for a name that no file can have.
    """
    # Without O_NONBLOCK a pipe of that name would hold the start for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise NotAFileError
        parts = []
        while limit > 0 and (part := os.read(descriptor, limit)):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts), mode
    finally:
        os.close(descriptor)
