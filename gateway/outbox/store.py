"""The outbox: the durable, append-only log with its cursors, letters, tallies and device book.

`append` returns when the events are on disk and not before. Everything that reads the log is told of new
entries through `follow`; the newest entries are also kept in memory (`tail.py`). What else is asked of it has a
side of its own: `sinks` for the forwarders, `rewriting` for who removes or erases, `room`, `desk` and `zones`.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from anyio import to_thread

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.event import Event
from gateway.outbox import connection, damage, epochs, identity, letters, opening, reading, salvage
from gateway.outbox.admission import Admission
from gateway.outbox.appending import Appended, Appender
from gateway.outbox.desk import Desk
from gateway.outbox.devices import Book
from gateway.outbox.entry import Entry, milliseconds
from gateway.outbox.following import Following
from gateway.outbox.lifelines import Verdict, enter
from gateway.outbox.pictures import Picture
from gateway.outbox.places import Places
from gateway.outbox.polls import PollCursor
from gateway.outbox.receiving import Receiving
from gateway.outbox.rewriting import Gone, Rewriting
from gateway.outbox.room import Room
from gateway.outbox.settings import Settings
from gateway.outbox.sinks import Sinks
from gateway.outbox.strangers import Caller
from gateway.outbox.writer import Writer
from gateway.outbox.zone_keeping import ZoneKeeping

T = TypeVar("T")


class Outbox:
    """The store of one gateway. Opened once, `run` by one task, closed after the last sink."""

    def __init__(self, settings: Settings, opened: opening.Opened) -> None:
        self.settings = settings
        self.salvaged = opened.salvaged
        self.restored = epochs.restored(opened.conn)
        self.gateway_id = identity.spoken(opened.conn)  # None: it has not spoken to a far end yet
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
        self._receiving = Receiving(self._admission, self._appender, lambda: self.settings)
        self._following = Following(opened.head)
        self.room = Room(opened.gauge, lambda: self.settings)
        self.room.look()
        self.rewriting = Rewriting(self._writer, self._places, self._appender, self._book)
        self.sinks = Sinks(self.path, self._writer, self._places, self._appender, self._book, self.rewriting)
        self.desk = Desk(self._admission, self._appender, self.room.demand, self.write)
        self.zones = ZoneKeeping(self._appender, self.write)
        self.key = bytes.fromhex(reading.meta(opened.conn, "pseudonym_key") or "")  # what marks are made with
        self.letters_removed = 0
        self.signs = self._book.signs  # when each device was heard, and how regularly
        self.arrivals = self._appender.arrivals  # what came in since the start
        self.sums = self._appender.recent  # of the last hour
        self.refused = self._writer.refused  # set when a transaction failed

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

    @contextlib.contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Open the store for one look; where its file is not at its path any more, what is open still shows it."""
        if self.room.missing():
            yield self._opened.gauge
            return
        with reading.looking(self.settings.directory) as conn:
            yield conn

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
        self.room.demand()
        work = self._receiving.work(
            events, received_at, path, cursor=cursor, shown=shown, caller=caller, unsynced=unsynced
        )
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
        settings = self.room.demand()
        letter = letters.Body(stage, sender, reason, milliseconds(received_at), head, body)
        self.letters_removed += await self.write(
            lambda conn: letters.add_body(conn, letter, settings.letters)
        )

    def take_impossible(self) -> Mapping[str, tuple[int, int]]:
        """Give the devices that stated an instant that cannot be since this was asked last: it, and its receipt (ms)."""
        taken, self._appender.impossible = self._appender.impossible, {}
        return taken

    # Liveness

    async def enter(self, verdicts: Sequence[Verdict]) -> list[str | None]:
        """Say what became of devices, in the log and in the book; give what the book says of each then."""
        now = clock.now()

        def work(_conn: sqlite3.Connection) -> list[str | None]:
            drafting = self.settings.drafting
            return [enter(self._appender, self._book, drafting, verdict, now) for verdict in verdicts]

        return await self.write(work)

    # What was counted of late

    async def remember(self) -> None:
        """Read the last hours from the log, so that their sums are known."""
        await to_thread.run_sync(self.sums.rebuild, self.path)
        self.sums.ready.set()

    # Following the log

    def follow(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called on the event loop after each commit that made new entries."""
        self._following.follow(wake)

    def unfollow(self, wake: Callable[[], None]) -> None:
        """Stop calling ``wake``."""
        self._following.unfollow(wake)

    def waited_s(self, seq: int) -> float | None:
        """Say how long ago an entry came, by the steady clock; None when that was before the start."""
        return self._following.ages.waited_s(seq)

    def recent(self, after: int, limit: int) -> Sequence[Entry] | None:
        """Give the entries after a place from memory; None when they are not all there any more."""
        return self._following.recent(after, limit)

    @property
    def head(self) -> int:
        """The last entry that is on disk."""
        return self._following.head

    @property
    def received(self) -> int:
        """Events accepted since the store began."""
        return self.head - self._skipped

    # Whom the log is kept for

    def expect(self, sink: str, window: int) -> None:
        """Keep what a sink is owed, also while it cannot be used."""
        self._places.expect(sink, window)

    def dismiss(self, sink: str) -> None:
        """Keep a sink's row but let retention no longer wait for it: it is not configured any more."""
        self._places.dismiss(sink)

    # Everything else that is kept here

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a piece of work in the next transaction."""
        return await self._writer.submit(work)

    async def speak_as(self, gateway: str) -> None:
        """Remember the id by which the far ends know this gateway. Raises `StoreUnavailable`."""
        await self.write(lambda conn: identity.remember(conn, gateway))
        self.gateway_id = gateway

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

    # Inside the writer

    def _before_commit(self, conn: sqlite3.Connection) -> tuple[Sequence[Entry], Gone]:
        entries = self._appender.write()
        self._places.save_waiting(conn)
        return entries, self.rewriting.take()

    def _after_rollback(self) -> None:
        self._appender.forget()
        self._places.rolled_back()
        self.rewriting.rolled_back()
        self._admission.forget()

    def _after_commit(self, told: tuple[Sequence[Entry], Gone]) -> None:
        entries, gone = told
        self._appender.committed_now()
        # Before all that looks at the disk and may fail there: what was answered must be forwarded too.
        self._following.committed(entries, gone.up_to)
        self.rewriting.committed(gone)
        self._places.committed(gone.expired)
        self.desk.committed()
        self.room.look_again()
