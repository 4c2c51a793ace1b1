"""Put events into the log: identity, revisions, tallies and the device book, in one transaction.

Order of revisions. The id says which fact, the revision says how new the statement is; both come from
the device. A real-time counter may send two different sums of one minute with the same transmit time
and the same total, so that the device's own revision cannot tell them apart: then the order of arrival
decides and the later one takes the next free number. A resend of either is still recognised, because
its content is in the log.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gateway import clock
from gateway.event import Event, Json, Kind, ZoneRule, event_id
from gateway.outbox import epochs, statements
from gateway.outbox.arrivals import Arrivals
from gateway.outbox.devices import Book, Page
from gateway.outbox.entry import Draft, Entry, Flag, dumps, milliseconds, same_statement
from gateway.outbox.nameless import body_without_person, data_without_person
from gateway.outbox.occupancy import Occupancy, Told
from gateway.outbox.recent import Pace, Recent
from gateway.outbox.settings import Settings
from gateway.outbox.sums import checked, of_event
from gateway.outbox.tallying import Newest, Tallying

_MAX_TIES = 16  # different statements with one number; what a broken device sends beyond counts as repeated
_MOST_IMPOSSIBLE = 50  # as many as a person is told of
# Columns of an entry.
_REVISION: Final = 2
_FLAGS: Final = 8
_BODY: Final = 9
_OUT_OF_TALLY = Flag.SUPERSEDED | Flag.UNTALLIED


@dataclass(frozen=True, slots=True)
class Appended:
    """What one push added to the log."""

    new: int
    duplicates: int
    first_seq: int | None = None
    held: int = 0  # of devices that nobody has adopted yet; they are not in the log
    ignored: int = 0  # of devices that a person does not want
    apart: bool = False  # some of it is not in the log: it is held, was held before, or is ignored


class Appender:
    """Appends on the writer's thread, inside the transaction that the writer opened."""

    def __init__(
        self, conn: sqlite3.Connection, book: Book, head: int, settings: Callable[[], Settings]
    ) -> None:
        self._conn = conn
        self._settings = settings
        self._book = book
        self.head = head  # the last seq given out; contiguous while the daemon runs
        self.committed = head
        self.leap = epochs.leap(conn)
        self._entries: list[Entry] = []
        self.impossible: dict[str, tuple[int, int]] = {}  # by device: what it said, and when (ms)
        self.recent = Recent()
        self.arrivals = Arrivals()
        self.occupancy = Occupancy(conn, settings)
        self._tallying = Tallying(self.occupancy, self.recent)

    def append(self, drafts: Sequence[Draft], path: str) -> Appended:
        """Add what is new of one push."""
        self.occupancy.begin(self.head)
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
        self._book.hear(page, draft, late=bool(flags & Flag.LATE))
        newest: Newest | None = self._conn.execute(statements.NEWEST_OF_ID, (draft.id,)).fetchone()
        revision = draft.revision
        if newest is not None:
            newest = checked(newest)
            if newest[_FLAGS] & Flag.ERASED:
                # Who was in it stays out of it, also when the device sends it again.
                draft = _nameless(draft)
                flags |= Flag.ERASED
                if revision <= newest[_REVISION]:
                    page.duplicates += 1
                    return 0
            free = self._free_number(draft, newest)
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
        if not flags & Flag.SUPERSEDED:
            self._book.newest(page, draft, late=bool(flags & Flag.LATE))
        if draft.impossible is not None and len(self.impossible) < _MOST_IMPOSSIBLE:
            self.impossible[page.id] = (draft.impossible, draft.received)
        pace = Pace(page.newest, page.clock_offset_ms)
        self._tallying.tell(draft, self.head, pace)
        if not flags & _OUT_OF_TALLY:
            self._tallying.add(draft, self.head, newest, pace)
        return 1

    def _free_number(self, draft: Draft, newest: Newest) -> int | None:
        """Find the number for a statement about a known fact; None when it is already in the log.

        Upwards lie the statements that came with the same number, in the order of arrival. Where they
        meet a number that the device gave itself, it has said something newer since: the statement is
        history and takes a number below its own. Which personal fields are kept is the owner's choice and
        may change: they are no part of what is stated.
        """
        stated = draft.revision
        if stated > newest[_REVISION]:
            return stated
        for number in range(stated, stated + _MAX_TIES):
            known = newest if number == newest[_REVISION] else self._statement(draft.id, number)
            if known is None:
                return number
            if same_statement(draft.body, known[_BODY]):
                return None
            if number > stated and not known[_FLAGS] & Flag.TIED:
                break
        for number in range(stated - 1, max(stated - _MAX_TIES, -1), -1):
            known = self._statement(draft.id, number)
            if known is None:
                return number
            if same_statement(draft.body, known[_BODY]):
                return None
        return None

    def _statement(self, name: str, revision: int) -> Newest | None:
        row = self._conn.execute(statements.ONE_REVISION, (name, revision)).fetchone()
        return None if row is None else checked(row)

    def _insert(self, draft: Draft, page: Page, revision: int, flags: int) -> None:
        row = (
            self.head,
            draft.id,
            revision,
            draft.kind,
            page.id,
            page.events + self.leap,
            draft.time,
            draft.received,
            flags,
            draft.body,
            draft.personal,
        )
        self._conn.execute(statements.INSERT_EVENT, (*row, of_event(*row)))
        self._entries.append(Entry(*row))
        self.arrivals.note(draft.device.source, draft.kind)

    def set_occupancy(self, zone: str, people: int | None) -> Mapping[str, Json]:
        """Say how many are in a zone now, None to reset it; give what is told about it."""
        self.occupancy.begin(self.head)
        told = self.occupancy.set_now(zone, people)
        self._append_told(told)
        return told.data

    def _append_told(self, told: Told) -> None:
        """Put what happened to a zone into the log, in the transaction in which it happened."""
        now = clock.now()
        page = self._book.page(told.zone.page, milliseconds(now))
        # The page moves with the entry, so a number of it never tells of two things.
        name = event_id(
            told.zone.id, "occupancy", page.events + self.leap + 1, order=milliseconds(now) // 1000
        )
        event = Event(
            id=name,
            revision=0,
            kind=Kind.OCCUPANCY,
            device=told.zone.page,
            time=datetime.fromtimestamp(told.at / 1000, UTC),
            zone_rule=ZoneRule.RECEIPT,
            data=told.data,
        )
        draft = self._settings().drafting.draft(event, now)
        self._book.seen(page, draft, "")
        self._append_one(draft, page)

    def write(self) -> Sequence[Entry]:
        """Write sums and book; give the entries of this transaction for those who follow the log."""
        self.occupancy.begin(self.head)
        for told in self.occupancy.settle():
            self._append_told(told)
        self._tallying.write(self._conn)
        self._book.write()
        entries, self._entries = self._entries, []
        return entries

    def committed_now(self) -> None:
        """Remember that everything up to the head is on disk."""
        self.committed = self.head
        self.arrivals.committed()
        self._tallying.hand_over()

    def forget(self) -> None:
        """Undo in memory what was rolled back on disk: its numbers are given out again."""
        self.head = self.committed
        self._entries.clear()
        self.arrivals.forget()
        self._tallying.forget()
        self._book.forget()


def _standing(draft: Draft, page: Page, revision: int, newest: Newest | None) -> int:
    """Say whether a statement counts: not behind a newer one, nor where a newer one may have left the log."""
    if newest is None:
        pruned = draft.time <= page.pruned and draft.kind != "heartbeat" and not _lies_ahead(page.pruned)
        return Flag.UNTALLIED if pruned else 0
    if newest[_REVISION] > revision:
        return Flag.SUPERSEDED
    # Without the newest that counted nobody knows what would have to be taken back.
    return Flag.UNTALLIED if newest[_FLAGS] & _OUT_OF_TALLY else 0


def _lies_ahead(mark: int) -> bool:
    """Say whether a mark was made while our clock was ahead: then it says nothing about what comes now."""
    return clock.plausible() and mark > clock.now_ms()


def _nameless(draft: Draft) -> Draft:
    body, data = body_without_person(draft.body), dumps(data_without_person(json.loads(draft.data)))
    return replace(draft, personal=None, body=body, data=data)
