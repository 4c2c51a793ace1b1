"""Whether the files that are open are still those at their paths: the next start would open whatever is there then.

A folder that was removed, or over which a disk was mounted, goes on being written to, as nothing fails; what it
holds would be gone, or out of sight, with the process that has it open.
"""

import contextlib
import os
from pathlib import Path


class Whereabouts:
    """The files of an open store."""

    def __init__(self, path: Path) -> None:
        self._files: dict[Path, os.stat_result] = {}
        for file in (path, path.with_name(f"{path.name}-wal")):
            with contextlib.suppress(OSError):  # without a WAL, or in memory, there is nothing to compare
                self._files[file] = file.stat()

    def lost(self) -> bool:
        """Say whether another file, or none, is where one of these was opened."""
        return any(_is_another(file, opened) for file, opened in self._files.items())


def _is_another(file: Path, opened: os.stat_result) -> bool:
    try:
        return not os.path.samestat(file.stat(), opened)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # a disk in trouble tells so by itself
        return False
