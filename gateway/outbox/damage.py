"""Tell damage of the store's file from trouble that passes, and remember it until the next start.

Nobody may write to a damaged file: the gateway ends, is started again, and the start saves what can be
read (`salvage.py`). The mark makes sure of that, because a quick look may not find the damaged page again.
"""

import contextlib
import errno
import os
import re
import sqlite3
from pathlib import Path

from gateway import durable, foreign
from gateway.errors import DISK_ADVICE, StoreUnavailable

MARK = "gateway.damaged"


# What was told around the reason; it is told again with other words around it.
_AROUND = re.compile(r"The (?:store's file is damaged|log cannot be read) \((.*)\)[;:] [^()]*", re.DOTALL)


class StoreDamaged(StoreUnavailable):
    """The store's file is damaged: the gateway has to start again to save what can be read of it."""


# What reading a damaged file may raise; Python cannot always decode SQLite's own words about it.
READ_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
# Not every I/O error: a full disk has some too, and there nothing is wrong with the file.
_BAD_SECTOR = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
    8202,  # SQLITE_IOERR_DATA, for which Python has no name yet
}


def is_damage(error: BaseException) -> bool:
    """Say whether the file itself was found wrong, by SQLite or by Python: no text where text was written."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return _is_undecodable(error) or code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _is_undecodable(error: BaseException) -> bool:
    """Say whether Python could not read a text that SQLite gave it; such an error of its own has no code."""
    python = isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")
    return isinstance(error, UnicodeDecodeError) or (python and "not decode" in str(error))


def is_unreadable(error: BaseException) -> bool:
    """Say whether a part of the file cannot be had: damaged, or on a bad sector."""
    return is_damage(error) or getattr(error, "sqlite_errorcode", None) in _BAD_SECTOR


def bare(reason: str) -> str:
    """Give the reason without the sentence around it."""
    around = _AROUND.fullmatch(reason)
    return around[1] if around else reason


def advice(directory: Path) -> str:
    """Say what to do about a store that cannot be opened: whose files they are, or what became of the disk."""
    # Not its own method, which raises in front of a folder that this user may not enter.
    while not os.path.exists(directory) and directory != directory.parent:  # noqa: PTH110
        directory = directory.parent
    with contextlib.suppress(OSError):
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            return f"Its file system takes no writes. {DISK_ADVICE}"
    return f"Check store.path and the owner of the files. {DISK_ADVICE}"


def mark(directory: Path, reason: str) -> None:
    """Have the next start salvage the store."""
    # A disk that takes not even this is found damaged by the check of that start.
    with contextlib.suppress(OSError):
        durable.put(directory / MARK, bare(reason).encode("utf-8", "replace"), mode=0o640)


def marked(directory: Path) -> str | None:
    """Say why the last run wanted a salvage; None when it did not."""
    try:
        return foreign.note(directory / MARK) or "damaged"
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return "damaged"  # it is there, whatever it is


def unmark(directory: Path) -> None:
    """Forget the mark: the salvage is done."""
    (directory / MARK).unlink(missing_ok=True)
