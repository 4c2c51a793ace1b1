"""Open a copy of a store whose head is gone under the head of a fresh one: the tables lie in the same places."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.outbox import connection, disk, schema
from gateway.outbox.damage import READ_ERRORS

_SIDES = ("", "-wal", "-shm", "-journal")
_WAL_MODE = b"\x02\x02"  # at 18: file format of writers and readers
_ROOM = 3  # times the file: for the copy, and for what is saved of it


@contextlib.contextmanager
def opened(damaged: Path) -> Iterator[sqlite3.Connection | None]:
    """Give a connection that reads the copy; None when there is no room, or when the places are not the same."""
    scratch = damaged.with_name(f"{damaged.name}.rescue-head")
    conn = None
    try:
        with contextlib.suppress(OSError, *READ_ERRORS):
            conn = _open(damaged, scratch)
        yield conn
    finally:
        if conn is not None:
            conn.close()
        _remove(scratch)


def _open(damaged: Path, scratch: Path) -> sqlite3.Connection | None:
    size = damaged.stat().st_size
    if size < connection.PAGE_BYTES or disk.free(damaged.parent) < _ROOM * size:
        return None
    head = _fresh_head(scratch, size // connection.PAGE_BYTES)
    shutil.copyfile(damaged, scratch)
    wal = damaged.with_name(damaged.name + "-wal")
    if wal.exists():
        shutil.copyfile(wal, scratch.with_name(scratch.name + "-wal"))
    with scratch.open("r+b") as file:
        file.write(head)
    conn = connection.open_reader(scratch)
    try:
        if all(_fits(conn, table) for table in schema.TABLES if table != "events"):
            return conn
    except READ_ERRORS:
        conn.close()
        return None
    conn.close()
    return None


def _fits(conn: sqlite3.Connection, table: str) -> bool:
    return bool(conn.execute(f"PRAGMA quick_check({table})").fetchone()[0] == "ok")


def _fresh_head(scratch: Path, page_count: int) -> bytes:
    """Make a store, and give its first page with the size of the damaged one."""
    _remove(scratch)
    with contextlib.closing(sqlite3.connect(scratch, isolation_level=None)) as conn:
        conn.execute(f"PRAGMA page_size={connection.PAGE_BYTES}")
        conn.execute("PRAGMA synchronous=OFF")
        schema.migrate(conn)
    head = bytearray(scratch.read_bytes()[: connection.PAGE_BYTES])
    _remove(scratch)
    head[18:20] = _WAL_MODE
    head[28:32] = page_count.to_bytes(4, "big")
    head[32:40] = bytes(8)  # which pages are free nobody asks: it is only read
    return bytes(head)


def _remove(scratch: Path) -> None:
    for suffix in _SIDES:
        scratch.with_name(scratch.name + suffix).unlink(missing_ok=True)
