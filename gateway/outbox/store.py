"""The outbox: the durable, append-only log with its cursors, letters, tallies and device book.

`append` returns when the events are on disk and not before. Everything that reads the log is told of new
entries through `follow`; the newest entries are also kept in memory (`tail.py`).
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from anyio import to_thread

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.event import Event
from gateway.outbox import connection, damage, epochs, letters, opening, pictures, polls, reading, salvage
from gateway.outbox.admission import Admission
from gateway.outbox.ages import Ages
from gateway.outbox.appending import Appended, Appender
from gateway.outbox.arrivals import Arrivals
from gateway.outbox.desk import Desk
from gateway.outbox.devices import Book
from gateway.outbox.entry import Entry, Flag, milliseconds
from gateway.outbox.held import Push
from gateway.outbox.lifelines import Verdict, enter
from gateway.outbox.pictures import Picture
from gateway.outbox.places import Places
from gateway.outbox.polls import PollCursor
from gateway.outbox.positions import Position
from gateway.outbox.recent import Recent
from gateway.outbox.retention import Removed, Retained
from gateway.outbox.room import Room
from gateway.outbox.settings import Settings
from gateway.outbox.signs import Signs
from gateway.outbox.space import Space
from gateway.outbox.strangers import Admitted, Caller
from gateway.outbox.tail import Tail
from gateway.outbox.writer import Writer
from gateway.outbox.zone_keeping import ZoneKeeping

T = TypeVar("T")


@dataclass(slots=True)
class _Removal:
    """What the running transaction removed."""

    up_to: int = 0
    expired: dict[str, int] = field(default_factory=dict)  # the accounts of the sinks


class Outbox:
    """The store of one gateway. Opened once, `run` by one task, closed after the last sink."""

    def __init__(self, settings: Settings, opened: opening.Opened) -> None:
        self.settings = settings
        self.salvaged = opened.salvaged
        self.restored = epochs.restored(opened.conn)
        self.unchecked = opened.unchecked  # too large to be checked before the start, after an unclean stop
        self.path = settings.directory / connection.FILE_NAME
        self._opened = opened
        self._conn = opened.conn
        self._book = Book(opened.conn)
        self._appender = Appender(opened.conn, self._book, opened.head, lambda: self.settings)
        self._admission = Admission(opened.conn, self._book)
        self._skipped = opened.skipped
        self._writer = Writer(
            opened.conn,
            max_jobs=settings.commit_queue,
            before_commit=self._before_commit,
            after_commit=self._after_commit,
            after_rollback=self._after_rollback,
        )
        self._places = Places(self._writer.nudge)
        self.desk = Desk(self._admission, self._appender, self._roomy, self.write)
        self.zones = ZoneKeeping(self._appender, self.write)
        self._removal = _Removal()
        self._removals = 0  # steps of retention that removed something, rolled back or not
        self._tail = Tail()
        self._ages = Ages(opened.head)
        self._followers: list[Callable[[], None]] = []
        self._room = Room(opened.gauge)
        self._room.look(settings)
        self.head = self._appender.head
        self.key = bytes.fromhex(reading.meta(opened.conn, "pseudonym_key") or "")  # what marks are made with
        self.letters_removed = 0

    @classmethod
    async def open(cls, settings: Settings) -> "Outbox":
        """Open the store, checked; a damaged file is moved aside and what can be read of it is saved.

        Raises `StoreUnavailable` when the directory cannot be used or another gateway uses it.
        """
        opened = await to_thread.run_sync(opening.open_directory, settings.directory, settings.max_bytes)
        try:
            return cls(settings, opened)
        except damage.READ_ERRORS as error:
            opened.release()
            if opened.salvaged is not None or not damage.is_unreadable(error):
                raise
            # A page that the look at the start did not need: now every page is looked at.
            damage.mark(settings.directory, str(error))
        return cls(
            settings, await to_thread.run_sync(opening.open_directory, settings.directory, settings.max_bytes)
        )

    async def run(self) -> None:
        """Commit what is submitted until `close`; raises `StoreDamaged` when nobody may write any more."""
        try:
            await self._writer.run()
        except damage.StoreDamaged as found:
            damage.mark(self.settings.directory, str(found))
            raise

    async def close(self) -> None:
        """Take no more, commit what is there, put every position on disk."""
        self._places.stop()
        if not self._places.all_settled:
            # A place that cannot be noted now costs no event: its sink gets the last ones once more.
            with contextlib.suppress(StoreUnavailable):
                await self.write(lambda _conn: None)
        self._places.stop()
        self._writer.stop()

    def release(self) -> None:
        """Fold the WAL back and let go of the files; called after `run` has ended."""
        # If it cannot be folded back nothing is lost: the WAL is read at the next start.
        with contextlib.suppress(sqlite3.Error):
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._opened.release()

    # Receiving

    async def append(
        self,
        events: Sequence[Event],
        received_at: datetime,
        path: str = "",
        *,
        cursor: PollCursor | None = None,
        shown: Sequence[Picture] = (),
        caller: Caller | None = None,
        unsynced: bool | None = None,
    ) -> Appended:
        """Put events on disk, with the place of the poll that brought them and the rows of pictures ``shown`` in them.

        What came in earlier says by ``unsynced`` whether our clock could be believed then; it is no sign of life.
        With a ``caller`` nobody has vouched for the devices in them: those that are not adopted are held.

        Raises `StoreFull` or `StoreUnavailable`: then nothing of them is on disk. Raises `Unreadable`
        for events that could not be given back as they are.
        """
        self._room.demand(self.settings)
        drafting = self.settings.drafting
        drafts = [drafting.draft(event, received_at, unsynced=unsynced) for event in events]
        if cursor is None and not shown and caller is None:
            return await self._writer.submit(lambda _conn: self._appender.append(drafts, path))
        received = milliseconds(received_at)
        if unsynced is None:
            unsynced = not clock.vouches(received_at)

        def work(conn: sqlite3.Connection) -> Appended:
            admitted = Admitted(drafts)
            if caller is not None:
                doubted = any(draft.flags & Flag.UNSYNCED for draft in drafts)
                push = Push(caller.introducer, caller.address, path, received, doubted)
                admitted = self._admission.admit(self.settings.admission, caller, events, drafts, push)
            if cursor is not None:
                polls.save(conn, cursor, received)
            appended = self._appender.append(admitted.drafts, path)
            if len(admitted.drafts) == len(drafts):
                pictures.add(conn, shown, received, unsynced=unsynced)  # of what is held none is kept
                return appended
            repeated = appended.duplicates + admitted.repeated
            held, ignored = admitted.held, admitted.ignored
            return Appended(appended.new, repeated, appended.first_seq, held, ignored, apart=True)

        return await self._writer.submit(work)

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
        self._room.demand(self.settings)
        letter = letters.Body(stage, sender, reason, milliseconds(received_at), head, body)
        bounds = self.settings.letters
        self.letters_removed += await self.write(lambda conn: letters.add_body(conn, letter, bounds))

    def take_impossible(self) -> Mapping[str, tuple[int, int]]:
        """Give the devices that stated an instant that cannot be since this was asked last: it, and its receipt (ms)."""
        taken, self._appender.impossible = self._appender.impossible, {}
        return taken

    # Liveness

    @property
    def signs(self) -> Signs:
        """When each device was heard, and how regularly."""
        return self._book.signs

    async def enter(self, verdicts: Sequence[Verdict]) -> list[str | None]:
        """Say what became of devices, in the log and in the book; give what the book says of each then."""
        now = clock.now()

        def work(_conn: sqlite3.Connection) -> list[str | None]:
            drafting = self.settings.drafting
            return [enter(self._appender, self._book, drafting, verdict, now) for verdict in verdicts]

        return await self.write(work)

    @property
    def arrivals(self) -> Arrivals:
        """What came in since the start."""
        return self._appender.arrivals

    # What was counted of late

    @property
    def sums(self) -> Recent:
        """The sums of the last hour."""
        return self._appender.recent

    async def remember(self) -> None:
        """Read the last hours from the log, so that their sums are known."""
        await to_thread.run_sync(self.sums.rebuild, self.path)
        self.sums.ready.set()

    # Following the log

    def follow(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called on the event loop after each commit that made new entries."""
        self._followers.append(wake)

    def unfollow(self, wake: Callable[[], None]) -> None:
        """Stop calling ``wake``."""
        self._followers.remove(wake)

    def waited_s(self, seq: int) -> float | None:
        """Say how long ago an entry came, by the steady clock; None when that was before the start."""
        return self._ages.waited_s(seq)

    def recent(self, after: int, limit: int) -> Sequence[Entry] | None:
        """Give the entries after a place from memory; None when they are not all there any more."""
        return () if after >= self.head else self._tail.after(after, limit)

    @property
    def received(self) -> int:
        """Events accepted since the store began."""
        return self.head - self._skipped

    # Sinks

    def expect(self, sink: str, window: int) -> None:
        """Keep what a sink is owed, also while it cannot be used."""
        self._places.expect(sink, window)

    async def enlist(self, sink: str, *, start: str, window: int) -> Position:
        """Find a sink's place, or give a new sink its place: at the "oldest" entry or at "now"."""
        self._places.expect(sink, window)
        # Where the places were lost nobody knows what this sink has had: twice is better than never.
        from_now = start == "now" and not (self.salvaged and self.salvaged.places_lost)
        position = None
        while position is None:
            removals = self._removals
            owed = await to_thread.run_sync(reading.survey, self.path, sink, from_now)
            position = await self.write(partial(self._enlist, sink, owed, removals))
        self._places.hand_out(position)
        return position

    def _enlist(
        self, sink: str, owed: reading.Survey, removals: int, conn: sqlite3.Connection
    ) -> Position | None:
        if removals != self._removals:
            return None  # what was counted has changed meanwhile
        self._book.write()  # the account of each device begins at its counter
        return self._places.enlist(conn, sink, owed, self._appender.head)

    def dismiss(self, sink: str) -> None:
        """Keep a sink's row but let retention no longer wait for it: it is not configured any more."""
        self._places.dismiss(sink)

    def settle(self, position: Position) -> None:
        """Note how far a sink has got; on disk with the next commit, at the latest in a quarter of a second."""
        self._places.settle(position)

    def is_settled(self, sink: str) -> bool:
        """Say whether everything that `settle` was told is on disk."""
        return self._places.is_settled(sink)

    async def settle_now(
        self,
        position: Position,
        rejected: Iterable[tuple[Entry, str]] = (),
        answered: Iterable[int] = (),
    ) -> None:
        """Put a sink's place on disk, with the letters that belong to it; ``answered`` letters are removed."""
        note = self._places.note(position)
        kept, done = list(rejected), [(number,) for number in answered]
        now = clock.now_ms()

        def work(conn: sqlite3.Connection) -> None:
            for entry, reason in kept:
                letters.add_rejected(conn, note.position.name, entry, reason, now)
            conn.executemany("DELETE FROM letters WHERE number = ?", done)
            self._places.save(conn, note)

        await self.write(work)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a piece of work in the next transaction."""
        return await self._writer.submit(work)

    async def remove(self, step: Callable[[sqlite3.Connection, Retained], Removed]) -> Removed:
        """Run a step of a removal in the next transaction; it is told what must stay."""

        def work(conn: sqlite3.Connection) -> Removed:
            removed = step(conn, self._places.retained(conn, self._appender.head))
            if removed.rows:
                self._removals += 1
                self._book.read_pruned()
                self._removal.up_to = max(self._removal.up_to, removed.up_to)
                self._removal.expired = dict(conn.execute("SELECT name, expired FROM sinks").fetchall())
            return removed

        return await self.write(work)

    async def amend(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work that changes entries of the log, in the next transaction; nothing in memory shows them as they were."""

        def done(conn: sqlite3.Connection) -> T:
            self._book.write()
            result = work(conn)
            self._book.forget()
            self._removal.up_to = self._appender.head  # the tail is read from the disk again
            return result

        return await self.write(done)

    async def compact(self) -> None:
        """Write the file anew without the remains of what was removed, and empty the WAL; nobody is served meanwhile."""
        await self._writer.alone(connection.compact)

    async def empty_wal(self) -> None:
        """Empty the WAL, which still holds what was removed."""
        await self._writer.alone(connection.empty_wal)

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
    def refused(self) -> asyncio.Event:
        """Set when a transaction failed."""
        return self._writer.refused

    @property
    def hanging_s(self) -> float:
        """For how long the writer has been at one step, such as a commit; 0 while it has nothing to do."""
        return self._writer.hanging_s

    def damaged(self, found: damage.StoreDamaged) -> None:
        """Stop writing for good: somebody found the file damaged. The next start saves what can be read."""
        self._writer.damaged(found)

    async def check_whole(self) -> None:
        """Read the whole file once, beside the work, if that was too much for the start."""
        if self.unchecked:
            problem = await salvage.check_beside(self.path)
            self.unchecked = False
            if problem is not None:
                self.damaged(damage.StoreDamaged(f"The store's file is damaged ({problem})."))

    @property
    def space(self) -> Space:
        """The room that was left at the last look."""
        return self._room.space

    @property
    def pressed(self) -> asyncio.Event:
        """Set when room should be made."""
        return self._room.pressed

    def look(self) -> Space:
        """Measure the room that is left."""
        return self._room.look(self.settings)

    def _roomy(self) -> Settings:
        """Give the settings, or raise `StoreFull`."""
        self._room.demand(self.settings)
        return self.settings

    # Inside the writer

    def _before_commit(self, conn: sqlite3.Connection) -> tuple[Sequence[Entry], _Removal]:
        entries = self._appender.write()
        self._places.save_waiting(conn)
        removal, self._removal = self._removal, _Removal()
        return entries, removal

    def _after_rollback(self) -> None:
        self._appender.forget()
        self._places.rolled_back()
        self._removal = _Removal()
        self._admission.forget()

    def _after_commit(self, told: tuple[Sequence[Entry], _Removal]) -> None:
        entries, removal = told
        self._appender.committed_now()
        self.desk.committed()
        self._places.committed(removal.expired)
        self._tail.add(entries)
        if removal.up_to:
            self._tail.forget(removal.up_to)
        self._room.look_again(self.settings)
        if entries:
            self.head = entries[-1].seq
            self._ages.note(self.head)
            for wake in self._followers:
                wake()
