"""How entries of the log go or change while the gateway runs, and what in memory must hear of it."""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.outbox import connection
from gateway.outbox.appending import Appender
from gateway.outbox.devices import Book
from gateway.outbox.places import Places
from gateway.outbox.retention import Removed, Retained
from gateway.outbox.writer import Writer

T = TypeVar("T")


@dataclass(slots=True)
class Gone:
    """What a transaction removed or changed."""

    up_to: int = 0  # entries up to here are not what they were
    expired: dict[str, int] = field(default_factory=dict)  # the accounts of the sinks
    amended: set[int] = field(default_factory=set)  # numbers of entries that have lost something


class Rewriting:
    """Removes and amends in the writer's transactions, and empties the file of the remains between two of them."""

    def __init__(self, writer: Writer, places: Places, appender: Appender, book: Book) -> None:
        self._writer, self._places = writer, places
        self._appender, self._book = appender, book
        self._gone = Gone()  # of the running transaction
        self.removals = 0  # steps of retention that removed something, rolled back or not
        self._holding = 0  # so many want the log to stay as it is for a moment
        self._watches: list[Callable[[Collection[int]], None]] = []

    async def remove(self, step: Callable[[sqlite3.Connection, Retained], Removed]) -> Removed:
        """Run a step of a removal in the next transaction; it is told what must stay."""

        def work(conn: sqlite3.Connection) -> Removed:
            if self._holding:
                return Removed()
            removed = step(conn, self._places.retained(conn, self._appender.head))
            if removed.rows:
                self.removals += 1
                self._book.read_pruned()
                self._gone.up_to = max(self._gone.up_to, removed.up_to)
                self._gone.expired = dict(conn.execute("SELECT name, expired FROM sinks").fetchall())
            return removed

        return await self._writer.submit(work)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have removals find nothing meanwhile; one that is under way still ends."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1

    async def amend(
        self, work: Callable[[sqlite3.Connection], T], amended: Callable[[T], Collection[int]]
    ) -> T:
        """Run work that changes entries of the log, in the next transaction; nothing in memory shows them as they were.

        ``amended`` gives their numbers: who has them in hand is told before this returns.
        """

        def done(conn: sqlite3.Connection) -> T:
            self._book.write()
            result = work(conn)
            self._book.forget()
            self._gone.up_to = self._appender.head  # the tail is read from the disk again
            self._gone.amended.update(amended(result))
            return result

        return await self._writer.submit(done)

    def watch(self, watch: Callable[[Collection[int]], None]) -> None:
        """Have ``watch`` called on the event loop with the numbers of entries that were amended, once that is on disk."""
        self._watches.append(watch)

    def unwatch(self, watch: Callable[[Collection[int]], None]) -> None:
        """Stop calling ``watch``."""
        self._watches.remove(watch)

    def committed(self, gone: Gone) -> None:
        """Tell who has amended entries in hand."""
        if gone.amended:
            for watch in self._watches:
                watch(gone.amended)

    async def compact(self) -> None:
        """Write the file anew without the remains of what was removed, and empty the WAL; nobody is served meanwhile."""
        await self._writer.alone(connection.compact)

    async def empty_wal(self) -> None:
        """Empty the WAL, which still holds what was removed."""
        await self._writer.alone(connection.empty_wal)

    # In the writer's thread

    def take(self) -> Gone:
        """Give what the transaction that is about to be committed removed; the next one begins with nothing."""
        gone, self._gone = self._gone, Gone()
        return gone

    def rolled_back(self) -> None:
        """Forget what the transaction would have removed."""
        self._gone = Gone()
