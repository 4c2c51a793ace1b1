"""Whether the files that are open are still those at their paths: the next start would open whatever is there then.

A folder that was removed, or over which a disk was mounted, goes on being written to, as nothing fails; what it
holds would be gone, or out of sight, with the process that has it open.
"""

import contextlib
import os
from pathlib import Path

Identity = tuple[int, int]  # of a file: device and inode


class Whereabouts:
    """The files of an open store."""

    def __init__(self, path: Path) -> None:
        self._files: dict[str, Identity] = {}
        for file in (str(path), f"{path}-wal"):
            with contextlib.suppress(OSError):  # without a WAL there is nothing to compare
                self._files[file] = _identity(file)

    def lost(self) -> bool:
        """Say whether another file, or none, is where one of these was opened; asked for each push."""
        try:
            return any(_identity(file) != opened for file, opened in self._files.items())
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # a disk in trouble tells so by itself
            return False


def _identity(file: str) -> Identity:
    stated = os.stat(file)  # noqa: PTH116 - a path object takes twice as long
    return stated.st_dev, stated.st_ino
