"""The book of devices: who has been seen, where, and how its clock stands.

The book is held in memory for the devices of the current work and written once per commit and device,
in the same transaction as their events. A failed transaction forgets the memory.
"""

import json
import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, field, fields

from gateway import clock
from gateway.event import Device, Kind
from gateway.outbox import statements
from gateway.outbox.entry import Draft, Flag, dumps
from gateway.outbox.signs import Signs

_MAX_CACHED = 2_000
_LONGEST_TEXT = 256  # of what a device says about itself, and of its path
_LARGEST_DATA = 4_096  # of its newest fact, of which the state shows numbers and short texts only
_MOST_SHOWN = 50
_STATED = ("serial", "mac", "label", "site", "address", "firmware", "hardware", "utc_offset_min")
_AGREE_MS = 30_000
_AGREE_PUSHES = 10
_AGREE_SPAN_MS = 120_000


@dataclass(slots=True)
class Doubt:
    """A clock that may have been set: pushes in a row that agree on another offset."""

    offset: int = 0
    since: int = 0
    last: int = 0
    pushes: int = 0

    def agrees(self, offset: int, received: int) -> bool:
        """Add what a push says; True when enough pushes agree for long enough."""
        if not self.pushes or abs(offset - self.offset) >= _AGREE_MS:
            self.offset, self.since, self.pushes = offset, received, 1
        elif received != self.last:  # the many events of one push are one opinion
            self.pushes += 1
        self.last = received
        return self.pushes >= _AGREE_PUSHES and received - self.since >= _AGREE_SPAN_MS


@dataclass(slots=True, kw_only=True)
class Page:
    """What the book says about one device; instants in ms since 1970."""

    id: str
    source: str
    serial: str | None = None
    mac: str | None = None
    label: str | None = None
    site: str | None = None
    address: str | None = None
    path: str | None = None
    firmware: str | None = None
    hardware: str | None = None
    utc_offset_min: int | None = None
    clock_offset_ms: int | None = None
    first_seen: int
    last_seen: int
    last_kind: str | None = None
    events: int = 0
    duplicates: int = 0
    repaired: int = 0
    newest: int | None = None
    newest_data: str | None = None
    pruned: int = 0
    steady_at: int | None = None  # the last push of those that come whether people pass or not
    rhythm_ms: int | None = None  # how far apart these come
    liveness: str | None = None  # what was last said about it: event.Liveness
    # Not in the book: after a restart these begin anew.
    doubt: Doubt = field(default_factory=Doubt)
    # Measured against a clock of ours that nobody vouches for: good for as long as that goes on.
    unsynced_offset_ms: int | None = None
    unsynced_doubt: Doubt = field(default_factory=Doubt)
    told: Device | None = None  # what its last push said about it


