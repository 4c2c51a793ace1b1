"""The writing connection of a store, whose next commit fails, or is where the process is killed."""

import sqlite3
from collections.abc import Callable
from typing import Any


class TroubledDisk:
    """Passes everything on; only a commit is not always one."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self.fails = False  # the next commit
        self.is_full = False
        self.before: Callable[[], object] | None = None  # done right before the next commit, or behind it
        self.after: Callable[[], object] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement != "COMMIT":
            return self._conn.execute(statement, *values)
        if self.fails:
            self.fails = False
            raise sqlite3.OperationalError("disk I/O error")
        before, self.before = self.before, None
        after, self.after = self.after, None
        if before:
            before()
        done = self._conn.execute(statement)
        if after:
            after()
        return done

    @property
    def is_troubled(self) -> bool:
        """Say whether the next transaction may fail."""
        return self.fails or self.is_full

    def fill(self) -> None:
        """Let the file grow no more: what needs another page does not fit."""
        self.is_full = True
        pages = self._conn.execute("PRAGMA page_count").fetchone()[0]
        self._conn.execute(f"PRAGMA max_page_count={pages}")

    def make_room(self) -> None:
        self.fails = self.is_full = False
        self._conn.execute("PRAGMA max_page_count=500000")
