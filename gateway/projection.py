"""The newest state of each device, as one flat JSON object, made from the device book and the tallies.

State carries the newest value and never history: a late or repeated event changes it only through the
tallies of its own day.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from anyio import CapacityLimiter, to_thread

from gateway import clock
from gateway.outbox import rfc3339
from gateway.outbox.connection import open_reader
from gateway.outbox.reading import day_tallies, devices, lifetime_tallies
from gateway.sink import State


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the site."""

    date: str
    start: datetime
    end: datetime

    @classmethod
    def of(cls, instant: datetime, zone: tzinfo) -> "Day":
        """Give the site's day that an instant belongs to; 23 or 25 hours long twice a year."""
        local = instant.astimezone(zone)
        start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        end = (start + timedelta(days=1)).replace(fold=0)
        return cls(f"{local:%Y-%m-%d}", start.astimezone(UTC), end.astimezone(UTC))


class Projection:
    """Reads states in a thread, on a connection of its own."""

    def __init__(self, path: Path, gateway_id: str, zone: tzinfo) -> None:
        self._conn = open_reader(path)
        self._limiter = CapacityLimiter(1)
        self._gateway_id = gateway_id
        self._zone = zone
        self.names: Mapping[str, str] = {}  # by device id, or by what stands behind its family

    async def states(self, only: Iterable[str] | None = None) -> Sequence[State]:
        """Give the state of every device, or of the named ones."""
        return await to_thread.run_sync(
            self._states, None if only is None else list(only), limiter=self._limiter
        )

    async def clocks(self) -> dict[str, float]:
        """Give the seconds that each device's clock is ahead of ours, as far as it is known."""
        return await to_thread.run_sync(self._clocks, limiter=self._limiter)

    def _clocks(self) -> dict[str, float]:
        rows = self._conn.execute("SELECT id, clock_offset_ms FROM devices WHERE clock_offset_ms IS NOT NULL")
        return {device: offset / 1000 for device, offset in rows}

    def today(self) -> Day:
        """Give the site's day that it is now."""
        return Day.of(clock.now(), self._zone)

    def close(self) -> None:
        """Let go of the file."""
        self._conn.close()

    def _states(self, only: list[str] | None) -> list[State]:
        day = Day.of(clock.now(), self._zone)
        wanted = [None] if only is None else only
        pages = [page for name in wanted for page in devices(self._conn, name)]
        return [
            State(str(page["id"]), json.dumps(self._named(page, day), ensure_ascii=False).encode())
            for page in pages
        ]

    def _named(self, page: dict[str, object], day: Day) -> dict[str, object]:
        state = describe(self._conn, page, day)
        device = str(page["id"])
        name = self.names.get(device) or self.names.get(device.partition("-")[2])
        return state | {"name": name} if name else state


def describe(conn: sqlite3.Connection, page: dict[str, object], day: Day) -> dict[str, object]:
    """Make one device's state from its page in the book."""
    device = str(page["id"])
    offset = page["clock_offset_ms"]
    state: dict[str, object] = {
        "device": device,
        "source": page["source"],
        "name": page["label"],
        "site": page["site"],
        "address": page["address"],
        "firmware": page["firmware"],
        "last_seen": _instant(page["last_seen"]),
        "clock_offset_s": round(offset / 1000, 1) if isinstance(offset, int) else None,
        "events": page["events"],
        "day": day.date,
        "day_start": day.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    today, ever = day_tallies(conn, device, day.date), lifetime_tallies(conn, device)
    # A day begins with zeros for what the device counts at all; a measure that it never stated stays absent.
    state |= {f"{measure}_today": today.get(measure, 0) for measure in ever}
    state |= {f"{measure}_total": amount for measure, amount in ever.items()}
    if page["newest"] is not None:
        state["last_time"] = _instant(page["newest"])
        newest = json.loads(str(page["newest_data"]))
        state |= {
            f"last_{name}": value for name, value in newest.items() if not isinstance(value, dict | list)
        }
    return state


def _instant(ms: object) -> str | None:
    return rfc3339(ms) if isinstance(ms, int) else None
