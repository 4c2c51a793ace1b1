"""The book of devices: who has been seen, where, and how its clock stands.

The book is held in memory for the devices of the current work and written once per commit and device,
in the same transaction as their events. A failed transaction forgets the memory.
"""

import sqlite3
from collections import OrderedDict
from dataclasses import asdict, dataclass

from gateway.event import Device
from gateway.outbox import statements
from gateway.outbox.entry import Draft, dumps

_MAX_CACHED = 5_000


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
        if draft.sent is not None:
            page.clock_offset_ms = draft.sent - draft.received
        self._dirty[page.id] = page

    def newest(self, page: Page, draft: Draft) -> None:
        """Keep the newest fact: state never goes back to an older one."""
        if draft.kind != "heartbeat" and (page.newest is None or draft.time >= page.newest):
            page.newest = draft.time
            page.newest_data = dumps(draft.data)

    def write(self) -> None:
        """Write the pages that changed, inside the running transaction."""
        if self._dirty:
            self._conn.executemany(statements.PUT_DEVICE, [asdict(page) for page in self._dirty.values()])
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
