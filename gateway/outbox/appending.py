"""Put events into the log: identity, revisions, tallies and the device book, in one transaction.

Order of revisions. The id says which fact, the revision says how new the statement is; both come from
the device. A real-time counter may send two different sums of one minute with the same transmit time
and the same total, so that the device's own revision cannot tell them apart: then the order of arrival
decides and the later one takes the next free number. A resend of either is still recognised, because
its content is in the log.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.outbox import statements
from gateway.outbox.devices import Book, Page
from gateway.outbox.entry import Draft, Entry, Flag, day_of, earlier_tallies, same_statement

_MAX_TIES = 16  # different statements with one number; what a broken device sends beyond counts as repeated
_OUT_OF_TALLY = Flag.SUPERSEDED | Flag.UNTALLIED

Amounts = dict[tuple[str, str, str], int]  # by device, day and measure
Newest = tuple[int, int, str, str, int, str]  # a row of statements.NEWEST_OF_ID


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
        self._moves: Amounts = {}

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
        flags = draft.flags
        if self._book.delayed(page, draft):
            flags |= Flag.LATE
        newest: Newest | None = self._conn.execute(statements.NEWEST_OF_ID, (draft.id,)).fetchone()
        revision = draft.revision
        if newest is not None:
            free = self._free_number(draft, newest[0])
            if free is None:
                page.duplicates += 1
                return 0
            revision = free
            if revision > draft.revision:
                flags |= Flag.TIED
        flags |= _standing(draft, page, revision, newest)
        self.head += 1
        page.events += 1
        page.repaired += draft.repaired
        self._insert(draft, page, revision, flags)
        if not flags & _OUT_OF_TALLY:
            self._tally(draft, newest)
        if not flags & Flag.SUPERSEDED:
            self._book.newest(page, draft, late=bool(flags & Flag.LATE))
        return 1

    def _free_number(self, draft: Draft, newest: int) -> int | None:
        """Find the number for a statement about a known fact; None when it is already in the log.

        Upwards lie the statements that came with the same number, in the order of arrival. Where they
        meet a number that the device gave itself, it has said something newer since: the statement is
        history and takes a number below its own.
        """
        stated = draft.revision
        if stated > newest:
            return stated
        for number in range(stated, stated + _MAX_TIES):
            known = self._conn.execute(statements.ONE_REVISION, (draft.id, number)).fetchone()
            if known is None:
                return number
            if _same(draft, known):
                return None
            if number > stated and not known[2] & Flag.TIED:
                break
        for number in range(stated - 1, max(stated - _MAX_TIES, -1), -1):
            known = self._conn.execute(statements.ONE_REVISION, (draft.id, number)).fetchone()
            if known is None:
                return number
            if _same(draft, known):
                return None
        return None

    def _insert(self, draft: Draft, page: Page, revision: int, flags: int) -> None:
        row = (
            self.head,
            draft.id,
            revision,
            draft.kind,
            page.id,
            page.events,
            draft.time,
            draft.received,
            flags,
            draft.body,
            draft.personal,
        )
        self._conn.execute(statements.INSERT_EVENT, row)
        self._entries.append(Entry(*row))

    def _tally(self, draft: Draft, replaced: Newest | None) -> None:
        """Add the statement and take back the one that it replaces, each on its own device and day."""
        if replaced is not None:
            _, _, kind, device, time, body = replaced
            day = day_of(time, draft.zone)
            for measure, amount in earlier_tallies(kind, body).items():
                self._move(device, day, measure, -amount)
        day = day_of(draft.time, draft.zone)
        for measure, amount in draft.tallies.items():
            self._move(draft.device.id, day, measure, amount)

    def _move(self, device: str, day: str, measure: str, amount: int) -> None:
        key = (device, day, measure)
        self._moves[key] = self._moves.get(key, 0) + amount

    def write(self) -> Sequence[Entry]:
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


def _standing(draft: Draft, page: Page, revision: int, newest: Newest | None) -> int:
    """Say whether a statement counts: not behind a newer one, nor where a newer one may have left the log."""
    if newest is None:
        pruned = draft.time <= page.pruned and draft.kind != "heartbeat"
        return Flag.UNTALLIED if pruned else 0
    if newest[0] > revision:
        return Flag.SUPERSEDED
    # Without the newest that counted nobody knows what would have to be taken back.
    return Flag.UNTALLIED if newest[1] & _OUT_OF_TALLY else 0


def _same(draft: Draft, known: tuple[str, str | None, int]) -> bool:
    return draft.personal == known[1] and same_statement(draft.body, known[0])
