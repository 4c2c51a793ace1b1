"""The outbox: the durable, append-only log with its cursors, letters, tallies and device book.

`append` returns when the events are on disk and not before. Everything that reads the log is told of new
entries through `follow`; the newest entries are also kept in memory, so that a sink that keeps up never
reads the disk.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from anyio import to_thread

from gateway.errors import StoreFull
from gateway.event import Event
from gateway.outbox import connection, letters, positions, salvage, space, statements
from gateway.outbox.appending import Appended, Appender
from gateway.outbox.devices import Book
from gateway.outbox.entry import Drafting, Entry, milliseconds
from gateway.outbox.letters import Bounds
from gateway.outbox.opening import last_number, open_directory
from gateway.outbox.positions import Position
from gateway.outbox.retention import Retained
from gateway.outbox.writer import Writer

T = TypeVar("T")

_TAIL_ENTRIES = 4_000
_TAIL_BYTES = 8 * 1024 * 1024
_LAZY_S = 0.25  # a settled position reaches the disk no later than this
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the owner decided about keeping."""

    directory: Path
    drafting: Drafting
    keep_days: float = 30
    max_bytes: int = 2 * 1024**3
    min_free_bytes: int = 200 * 1024**2
    when_full: str = "refuse"
    commit_queue: int = 2_000
    letters: Bounds = field(default_factory=Bounds)


