"""The newest state of each device, as one flat JSON object, made from the device book and the tallies.

State carries the newest value and never history: a late or repeated event changes it only through the
tallies of its own day.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from pathlib import Path

import anyio
import structlog
from anyio import CapacityLimiter, to_thread

from gateway import clock, zone_states
from gateway.errors import StoreUnavailable
from gateway.liveness import CANNOT_TELL, hint
from gateway.outbox.connection import open_reader
from gateway.outbox.damage import is_damage
from gateway.outbox.day import Day
from gateway.outbox.figures import figures, gap_figures
from gateway.outbox.gaps import gaps
from gateway.outbox.readable import instant, newest_fact
from gateway.outbox.reading import clock_offsets, devices
from gateway.outbox.recent import Recent, Sums
from gateway.outbox.zoning import Zoning
from gateway.sink import State

__all__ = ["Day", "Projection", "describe", "named"]

log = structlog.get_logger()

_REMEMBER_S = 5.0  # for so long the first states wait for the sums of the last hour


class Projection:
    """Reads states in a thread, on a connection of its own."""

    def __init__(self, path: Path, gateway_id: str, zone: tzinfo) -> None:
        self._conn = open_reader(path, lasting=True)
        self._limiter = CapacityLimiter(1)
        self._gateway_id = gateway_id
        self._zone = zone
        self.names: Mapping[str, str] = {}  # by device id, or by what stands behind its family
        self.zoning = Zoning()
        self.sums: Recent | None = None
        self._untold: set[str] = set()  # whose state could not be made; it is said once

    async def states(self, only: Iterable[str] | None = None) -> Sequence[State]:
        """Give the state of every device, or of the named ones, and of every zone, as far as it can be told.

        Raises `StoreUnavailable` when the store cannot be read now; damage of its file is left to who ends for it.
        """
        if self.sums is not None and not self.sums.ready.is_set():
            with anyio.move_on_after(_REMEMBER_S):
                await self.sums.ready.wait()
        try:
            return await to_thread.run_sync(
                self._states, None if only is None else list(only), limiter=self._limiter
            )
        except sqlite3.Error as error:
            if is_damage(error):
                raise
            raise StoreUnavailable(f"The states cannot be read ({error}): check the disk.") from error

    async def clocks(self) -> dict[str, float]:
        """Give the seconds that each device's clock is ahead of ours, as far as it is known."""
        return await to_thread.run_sync(self._clocks, limiter=self._limiter)

    def _clocks(self) -> dict[str, float]:
        return clock_offsets(self._conn)

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
        described: list[dict[str, object]] = []
        for page in pages:
            described += self._told(str(page["id"]), partial(self._of_device, page, day))
        if self.zoning.zones:
            described += self._told("zones", partial(self._of_zones, day))
        return [
            State(str(state["device"]), json.dumps(state, ensure_ascii=False).encode("utf-8", "replace"))
            for state in described
        ]

    def _of_zones(self, day: Day) -> list[dict[str, object]]:
        now = clock.now() if clock.plausible() else None
        return [_dated(state) for state in zone_states.states(self._conn, self.zoning, day, now, self.sums)]

    def _told(self, name: str, states: Callable[[], list[dict[str, object]]]) -> list[dict[str, object]]:
        """Make states; what the disk has damaged, in whatever way, costs its own state and not all the others."""
        try:
            found = states()
        except sqlite3.Error:
            raise
        except Exception:  # a value may be of any kind and size then, and events wait for these states
            if name not in self._untold:
                log.exception("state_not_told", device=name)
            self._untold.add(name)
            return []
        self._untold.discard(name)
        return found

    def _of_device(self, page: dict[str, object], day: Day) -> list[dict[str, object]]:
        device = str(page["id"])
        sums = self.sums.of(device) if self.sums else None
        return [named(describe(self._conn, page, day, self._zone, sums), self.names)]


def named(state: dict[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Put the name that the owner chose in the place of the one that the device states."""
    device = str(state["device"])
    name = names.get(device) or names.get(device.partition("-")[2])
    return state | {"name": name} if name else state


def describe(
    conn: sqlite3.Connection, page: dict[str, object], day: Day, zone: tzinfo, sums: Sums | None
) -> dict[str, object]:
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
        "last_seen": instant(page["last_seen"]),
        "clock_offset_s": round(offset / 1000, 1) if isinstance(offset, int) else None,
        **_life(page),
        "events": page["events"],
        "day": day.date,
        "day_start": day.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    state |= figures(conn, device, day, sums)
    state |= _missing(conn, page, day, zone)
    if page["newest"] is not None:
        state["last_time"] = instant(page["newest"])
        state |= {
            f"last_{name}": value
            for name, value in newest_fact(page).items()
            if not isinstance(value, dict | list)
        }
    return _dated(state)


def _life(page: dict[str, object]) -> dict[str, object]:
    """Say whether a device lives, as far as anybody can tell."""
    state, rhythm = page["liveness"], page["rhythm_ms"]
    return {
        "liveness": state,
        "rhythm_s": round(rhythm / 1000, 1) if isinstance(rhythm, int) else None,
        "hint": hint(str(page["source"])) if state == CANNOT_TELL else None,
    }


def _dated(state: dict[str, object]) -> dict[str, object]:
    """Leave out which day it is, and what is of that day, while the clock cannot be right."""
    if clock.plausible():
        return state
    of_a_day = [name for name in state if name in ("day", "day_start") or name.endswith("_today")]
    return state | dict.fromkeys(of_a_day)


def _missing(conn: sqlite3.Connection, page: dict[str, object], day: Day, zone: tzinfo) -> dict[str, object]:
    now, before = clock.now() if clock.plausible() else None, day.before(zone)
    today = gaps(conn, page, day.start, day.end, now)
    return {} if today is None else gap_figures(today, gaps(conn, page, before.start, before.end, now))
