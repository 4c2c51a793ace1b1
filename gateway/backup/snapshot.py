"""Copy a store as it is at one moment, beside a daemon that goes on writing to it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from gateway.backup import inspecting
from gateway.errors import GatewayError
from gateway.outbox import connection, disk

_PAGES = 1024  # copied between two looks at the WAL
_WAL_MOST = 256 << 20


def store_bytes(directory: Path) -> int:
    """Say how large a copy can become."""
    parts = (directory / (connection.FILE_NAME + suffix) for suffix in ("", "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def copy(directory: Path, fresh: Path, watch: Callable[[], None]) -> None:
    """Copy the store into ``fresh``, a file that is there and empty; ``watch`` may raise between two pieces.

    One read transaction holds the moment. No writer waits for it, but the WAL cannot be cut while it lasts.
    """
    wal = directory / (connection.FILE_NAME + "-wal")
    most = _size(wal) + min(_WAL_MOST, disk.free(directory) // 4)

    def looked(_status: int, _left: int, _of: int) -> None:
        if _size(wal) > most:
            raise GatewayError(
                "The backup was given up: so much came in meanwhile that the store's WAL grew beyond its bound."
                " Take it at a quieter hour, or to a faster disk."
            )
        watch()

    with (
        closing(connection.open_reader(directory / connection.FILE_NAME)) as source,
        closing(sqlite3.connect(fresh, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("PRAGMA synchronous=OFF")
        with connection.one_look(source):
            source.execute("SELECT 1 FROM meta").fetchone()  # from here on nothing changes for us
            source.backup(target, pages=_PAGES, progress=looked)


def settle(fresh: Path) -> None:
    """Make one file of the copy, and look at every page of it; raises `GatewayError` when it is not whole."""
    with closing(sqlite3.connect(fresh, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
        inspecting.leave_out(conn)  # what a person has added with a shell: a restore would refuse it
        for kind, name in inspecting.strangers(conn):
            raise GatewayError(
                f"The store holds a {kind} {name[:60]!r} that a restore would refuse: drop it first."
            )
        found = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise GatewayError(
            f"The store is damaged ({found}), so there is no backup of it: restart the gateway,"
            " which saves what can be read."
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