class Outbox:
    """The store of one gateway. Opened once, `run` by one task, closed after the last sink."""

    def __init__(
        self, settings: Settings, conn: sqlite3.Connection, lock: int, salvaged: salvage.Salvaged | None
    ) -> None:
        self.settings = settings
        self.salvaged = salvaged
        self.path = settings.directory / connection.FILE_NAME
        self._lock = lock
        self._conn = conn
        self._gauge = connection.open_reader(
            self.path
        )  # looks at the room from the event loop, never waits for a sync
        self._book = Book(conn)
        self._appender = Appender(conn, self._book, last_number(conn))
        self._writer = Writer(
            conn,
            max_jobs=settings.commit_queue,
            before_commit=self._before_commit,
            after_commit=self._after_commit,
            after_rollback=self._appender.forget,
        )
        self._tail: deque[Entry] = deque()
        self._tail_bytes = 0
        self._followers: list[Callable[[], None]] = []
        self._lazy: dict[str, Position] = {}
        self._lazy_timer: asyncio.TimerHandle | None = None
        self._configured: dict[str, int] = {}  # sink: its window
        self.space = space.look(
            self._gauge,
            settings.directory,
            max_bytes=settings.max_bytes,
            min_free_bytes=settings.min_free_bytes,
        )
        self._looked = time.monotonic()
        self.pressed = asyncio.Event()
        self.head = self._appender.head
        self.removed_settled = 0
        self.removed_owed = 0
        self.letters_removed = 0

    @classmethod
    async def open(cls, settings: Settings) -> "Outbox":
        """Open the store, checked; a damaged file is moved aside and what can be read of it is saved.

        Raises `StoreUnavailable` when the directory cannot be used or another gateway uses it.
        """
        conn, lock, salvaged = await to_thread.run_sync(
            open_directory, settings.directory, settings.max_bytes
        )
        return cls(settings, conn, lock, salvaged)

    async def run(self) -> None:
        """Commit what is submitted until `close`."""
        await self._writer.run()

    async def close(self) -> None:
        """Take no more, commit what is there, put every position on disk, fold the WAL back."""
        self._cancel_timer()
        if self._lazy:
            await self.write(lambda _conn: None)
        self._writer.stop()

    def release(self) -> None:
        """Let go of the files; called after `run` has ended."""
        # If it cannot be folded back nothing is lost: the WAL is read at the next start.
        with contextlib.suppress(sqlite3.Error):
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._gauge.close()
        self._conn.close()
        os.close(self._lock)

    # Receiving

    async def append(self, events: Sequence[Event], received_at: datetime, path: str = "") -> Appended:
        """Put events on disk; return how many were new and how many were already there.

        Raises `StoreFull` or `StoreUnavailable`: then nothing of them is on disk.
        """
        if self.space.shortage and not self._room():
            raise StoreFull(self._full_sentence())
        drafts = [self.settings.drafting.draft(event, received_at) for event in events]
        return await self._writer.submit(lambda _conn: self._appender.append(drafts, path))

    async def keep_letter(
        self,
        *,
        stage: str,
        sender: str,
        reason: str,
        received_at: datetime,
        head: Mapping[str, object],
        body: bytes,
    ) -> None:
        """Keep a body that could not be read, with the reason; bounded per sender and in all."""
        if self.space.shortage and not self._room():
            raise StoreFull(self._full_sentence())

        def work(conn: sqlite3.Connection) -> int:
            return letters.add_parse(
                conn,
                stage=stage,
                sender=sender,
                reason=reason,
                received=milliseconds(received_at),
                head=head,
                body=body,
                bounds=self.settings.letters,
            )

        self.letters_removed += await self._writer.submit(work)

    # Following the log

    def follow(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called on the event loop after each commit that made new entries."""
        self._followers.append(wake)

    def unfollow(self, wake: Callable[[], None]) -> None:
        """Stop calling ``wake``."""
        self._followers.remove(wake)

    def recent(self, after: int, limit: int) -> Sequence[Entry] | None:
        """Give the entries after a place from memory; None when they are not all there any more."""
        if after >= self.head:
            return ()
        if not self._tail or self._tail[0].seq > after + 1:
            return None
        start = after + 1 - self._tail[0].seq
        stop = min(start + limit, len(self._tail))
        return [self._tail[index] for index in range(start, stop)]

    # Sinks

    async def enlist(self, sink: str, *, start: str, window: int) -> Position:
        """Find a sink's place, or give a new sink its place: at the "oldest" entry or at "now"."""
        self._configured[sink] = window

        def work(conn: sqlite3.Connection) -> Position:
            if start == "now":
                after = self._appender.head
            else:
                oldest = conn.execute(statements.FIRST_SEQ).fetchone()[0]
                after = self._appender.head if oldest is None else oldest - 1
            return positions.enlist(conn, sink, after=after)

        return await self.write(work)

    def dismiss(self, sink: str) -> None:
        """Keep a sink's row but let retention no longer wait for it: it is not configured any more."""
        self._configured.pop(sink, None)

    def settle(self, position: Position) -> None:
        """Note how far a sink has got; on disk with the next commit, at the latest in a quarter of a second."""
        self._lazy[position.name] = position.copy()
        if self._lazy_timer is None:
            self._lazy_timer = asyncio.get_running_loop().call_later(_LAZY_S, self._lazy_due)

    def is_settled(self, sink: str) -> bool:
        """Say whether everything that `settle` was told is on disk."""
        return sink not in self._lazy

    async def settle_now(
        self,
        position: Position,
        rejected: Iterable[tuple[Entry, str]] = (),
        answered: Iterable[int] = (),
    ) -> None:
        """Put a sink's place on disk, with the letters that belong to it; ``answered`` letters are removed."""
        snapshot = position.copy()
        kept = list(rejected)
        done = list(answered)
        now = milliseconds(datetime.now(UTC))

        def work(conn: sqlite3.Connection) -> None:
            for entry, reason in kept:
                letters.add_rejected(conn, snapshot.name, entry, reason, now)
            conn.executemany("DELETE FROM letters WHERE number = ?", [(number,) for number in done])
            self._lazy.pop(snapshot.name, None)
            positions.save(conn, snapshot)

        await self.write(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a piece of work in the next transaction."""
        return await self._writer.submit(work)

    # Health

    @property
    def commits(self) -> int:
        """Transactions since the start."""
        return self._writer.commits

    @property
    def failure(self) -> str | None:
        """Why the last transaction failed; None when it did not."""
        return self._writer.failure

    @property
    def hanging_s(self) -> float:
        """For how long the running transaction has been running."""
        since = self._writer.busy_since
        return 0.0 if since is None else time.monotonic() - since

    async def remove(self, work: Callable[[sqlite3.Connection, Retained], T]) -> T:
        """Run a removal in the next transaction; it is told what must stay."""

        def removal(conn: sqlite3.Connection) -> T:
            self._book.write()
            done = work(conn, self._retained(conn))
            self._book.forget()
            return done

        return await self.write(removal)

    def _retained(self, conn: sqlite3.Connection) -> Retained:
        settled, on_their_way = self._appender.head, []
        for name, window in self._configured.items():
            position = positions.load(conn, name)
            if position is not None:
                settled = min(settled, position.settled_up_to())
                places = [position.cursor, *(owed.first for owed in position.arrears)]
                on_their_way += [(place, place + 2 * window) for place in places]
        return Retained(settled, on_their_way)

    # Inside the writer

    def _before_commit(self, conn: sqlite3.Connection) -> tuple[Iterable[Entry], dict[str, Position]]:
        entries = self._appender.write()
        settled = dict(self._lazy)
        for position in settled.values():
            positions.save(conn, position)
        return entries, settled

    def _after_commit(self, told: Any) -> None:
        entries, settled = told
        self._appender.committed_now()
        for name, position in settled.items():
            if self._lazy.get(name) is position:
                del self._lazy[name]
        if entries:
            self.head = entries[-1].seq
            self._remember(entries)
            for wake in self._followers:
                wake()
        if time.monotonic() - self._looked > _LOOK_S and self.look().shortage:
            self.pressed.set()

    def _remember(self, entries: Sequence[Entry]) -> None:
        if self._tail and self._tail[-1].seq + 1 != entries[0].seq:
            self._tail.clear()
            self._tail_bytes = 0
        self._tail.extend(entries)
        self._tail_bytes += sum(len(entry.body) for entry in entries)
        while len(self._tail) > _TAIL_ENTRIES or self._tail_bytes > _TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft().body)

    def _lazy_due(self) -> None:
        self._lazy_timer = None
        if self._lazy:
            self._writer.nudge()

    def _cancel_timer(self) -> None:
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
            self._lazy_timer = None

    def look(self) -> space.Space:
        """Measure the room that is left."""
        self._looked = time.monotonic()
        self.space = space.look(
            self._gauge,
            self.settings.directory,
            max_bytes=self.settings.max_bytes,
            min_free_bytes=self.settings.min_free_bytes,
        )
        return self.space

    def _room(self) -> bool:
        """Look again before refusing: room may have been made."""
        self.pressed.set()
        return not self.look().shortage

    def _full_sentence(self) -> str:
        if self.space.disk_short:
            return f"The disk of {self.settings.directory} is nearly full: free some space."
        return "The store is full of events that a sink has not had yet: bring the sink back or raise store.max_bytes."
