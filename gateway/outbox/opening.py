"""Open the store's directory: one gateway at a time, a checked file, its directory entry on disk."""

import fcntl
import os
import secrets
import sqlite3
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.outbox import connection, salvage, statements


def open_directory(
    directory: Path, max_bytes: int
) -> tuple[sqlite3.Connection, int, salvage.Salvaged | None]:
    """Open the store for writing; give the connection, the lock, and what was saved if it was damaged.

    Raises `StoreUnavailable` when the directory cannot be used or another gateway uses it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = os.open(directory / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StoreUnavailable(
            f"The store's directory {directory} cannot be used ({error.strerror}): check store.path and its owner."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreUnavailable(
            f"Another gateway already uses {directory}: stop it, or set another store.path."
        ) from error
    path = directory / connection.FILE_NAME
    # A clean stop folds the WAL back and removes it.
    unclean = path.with_name(path.name + "-wal").exists()
    try:
        conn, salvaged = salvage.open_checked(path, max_bytes=max_bytes, unclean=unclean)
        _first_words(conn)
        _sync_directory(directory)
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise StoreUnavailable(
            f"The store in {directory} cannot be opened ({error}): check the disk."
        ) from error
    return conn, lock, salvaged


def _first_words(conn: sqlite3.Connection) -> None:
    """Give a new store the key that pseudonyms are made with; no sink ever gets it."""
    conn.execute("INSERT OR IGNORE INTO meta VALUES ('pseudonym_key', ?)", (secrets.token_hex(32),))


def _sync_directory(directory: Path) -> None:
    """Put the directory entry on disk: a file that was just created is not safe without it."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def last_number(conn: sqlite3.Connection) -> int:
    """Give the last number given out, also when its row is gone."""
    kept = conn.execute(statements.GET_META, ("head",)).fetchone()
    return max(int(conn.execute(statements.LAST_SEQ).fetchone()[0]), int(kept[0]) if kept else 0)
