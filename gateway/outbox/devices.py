"""The book of devices: who has been seen, where, and how its clock stands.

The book is held in memory for the devices of the current work and written once per commit and device,
in the same transaction as their events. A failed transaction forgets the memory.
"""

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass, field, fields

from gateway.event import Device
from gateway.outbox import statements
from gateway.outbox.entry import Draft, dumps

_MAX_CACHED = 5_000
_AGREE_MS = 30_000
_AGREE_PUSHES = 10
_AGREE_SPAN_MS = 120_000


@dataclass(slots=True)
class Doubt:
    """A clock that may have been set back: pushes that agree on another offset."""

    offset: int = 0
    since: int = 0
    pushes: int = 0

    def agrees(self, offset: int, received: int) -> bool:
        """Add a push; True when enough of them agree for long enough."""
        if self.pushes and abs(offset - self.offset) < _AGREE_MS:
            self.pushes += 1
        else:
            self.offset, self.since, self.pushes = offset, received, 1
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
    doubt: Doubt = field(default_factory=Doubt)  # not in the book: after a restart it begins anew


class Book:
    """The devices that the writer works with; used on the writer's thread only."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
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
            self._pages[device.id] = page
            if len(self._pages) > _MAX_CACHED:
                self._evict()
        return page

    def seen(self, page: Page, draft: Draft, path: str) -> None:
        """Note one accepted or repeated push of a device."""
        device = draft.device
        for name in ("serial", "mac", "label", "site", "address", "firmware", "hardware", "utc_offset_min"):
            stated = getattr(device, name)
            if stated is not None:
                setattr(page, name, stated)
        page.path = path
        page.last_seen = max(page.last_seen, draft.received)
        page.last_kind = draft.kind
        self._dirty[page.id] = page

    def delayed(self, page: Page, draft: Draft) -> bool:
        """Say whether a push waited on its way, and keep the measure of the device's clock.

        A push that is much older than the device's clock explains has waited. A clock that was set back
        looks the same for one push, but then many pushes over some minutes agree with each other, which
        a replay never does: its old pushes come faster than they happened.
        """
        offset = draft.stated - draft.received
        known = page.clock_offset_ms
        if known is None:
            # Without a time of transmission an old record may be a replay: it is late until others agree with it.
            late = draft.sent is None and offset < -draft.late_limit
            page.clock_offset_ms = None if late else offset
        elif offset >= known - draft.late_limit:
            late = False
            page.clock_offset_ms = offset
        else:
            late = True
        if late and page.doubt.agrees(offset, draft.received):
            page.clock_offset_ms, late = offset, False
        return late

    def newest(self, page: Page, draft: Draft) -> None:
        """Keep the newest fact: state never goes back to an older one."""
        if draft.kind != "heartbeat" and (page.newest is None or draft.time >= page.newest):
            page.newest = draft.time
            page.newest_data = dumps(draft.data)

    def write(self) -> None:
        """Write the pages that changed, inside the running transaction."""
        if self._dirty:
            self._conn.executemany(statements.PUT_DEVICE, [_row(page) for page in self._dirty.values()])
            self._dirty.clear()

    def forget(self) -> None:
        """Drop what is in memory: the transaction that it belonged to was rolled back, or the rows changed."""
        self._pages.clear()
        self._dirty.clear()

    def _evict(self) -> None:
        for known in list(self._pages):
            if known not in self._dirty:
                del self._pages[known]
                return


_COLUMNS = tuple(column.name for column in fields(Page) if column.name != "doubt")


def _row(page: Page) -> dict[str, object]:
    return {name: getattr(page, name) for name in _COLUMNS}
