"""Open the store's directory: one gateway at a time, a checked file, its directory entry on disk."""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path

from gateway import durable, foreign
from gateway.errors import StoreUnavailable
from gateway.outbox import ballast, connection, damage, replacing, rescue, salvage, schema, statements
from gateway.outbox.salvage import Salvaged

# A full check reads the whole file; above this size (some seconds on a slow card) it runs after the start.
LOCK = "gateway.lock"
CHECK_AT_START_BYTES = 128 * 1024 * 1024


@dataclass(slots=True)
class Opened:
    """An open store: nobody else has it until it is released."""

    conn: sqlite3.Connection
    gauge: sqlite3.Connection  # looks at the room from the event loop, never waits for a sync
    lock: int
    head: int  # the last number given out
    skipped: int  # numbers that were never given to an event
    salvaged: Salvaged | None
    unchecked: bool

    def release(self) -> None:
        """Let go of the files; the last connection to go folds the WAL back."""
        self.gauge.close()
        self.conn.close()
        os.close(self.lock)


def open_directory(directory: Path, max_bytes: int, *, mend: bool = True) -> Opened:
    """Open the store for writing; a damaged one is replaced by what can be read of it.

    Raises `StoreUnavailable` when the directory cannot be used, another gateway uses it, or it is damaged and not
    to be mended here.
    """
    lock = hold(directory)
    try:
        ballast.help_to_start(directory)
        return _open(directory, max_bytes, lock, mend=mend)
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise StoreUnavailable(
            f"The store in {directory} cannot be opened ({error}). {damage.advice(directory)}"
        ) from error
    except BaseException:
        os.close(lock)
        raise


def hold(directory: Path) -> int:
    """Take the store's directory for this process, which must close what this gives; raises `StoreUnavailable`."""
    try:
        _make(directory)
        # A link would have root write, and lock, what somebody else chose.
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StoreUnavailable(
            f"The store's directory {directory} cannot be used ({error.strerror}). {damage.advice(directory)}"
        ) from error
    found = os.fstat(lock)
    if not stat.S_ISREG(found.st_mode) or (os.geteuid() == 0 and found.st_nlink != 1):
        os.close(lock)
        raise StoreUnavailable(f"{directory / LOCK} is no file of the gateway's own: look who put it there.")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StoreUnavailable(
            f"Another gateway already uses {directory}: stop it, or set another store.path."
            if isinstance(error, BlockingIOError)
            else f"The store's directory {directory} cannot be locked ({error.strerror}): use a local disk."
        ) from error
    return lock


def _open(directory: Path, max_bytes: int, lock: int, *, mend: bool) -> Opened:
    path = directory / connection.FILE_NAME
    replacing.finish(directory)
    salvage.finish(path)
    # A clean stop folds the WAL back; somebody who only looked leaves an empty one behind.
    wal = path.with_name(path.name + "-wal")
    unclean = wal.exists() and wal.stat().st_size > 0
    large = path.exists() and path.stat().st_size > CHECK_AT_START_BYTES
    salvaged = None
    known = os.fstat(lock).st_size > 0  # written behind the first start that came so far
    problem = damage.marked(directory) or salvage.check(path, whole=unclean and not large, known=known)
    if problem is None:
        try:
            conn, head = _connect(path, max_bytes)
        except (damage.StoreDamaged, *damage.READ_ERRORS) as error:
            if not isinstance(error, damage.StoreDamaged) and not damage.is_unreadable(error):
                raise
            problem = str(error)
    if problem is not None and not mend:
        raise StoreUnavailable(
            f"The store in {directory} is damaged ({problem}), and nothing was changed. Start the gateway, which saves"
            " what can be read of it and tells what was lost; then give this command once more."
        )
    if problem is not None:
        salvaged = salvage.replace(path, problem)
        conn, head = _connect(path, max_bytes)
    try:
        durable.sync(directory)
        damage.unmark(directory)
        skipped = skipped_numbers(conn)
        gauge = connection.open_reader(path, lasting=True)
        _sign(lock)
    except BaseException:
        conn.close()
        raise
    return Opened(conn, gauge, lock, head, skipped, salvaged, unchecked=unclean and large)


def _sign(lock: int) -> None:
    """Leave the number of this process in the lock: who holds it, and that there has been a store."""
    number = f"{os.getpid()}\n".encode()
    with contextlib.suppress(OSError):  # a disk without room: the lock itself holds
        os.pwrite(lock, number, 0)
        os.ftruncate(lock, len(number))


def holder(directory: Path) -> int | None:
    """Say which process has the store; None when nobody has. Takes no lock, so it disturbs no start."""
    path = directory / LOCK
    try:
        number, inode = int(foreign.note(path)), path.lstat().st_ino
        locks = Path("/proc/locks").read_text().splitlines()
    except (OSError, ValueError):
        return None
    held = (line.split() for line in locks if " FLOCK " in line)
    ours = (str(number), str(inode))
    return number if any((one[4], one[5].rpartition(":")[2]) == ours for one in held) else None


def _connect(path: Path, max_bytes: int) -> tuple[sqlite3.Connection, int]:
    conn = connection.open_writer(path, max_bytes=max_bytes)
    try:
        schema.migrate(conn)
        # The key that pseudonyms are made with; no sink ever gets it.
        conn.execute("INSERT OR IGNORE INTO meta VALUES ('pseudonym_key', ?)", (secrets.token_hex(32),))
        schema.sign(conn)
        _check_meta(conn)
        return conn, last_number(conn)
    except BaseException:
        conn.close()
        raise


def _check_meta(conn: sqlite3.Connection) -> None:
    """Raise `StoreDamaged` when what the store remembers of itself cannot be what was written."""
    for key in rescue.NEEDED_META:
        kept = conn.execute(statements.GET_META, (key,)).fetchone()
        if kept and not rescue.is_readable_meta(key, kept[0]):
            raise damage.StoreDamaged(f"what the store remembers as {key} cannot be read")


def _make(directory: Path) -> None:
    """Create the store's directory where there is none, with those above it, each with its entry on disk."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    for made in missing:
        # A parent that may be passed but not read cannot be opened, and not every file system syncs a directory.
        with contextlib.suppress(OSError):
            durable.sync(made.parent)


def last_number(conn: sqlite3.Connection) -> int:
    """Give the last number given out, also when its row is gone."""
    kept = conn.execute(statements.GET_META, ("head",)).fetchone()
    return max(int(conn.execute(statements.LAST_SEQ).fetchone()[0]), int(kept[0]) if kept else 0)


def skipped_numbers(conn: sqlite3.Connection) -> int:
    """Say how many numbers were never given to an event, so that none is used twice after a salvage."""
    kept = conn.execute(statements.GET_META, ("skipped",)).fetchone()
    return int(kept[0]) if kept else 0