class Book:
    """The devices that the writer works with; used on the writer's thread only."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self.signs = Signs(conn)
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._dirty: dict[str, Page] = {}

    def page(self, device: Device, received: int) -> Page:
        """Find a device's page, or open one."""
        page = self._pages.get(device.id)
        if page is None:
            cursor = self._conn.execute(statements.GET_DEVICE, (device.id,))
            row = cursor.fetchone()
            if row is None:
                page = Page(id=device.id, source=device.source, first_seen=received, last_seen=received)
            else:
                page = Page(**dict(zip((c[0] for c in cursor.description), row, strict=True)))
            self._evict()
            self._pages[device.id] = page
        return page

    def known(self, device: str) -> Page | None:
        """Find a device's page; None when it has none."""
        row = self._pages.get(device) or self._conn.execute(statements.GET_DEVICE, (device,)).fetchone()
        return None if row is None else self.page(Device(id=device, source=""), 0)

    def touch(self, page: Page) -> None:
        """Have a page written with the running transaction."""
        self._dirty[page.id] = page

    def knows(self, device: str) -> bool:
        """Say whether a device has a page. One whose page the disk has damaged is still in the tallies."""
        if device in self._pages:
            return True
        return any(self._conn.execute(query, (device,)).fetchone() for query in statements.KNOWS_DEVICE)

    def seen(self, page: Page, draft: Draft, path: str) -> None:
        """Note one accepted or repeated push of a device."""
        self._dirty[page.id] = page
        if draft.kind == Kind.LIVENESS or draft.our_end:
            return  # our own word about it
        if page.told != draft.device:
            page.told = draft.device
            for name in _STATED:
                stated = getattr(draft.device, name)
                if stated is not None:
                    setattr(page, name, stated[:_LONGEST_TEXT] if isinstance(stated, str) else stated)
        page.path = path[:_LONGEST_TEXT]
        # A letter that is read again came long ago; but what lies ahead of us was noted by a wrong clock of ours.
        if page.last_seen < draft.received or page.last_seen > clock.now_ms():
            page.last_seen = draft.received
        page.last_kind = draft.kind

    def delayed(self, page: Page, draft: Draft) -> bool:
        """Say whether a push waited on its way, and keep the measure of the device's clock.

        Nothing arrives before it was sent, so the clock is told by the pushes that came fastest. One that
        is much older than that clock explains has waited. A clock that was set looks the same for one
        push, but then many pushes in a row, over some minutes, agree with each other. Those of a replay
        do not: they come faster than they happened, or with live ones between them. A single date out of
        the far future has nobody to agree with either, so it does not make everything after it late.
        """
        if not draft.timed:
            return False
        if draft.flags & Flag.UNSYNCED:
            known, doubt = page.unsynced_offset_ms, page.unsynced_doubt
            page.unsynced_offset_ms, late = _measured(draft, known, doubt)
        else:
            page.clock_offset_ms, late = _measured(draft, page.clock_offset_ms, page.doubt)
            page.unsynced_offset_ms = None
        return late

    def hear(self, page: Page, draft: Draft, *, late: bool) -> None:
        """Note a sign of life; what is told later than it was sent is one too, but tells nothing of the rhythm."""
        if draft.heard is None:
            return
        sign = self.signs.pushed(page.id, page.source, draft.heard, steady=draft.steady, live=not late)
        sign.last_seen = page.last_seen
        sign.counts = draft.counts or sign.counts
        page.rhythm_ms = sign.rhythm_ms
        if draft.steady and not late:
            page.steady_at = draft.received

    def newest(self, page: Page, draft: Draft, *, late: bool) -> None:
        """Keep the newest fact: state never goes back to an older one."""
        if not draft.leads:
            return
        known = page.newest
        if known is None or draft.time >= known or (not late and _is_slip(known, page, draft)):
            page.newest = draft.time
            page.newest_data = draft.data if len(draft.data) <= _LARGEST_DATA else _shown(draft.data)

    def write(self) -> None:
        """Write the pages that changed, inside the running transaction."""
        if self._dirty:
            self._conn.executemany(statements.PUT_DEVICE, [_row(page) for page in self._dirty.values()])
            self._dirty.clear()

    def read_pruned(self) -> None:
        """Take over how far back facts are gone: retention writes it, and it alone."""
        for device, pruned in self._conn.execute("SELECT id, pruned FROM devices"):
            page = self._pages.get(device)
            if page is not None:
                page.pruned = pruned

    def forget(self) -> None:
        """Drop what is in memory: the transaction that it belonged to was rolled back."""
        self._pages.clear()
        self._dirty.clear()

    def _evict(self) -> None:
        if len(self._pages) >= _MAX_CACHED:
            known = next((known for known in self._pages if known not in self._dirty), None)
            if known is not None:
                del self._pages[known]


def _shown(data: str) -> str:
    """Keep of a large fact what a state can show of it: the book holds many pages in memory."""
    whole = json.loads(data).items()
    short = ((name[:_LONGEST_TEXT], value) for name, value in whole if not isinstance(value, dict | list))
    kept = [(name, value[:_LONGEST_TEXT] if isinstance(value, str) else value) for name, value in short]
    return dumps(dict(kept[:_MOST_SHOWN]))


def _measured(draft: Draft, known: int | None, doubt: Doubt) -> tuple[int | None, bool]:
    """Give what is known of a device's clock after a push, and whether the push waited on its way."""
    offset = draft.stated - draft.received
    if known is None:
        # Without a time of transmission an old record may be a replay: it is late until others agree with it.
        late = draft.sent is None and offset < -draft.late_limit
        trusted = not late
    else:
        late = offset < known - draft.late_limit
        trusted = known <= offset <= known + draft.late_limit
    if trusted:
        doubt.pushes = 0
        return offset, late
    return (offset, False) if doubt.agrees(offset, draft.received) else (known, late)


def _is_slip(newest: int, page: Page, draft: Draft) -> bool:
    """Say whether the newest fact is newer than any can be: a slip of the clock that must not stand for years."""
    if draft.flags & Flag.UNSYNCED:
        return False  # our own clock is no measure
    return newest > draft.received + max(page.clock_offset_ms or 0, 0) + draft.late_limit


_FLEETING = {"doubt", "told", "unsynced_offset_ms", "unsynced_doubt"}
_COLUMNS = tuple(column.name for column in fields(Page) if column.name not in _FLEETING)


def _row(page: Page) -> dict[str, object]:
    return {name: getattr(page, name) for name in _COLUMNS}
