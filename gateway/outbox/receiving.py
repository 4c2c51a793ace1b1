"""What came in as one piece of the writer's work: what nobody has vouched for is held, the rest goes into the log."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

from gateway import clock
from gateway.event import Event
from gateway.outbox import pictures, polls
from gateway.outbox.admission import Admission
from gateway.outbox.appending import Appended, Appender
from gateway.outbox.entry import Flag, milliseconds
from gateway.outbox.held import Push
from gateway.outbox.pictures import Picture
from gateway.outbox.polls import PollCursor
from gateway.outbox.settings import Settings
from gateway.outbox.strangers import Admitted, Caller


class Receiving:
    """Drafts events on the event loop, and gives the work that puts them on disk in the writer's thread."""

    def __init__(self, admission: Admission, appender: Appender, settings: Callable[[], Settings]) -> None:
        self._admission, self._appender = admission, appender
        self._settings = settings

    def work(
        self,
        events: Sequence[Event],
        received_at: datetime,
        path: str,
        *,
        cursor: PollCursor | None,
        shown: Sequence[Picture],
        caller: Caller | None,
        unsynced: bool | None,
    ) -> Callable[[sqlite3.Connection], Appended]:
        """Give the work for what `Outbox.append` was given; raises `Unreadable`."""
        drafting = self._settings().drafting
        drafts = [drafting.draft(event, received_at, unsynced=unsynced) for event in events]
        if cursor is None and not shown and caller is None:
            return lambda _conn: self._appender.append(drafts, path)
        received = milliseconds(received_at)
        if unsynced is None:
            unsynced = not clock.vouches(received_at)

        def work(conn: sqlite3.Connection) -> Appended:
            admitted = Admitted(drafts)
            if caller is not None:
                doubted = any(draft.flags & Flag.UNSYNCED for draft in drafts)
                push = Push(caller.introducer, caller.address, path, received, doubted)
                admitted = self._admission.admit(self._settings().admission, caller, events, drafts, push)
            if cursor is not None:
                polls.save(conn, cursor, received)
            appended = self._appender.append(admitted.drafts, path)
            if len(admitted.drafts) == len(drafts):
                pictures.add(conn, shown, received, unsynced=unsynced)  # of what is held none is kept
                return appended
            repeated = appended.duplicates + admitted.repeated
            held, ignored = admitted.held, admitted.ignored
            return Appended(appended.new, repeated, appended.first_seq, held, ignored, apart=True)

        return work
