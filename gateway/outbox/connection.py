"""Open connections to the store, with the settings that the promises rest on.

``synchronous`` belongs to a connection, not to the file: it is set and read back on each one.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway import foreign
from gateway.errors import StoreUnavailable

FILE_NAME = "gateway.db"
# Of a new store; one that is there keeps its own. A commit touches a few rows here and there, and writes whole pages.
PAGE_BYTES = 1024
# With a busy writer of our own there is nobody to wait for; a person's sqlite3 shell may hold a lock for a moment.
_BUSY_TIMEOUT_MS = 5_000
# Beyond this the WAL file is cut back after a checkpoint.
_WAL_LIMIT_BYTES = 16 * 1024 * 1024
# So much is gathered in the WAL before it is folded back.
_CHECKPOINT_BYTES = 4 * 1024 * 1024
_LEAST_BYTES = 256 * 1024
_LASTING_CACHE_KB = 256


def open_writer(path: Path, *, max_bytes: int) -> sqlite3.Connection:
    """Open the one connection that writes: WAL, every commit synced, size bounded.

    ``max_bytes`` bounds the database file itself (`PRAGMA max_page_count`), not the WAL beside it.
    Raises `sqlite3.Error` as `open_reader` does.
    """
    _demand_plain(path)
    # isolation_level None: no hidden transactions; whoever writes says BEGIN.
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        _set_up(conn, path.parent, max_bytes)
    except BaseException:
        conn.close()
        raise
    return conn


def _set_up(conn: sqlite3.Connection, directory: Path, max_bytes: int) -> None:
    conn.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    conn.execute(f"PRAGMA page_size={PAGE_BYTES}")
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=FULL")
    conn.execute("PRAGMA secure_delete=ON")  # what is removed is written over; `removal.py` has the exception
    conn.execute("PRAGMA mmap_size=0")  # a write through a mapping could not be accounted for
    conn.execute("PRAGMA temp_store=MEMORY")
    conn.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
    page_bytes = conn.execute("PRAGMA page_size").fetchone()[0]
    conn.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_BYTES // page_bytes}")
    conn.execute(f"PRAGMA max_page_count={max(max_bytes // page_bytes, _LEAST_BYTES // page_bytes)}")
    mode = conn.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = conn.execute("PRAGMA synchronous").fetchone()[0]
    if (mode, synchronous) != ("wal", 2):
        raise StoreUnavailable(
            f"The file system of {directory} cannot hold the store safely (journal {mode}, sync {synchronous}): "
            "use a local disk with ext4 or similar."
        )


def compact(conn: sqlite3.Connection) -> None:
    """Write the file anew, so that no byte of what was removed is left in it, and empty the WAL."""
    conn.execute("VACUUM")
    empty_wal(conn)


def empty_wal(conn: sqlite3.Connection) -> None:
    """Fold the WAL back and cut it to nothing; who still reads is waited for."""
    busy, *_ = conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("somebody is still reading the store")


def open_reader(path: Path, *, lasting: bool = False) -> sqlite3.Connection:
    """Open a connection that cannot write, for forwarders, pages and commands; ``lasting``: as long as the daemon.

    Raises `sqlite3.Error`: root follows no link to a file of somebody else's, and waits for no pipe.
    """
    _demand_plain(path)
    uri = f"{path.absolute().as_uri()}?mode=ro"  # quoted: a path may hold what means something in an address
    conn = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    conn.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    conn.execute("PRAGMA query_only=1")
    if (
        lasting
    ):  # each commit of the writer makes its pages worthless, and 2 MB of them would stay all the same
        conn.execute(f"PRAGMA cache_size={-_LASTING_CACHE_KB}")
    return conn


def _demand_plain(path: Path) -> None:
    if os.geteuid() == 0 and os.path.lexists(path) and not foreign.is_plain(path):
        raise sqlite3.OperationalError(f"{path.name} is a link, or no plain file")


@contextmanager
def one_look(conn: sqlite3.Connection) -> Iterator[None]:
    """See one state of the store in all that is read inside, whatever is committed meanwhile."""
    if conn.in_transaction:  # whoever began it sees one state already
        yield
        return
    conn.execute("BEGIN")
    try:
        yield
    finally:
        conn.execute("ROLLBACK")  # nothing was written
