"""Put events into the log: identity, revisions, tallies and the device book, in one transaction.

Order of revisions. The id says which fact, the revision says how new the statement is; both come from
the device. A real-time counter may send two different sums of one minute with the same transmit time
and the same total, so that the device's own revision cannot tell them apart: then the order of arrival
decides and the later one takes the next free number. A resend of either is still recognised, because
its content is in the log.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.outbox import statements
from gateway.outbox.devices import Book, Page
from gateway.outbox.entry import Draft, Entry, Flag, earlier_tallies

_MAX_TIES = (
    64  # different statements with one revision; what a broken device sends beyond that counts as repeated
)


@dataclass(frozen=True, slots=True)
class Appended:
    """What one push added to the log."""

    new: int
    duplicates: int
    first_seq: int | None = None


class Appender:
    """Appends on the writer's thread, inside the transaction that the writer opened."""

    def __init__(self, conn: sqlite3.Connection, book: Book, head: int) -> None:
        self._conn = conn
        self._book = book
        self.head = head  # the last seq given out; contiguous while the daemon runs
        self.committed = head
        self._entries: list[Entry] = []
        self._moves: dict[tuple[str, str, str], int] = {}

    def append(self, drafts: Sequence[Draft], path: str) -> Appended:
        """Add what is new of one push."""
        new = 0
        before = self.head
        for draft in drafts:
            page = self._book.page(draft.device, draft.received)
            self._book.seen(page, draft, path)
            new += self._append_one(draft, page)
        return Appended(new, len(drafts) - new, before + 1 if new else None)

    def _append_one(self, draft: Draft, page: Page) -> int:
        earlier = self._conn.execute(statements.NEWEST_OF_ID, (draft.id,)).fetchone()
        revision, flags = draft.revision, draft.flags
        if self._book.delayed(page, draft):
            flags |= Flag.LATE
        before: dict[str, int] = {}
        if earlier is not None:
            free = self._free_revision(draft, earlier)
            if free is None:
                page.duplicates += 1
                return 0
            revision = free
            if earlier[0] > revision:
                flags |= Flag.SUPERSEDED
            elif earlier[4] & Flag.UNTALLIED:
                flags |= Flag.UNTALLIED
            else:
                before = earlier_tallies(earlier[1], earlier[2])
        elif draft.kind == "count" and draft.time <= page.pruned:
            flags |= Flag.UNTALLIED
        self.head += 1
        page.events += 1
        page.repaired += draft.repaired
        self._insert(draft, page, revision, flags)
        if not flags & (Flag.SUPERSEDED | Flag.UNTALLIED):
            self._tally(draft, before)
        if not flags & Flag.SUPERSEDED:
            self._book.newest(page, draft)
        return 1

    def _free_revision(self, draft: Draft, newest: tuple[int, str, str, str | None, int]) -> int | None:
        """Find the number for a statement about a known fact; None when it is already in the log."""
        revision = draft.revision
        if revision > newest[0]:
            return revision
        for _ in range(_MAX_TIES):
            known = (
                newest[2:4]
                if revision == newest[0]
                else self._conn.execute(statements.ONE_REVISION, (draft.id, revision)).fetchone()
            )
            if known is None:
                return revision
            if known == (draft.body, draft.personal):
                return None
            revision += 1
        return None

    def _insert(self, draft: Draft, page: Page, revision: int, flags: int) -> None:
        entry = Entry(
            self.head,
            draft.id,
            revision,
            draft.kind,
            page.id,
            page.events,
            draft.time,
            draft.received,
            int(flags),
            draft.body,
            draft.personal,
        )
        self._conn.execute(
            statements.INSERT_EVENT,
            (
                entry.seq,
                entry.id,
                revision,
                entry.kind,
                entry.device,
                entry.device_seq,
                entry.time,
                entry.received,
                entry.flags,
                entry.body,
                entry.personal,
            ),
        )
        self._entries.append(entry)

    def _tally(self, draft: Draft, before: dict[str, int]) -> None:
        for measure in draft.tallies.keys() | before.keys():
            key = (draft.device.id, draft.day, measure)
            self._moves[key] = (
                self._moves.get(key, 0) + draft.tallies.get(measure, 0) - before.get(measure, 0)
            )

    def write(self) -> Iterable[Entry]:
        """Write tallies and book; give the entries of this transaction for those who follow the log."""
        # Zeros are written too: a day of zeros is not a day without data.
        moves = [(*key, amount) for key, amount in self._moves.items()]
        if moves:
            self._conn.executemany(statements.MOVE_TALLY, moves)
        self._book.write()
        entries, self._entries = self._entries, []
        self._moves.clear()
        return entries

    def committed_now(self) -> None:
        """Remember that everything up to the head is on disk."""
        self.committed = self.head

    def forget(self) -> None:
        """Undo in memory what was rolled back on disk: its numbers are given out again."""
        self.head = self.committed
        self._entries.clear()
        self._moves.clear()
        self._book.forget()
