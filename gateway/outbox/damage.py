"""Tell damage of the store's file from trouble that passes, and remember it until the next start.

Nobody may write to a damaged file: the gateway ends, is started again, and the start saves what can be
read (`salvage.py`). The mark makes sure of that, because a quick look may not find the damaged page again.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from gateway.errors import StoreUnavailable

MARK = "gateway.damaged"


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
    """Say whether SQLite found the file itself wrong."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_unreadable(error: BaseException) -> bool:
    """Say whether a part of the file cannot be had: damaged, on a bad sector, or no text where text was."""
    code = getattr(error, "sqlite_errorcode", None)
    undecodable = code is None and isinstance(error, sqlite3.OperationalError | UnicodeDecodeError)
    return is_damage(error) or undecodable or code in _BAD_SECTOR


def mark(directory: Path, reason: str) -> None:
    """Have the next start salvage the store."""
    # A disk that takes not even this is found damaged by the check of that start.
    with contextlib.suppress(OSError):
        handle = os.open(directory / MARK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        try:
            os.write(handle, reason.encode("utf-8", "replace"))
            os.fsync(handle)
        finally:
            os.close(handle)


def marked(directory: Path) -> str | None:
    """Say why the last run wanted a salvage; None when it did not."""
    try:
        return (directory / MARK).read_text("utf-8", "replace") or "damaged"
    except FileNotFoundError:
        return None


def unmark(directory: Path) -> None:
    """Forget the mark: the salvage is done."""
    (directory / MARK).unlink(missing_ok=True)
