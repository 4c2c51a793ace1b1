"""Lets two files change places in one step, which the system can and Python cannot say."""

import os
from pathlib import Path

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE


def exchange(one: Path, other: Path) -> bool:
    """Exchange two files of one folder; False when the file system, the kernel or the C library cannot."""
    try:
        import ctypes  # noqa: PLC0415 - a box that forbids what it needs in memory goes the other way

        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, MemoryError, OSError, AttributeError):
        return False
    return bool(renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)
