"""What the forwarders ask of the outbox: a sink's place, and to have on disk how far it has got."""

import sqlite3
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from anyio import to_thread

from gateway import clock
from gateway.outbox import letters, offered, positions, reading
from gateway.outbox.appending import Appender
from gateway.outbox.devices import Book
from gateway.outbox.entry import Entry
from gateway.outbox.offered import Had, Offered, Span
from gateway.outbox.places import Places
from gateway.outbox.positions import Position
from gateway.outbox.rewriting import Rewriting
from gateway.outbox.writer import Writer


class Sinks:
    """The forwarders' side of `Places`; what goes to disk at once does so in the writer's transactions."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        places: Places,
        appender: Appender,
        book: Book,
        rewriting: Rewriting,
    ) -> None:
        self._path = path
        self._writer, self._places = writer, places
        self._appender, self._book = appender, book
        self._rewriting = rewriting
        self._offered = Offered()

    async def enlist(self, sink: str, *, start: str, window: int) -> Position:
        """Find a sink's place, or give a new sink its place: at the "oldest" entry or at "now"."""
        self._places.expect(sink, window)
        found = await self._find_place(sink, start, window)
        if found is None:
            with self._rewriting.held():  # else a log that is emptied steadily overtakes every count
                while found is None:
                    found = await self._find_place(sink, start, window)
        position, earlier = found
        self._places.hand_out(position)
        self._offered.begin(sink, window, earlier)
        return position

    # What of the log is out

    def offer(self, sink: str, first: int, last: int) -> None:
        """Note that these entries are about to be handed to a sink: from now on it may have had them."""
        self._offered.add(sink, (first, last), settled=self._places.live[sink].settled_up_to())

    async def offer_ahead(self, sink: str, seq: int) -> None:
        """Do the same with an entry far beyond the sink's place, on disk: no later life could know it."""
        self.offer(sink, seq, seq)
        await self._offered.note(sink, seq, self._writer.submit)

    def had(self) -> dict[str, Had]:
        """Say what each sink that is driven has had by now, or may have had."""
        return {
            sink: Had(position.copy(), self._offered.of(sink)) for sink, position in self._places.live.items()
        }

    # Places

    async def _find_place(self, sink: str, start: str, window: int) -> tuple[Position, list[Span]] | None:
        removals = self._rewriting.removals
        owed = await to_thread.run_sync(reading.survey, self._path, sink, start == "now")
        return await self._writer.submit(partial(self._enlist, sink, owed, removals, window))

    def _enlist(
        self, sink: str, owed: reading.Survey, removals: int, window: int, conn: sqlite3.Connection
    ) -> tuple[Position, list[Span]] | None:
        if removals != self._rewriting.removals:
            return None  # what was counted has changed meanwhile
        self._book.write()  # the account of each device begins at its counter
        is_new = positions.look(conn, sink) is None
        position = self._places.enlist(conn, sink, owed, self._appender.head)
        earlier = [] if is_new else offered.earlier(conn, position)
        offered.note(conn, sink, window, earlier)
        return position, earlier

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

        await self._writer.submit(work)
