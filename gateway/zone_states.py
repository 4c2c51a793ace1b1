"""The newest state of a zone or of the site, as one flat JSON object.

How far it can be trusted stands beside the numbers: `ok`, `partial` when a door is silent or has gaps in its
last hour, `stale` when no door is alive. What feeds the zone by a rule of its own is a door as well.
"""

import sqlite3
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from gateway.outbox import occupancy, reading, rfc3339
from gateway.outbox.day import Day
from gateway.outbox.figures import figures
from gateway.outbox.gaps import gaps
from gateway.outbox.occupancy import Row
from gateway.outbox.recent import Recent
from gateway.outbox.zoning import SOURCE, Zone, Zoning

_SILENT = ("silent", "gone")
_HOUR = timedelta(hours=1)


def states(
    conn: sqlite3.Connection, zoning: Zoning, day: Day, now: datetime | None, recent: Recent | None
) -> list[dict[str, object]]:
    """Give the state of every zone; ``now`` is None while the clock cannot be believed."""
    rows = occupancy.load(conn)
    found = []
    for zone in zoning.zones:
        doors = {door.device for door in zone.doors}
        sums = recent.of_zone(zone.id, doors) if recent else None
        givers = recent.givers(zone.id) if recent else set()
        state = _named(zone, day) | figures(conn, zone.id, day, sums) | _people(zone, rows.get(zone.id))
        found.append(state | {"quality": quality(conn, doors | givers, now)})
    return found


def _named(zone: Zone, day: Day) -> dict[str, object]:
    return {
        "device": zone.id,
        "source": SOURCE,
        "name": zone.name or zone.place,
        "day": day.date,
        "day_start": day.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _people(zone: Zone, row: Row | None) -> dict[str, object]:
    """Say how many people are in it; null before anything was counted in it."""
    known = row is not None and bool(row.counted or row.origin != "start")
    shown, raw = (row.shown, row.raw) if row is not None and known else (None, None)
    capacity = zone.capacity
    return {
        "occupancy": shown,
        "occupancy_raw": raw,
        "occupancy_from": row.origin if row else None,
        "occupancy_since": _instant(row.since) if row else None,
        "capacity": capacity,
        "percent": None if shown is None or capacity is None else round(100 * shown / capacity),
        "over_capacity": None if row is None or shown is None or capacity is None else bool(row.crowded),
        "drift_at_last_reset": row.drift if row else None,
        "last_reset": _instant(row.drift_at) if row else None,
        "next_reset": _instant(row.next_reset) if row else None,
    }


def _instant(ms: int | None) -> str | None:
    return rfc3339(ms) if ms else None


def quality(conn: sqlite3.Connection, doors: AbstractSet[str], now: datetime | None) -> str:
    """Say how far the numbers of a zone that these devices feed can be trusted."""
    pages = [page for door in sorted(doors) for page in reading.devices(conn, door) if page["id"] == door]
    alive = [page for page in pages if page.get("liveness") not in _SILENT]
    if not alive:
        return "stale"
    if len(alive) < len(doors) or any(_has_gaps(conn, page, now) for page in alive):
        return "partial"
    return "ok"


def _has_gaps(conn: sqlite3.Connection, page: dict[str, object], now: datetime | None) -> bool:
    if now is None:
        return False
    span = gaps(conn, page, now - _HOUR, now, now)
    return span is not None and bool(span.missing)
