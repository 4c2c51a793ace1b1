"""How many people are in each zone, kept by the writer in the transaction of the windows that change it.

raw = base + everyone who came in - everyone who left, over the windows that began since the last reset. What
began before that no longer changes it, however late it comes. What begins after the next reset (a device's
clock is ahead, or our reset is a moment late) waits in ``ahead``, by the reset that it belongs to.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import tzinfo
from typing import NamedTuple

from gateway import clock
from gateway.errors import GatewayError
from gateway.event import Json
from gateway.outbox import local_time
from gateway.outbox.settings import Settings
from gateway.outbox.windows import counted_since
from gateway.outbox.zoning import Plan, Plans, Zone, Zoning

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000
_LATEST = 2**47  # ms; no year has five digits
_EXACT = 2**53
_MAX_AHEAD = 64  # resets for which windows wait; a device far in the future must not fill the row


class Told(NamedTuple):
    """Something that happened to a zone, to be put into the log."""

    zone: Zone
    at: int  # ms
    data: Mapping[str, Json]


@dataclass(slots=True, kw_only=True)
class Row:
    """One zone, as the store keeps it; instants in ms since 1970."""

    name: str  # the zone's id
    since: int  # windows from here on count
    next_reset: int  # 0: never
    base: int
    enters: int = 0
    exits: int = 0
    ahead: dict[int, list[int]] = field(default_factory=dict)  # reset: enters and exits
    origin: str = "start"  # what the base rests on: start, reset or set
    counted: int = 0  # 1: some window has counted
    drift: int | None = None  # how far off the sum was at the last reset
    drift_at: int | None = None
    crowded: int = 0  # 1: it was full, and has not had room since

    @property
    def raw(self) -> int:
        return self.base + self.enters - self.exits

    @property
    def shown(self) -> int:
        return max(self.raw, 0)


_COLUMNS = tuple(column.name for column in fields(Row))
_READ = {"ahead": "CAST(ahead AS BLOB)"}  # it is JSON of ours, and may be damaged so that it is no text
_GET = f"SELECT {', '.join(_READ.get(name, name) for name in _COLUMNS)} FROM zones"
_PUT = (
    f"INSERT INTO zones ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT (name) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)


def load(conn: sqlite3.Connection, damaged: set[str] | None = None) -> dict[str, Row]:
    """Read every zone's row. What waits for a reset is lost where the disk has damaged it: ``damaged`` is told."""
    rows: dict[str, Row] = {}
    for values in conn.execute(_GET):
        row = dict(zip(_COLUMNS, values, strict=True))
        waits = ahead(row["ahead"])
        if waits is None and damaged is not None:
            damaged.add(row["name"])
        rows[row["name"]] = Row(**row | {"ahead": waits or {}})
    return rows


def ahead(text: str | bytes) -> dict[int, list[int]] | None:
    """Read what waits for each reset; None when the disk has damaged it."""
    try:
        read = {int(reset): [int(enters), int(exits)] for reset, (enters, exits) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        return None
    sane = all(0 < reset < _LATEST and all(abs(one) < _EXACT for one in sums) for reset, sums in read.items())
    return read if sane else None


class Occupancy:
    """The zones that the writer works with; used on the writer's thread, but for `next_reset`."""

    def __init__(self, conn: sqlite3.Connection, settings: Callable[[], Settings]) -> None:
        self._conn = conn
        self._settings = settings
        self._zoning: Zoning | None = None
        self._plans = Plans()
        self._rows: dict[str, Row] = {}
        self._dirty: set[str] = set()
        self._tell: list[Told] = []
        self.plan: Plan | None = None  # None: there are no zones, and nothing is to be done
        # Zones whose state the disk had damaged, and "" for what all have in common; until a person is told.
        self.damaged: set[str] = set()
        self.next_reset: int | None = None  # of all zones the first; as of the last commit

    def begin(self, head: int) -> None:
        """Take over the configured zones, when they are other ones than before."""
        zoning = self._settings().zoning
        if zoning is not self._zoning:
            self._adopt(zoning, head)

    def plan_at(self, seq: int) -> Plan | None:
        """Give the plan by which an entry of the log was counted."""
        plans = self._plans.plans
        return self.plan if plans and seq > plans[-1][0] else self._plans.at(seq)

    def zone_at(self, seq: int, now: tzinfo) -> tzinfo:
        """Give the site's time zone in which the day of an entry was found; ``now`` is that of today."""
        return self._plans.zone_at(seq, now)

    def count(self, name: str, time: int, enters: int, exits: int) -> None:
        """Count a window, or with negative numbers take it back."""
        row = self._rows.get(name)
        if row is None or time < row.since:
            return
        self._dirty.add(name)
        if row.next_reset and time >= row.next_reset:
            zone = self._by_id[name]
            reset = local_time.last_at(time, zone.reset, self._zone) if zone.reset else None
            if reset is None:
                return
            sums = row.ahead.setdefault(reset, [0, 0])
            sums[0] += enters
            sums[1] += exits
            if len(row.ahead) > _MAX_AHEAD:
                del row.ahead[max(row.ahead)]
            return
        row.enters += enters
        row.exits += exits
        row.counted = 1

    def set_now(self, name: str, people: int | None) -> Told:
        """Say how many are in a zone now; None resets it. Gives what to tell about it."""
        zone, row = self._by_id.get(name), self._rows.get(name)
        if zone is None or row is None:
            raise GatewayError(f"There is no zone {name.removeprefix('zone-')[:60]!r} in the configuration.")
        if not clock.plausible():
            raise GatewayError(
                "The clock of this box is not set, so it cannot be said from when on this holds."
            )
        now, word = clock.now_ms(), "set" if people is not None else "reset"
        people = zone.reset_to if people is None else people
        self._roll(zone, row, now)
        drift = row.raw - people
        since = now - now % _MINUTE_MS
        # Of the minute that it is, what was counted so far is in the number; what is still to come is not.
        row.enters, row.exits = counted_since(self._conn, self._plans, name, since, row.next_reset)
        row.since, row.base, row.origin = since, people - row.enters + row.exits, word
        if word == "reset":
            row.drift, row.drift_at = drift, now
        self._dirty.add(name)
        return Told(zone, now, _facts(zone, row, word) | {"drift": drift})

    def settle(self) -> list[Told]:
        """Reset what is due and see what is full; give what to tell. Called once, at the end of a transaction."""
        now = clock.now_ms()
        if self.plan is not None:
            for name, row in self._rows.items():
                self._roll(self._by_id[name], row, now)
            for name in sorted(self._dirty):
                self._look_at_room(self._by_id[name], self._rows[name], now)
        told, self._tell = self._tell, []
        return told

    def write(self) -> None:
        """Write the rows that changed, inside the running transaction."""
        if self._dirty:
            rows = [self._rows[name] for name in sorted(self._dirty)]
            values = [
                [json.dumps(v) if name == "ahead" else v for name in _COLUMNS for v in (getattr(row, name),)]
                for row in rows
            ]
            self._conn.executemany(_PUT, values)
            self._dirty.clear()
        self.next_reset = min((row.next_reset for row in self._rows.values() if row.next_reset), default=None)

    def forget(self) -> None:
        """Drop what is in memory: the transaction that it belonged to was rolled back."""
        self._zoning = self.plan = None
        self._rows.clear()
        self._dirty.clear()
        self._tell.clear()

    # Configuration

    def _adopt(self, zoning: Zoning, head: int) -> None:
        self._zoning, self._by_id, self._zone = zoning, zoning.by_id, self._settings().drafting.zone
        if self._dirty:  # a reload may come in the middle of a transaction that has counted already
            self.write()
        self._plans, self._rows = Plans.load(self._conn), load(self._conn, self.damaged)
        if self._plans.damaged:
            self.damaged.add("")
        now = clock.now_ms()
        lost = self._plans.damaged or (self._rows and not self._plans.plans)
        news = self._plans.follow(zoning.plan, 0 if lost else head)
        news = self._plans.follow_days(self._zone, head) or news or self._plans.damaged
        for name in self._rows.keys() - self._by_id.keys():
            self._conn.execute("DELETE FROM zones WHERE name = ?", (name,))
            del self._rows[name]
        resets = {zone.id: f"{zone.reset} {self._zone}" for zone in zoning.zones}
        for zone in zoning.zones:
            row = self._rows.get(zone.id)
            if row is None:
                self._rows[zone.id] = self._begin(zone, now, fresh=head == 0)
                self._dirty.add(zone.id)
            elif self._plans.resets.get(zone.id) != resets[zone.id]:
                self._roll(zone, row, now)
                self._reschedule(zone, row, max(now, row.since))
        if news or resets != self._plans.resets:
            self._plans.resets = resets
            self._plans.save(self._conn)
        self._dirty |= self._rows.keys()  # a capacity may have changed
        self.plan = zoning.plan if zoning.zones else None

    def _begin(self, zone: Zone, now: int, *, fresh: bool) -> Row:
        """Open a zone: in a new store from its last reset on, else from now on."""
        last = local_time.last_at(now, zone.reset, self._zone) if zone.reset else None
        since = last or 0
        if not fresh:
            since = max(since, now - now % _MINUTE_MS)
        row = Row(name=zone.id, since=since, next_reset=0, base=zone.reset_to)
        self._reschedule(zone, row, max(since, now))
        return row

    def _reschedule(self, zone: Zone, row: Row, after: int) -> None:
        """Find the next reset after an instant, and sort what waits by the resets that there are now."""
        row.next_reset = local_time.next_at(after, zone.reset, self._zone) if zone.reset else 0
        waiting, row.ahead = row.ahead, {}
        for reset, (enters, exits) in waiting.items():
            self.count(row.name, reset, enters, exits)
        self._dirty.add(row.name)

    # What time does

    def _roll(self, zone: Zone, row: Row, now: int) -> None:
        """Reset a zone when that is due, to the last of the resets that have passed."""
        if not clock.plausible():
            return
        if row.since > now + _MINUTE_MS:
            # It began by a clock of ours that was wrong; from now on it counts again.
            row.since, row.base, row.enters, row.exits = now - now % _MINUTE_MS, row.raw, 0, 0
            self._reschedule(zone, row, now)
        if not row.next_reset or now < row.next_reset or zone.reset is None:
            return
        reset = max(local_time.last_at(now, zone.reset, self._zone) or 0, row.next_reset)
        rests = row.counted or row.origin != "start"
        row.drift, row.drift_at = (row.raw - zone.reset_to if rests else None), reset
        missed = round((reset - row.next_reset) / _DAY_MS)
        row.enters, row.exits = row.ahead.get(reset, [0, 0])
        row.ahead = {later: sums for later, sums in row.ahead.items() if later > reset}
        row.since, row.base, row.origin = reset, zone.reset_to, "reset"
        row.next_reset = local_time.next_at(reset, zone.reset, self._zone)
        self._dirty.add(row.name)
        facts = _facts(zone, row, "reset") | {"drift": row.drift} | ({"missed": missed} if missed else {})
        self._tell.append(Told(zone, reset, facts))

    def _look_at_room(self, zone: Zone, row: Row, now: int) -> None:
        if zone.capacity is None:
            row.crowded = 0
        elif not row.crowded and row.shown >= zone.capacity:
            row.crowded = 1
            self._tell.append(Told(zone, now, _facts(zone, row, "full")))
        elif row.crowded and row.shown <= zone.room_at:
            row.crowded = 0
            self._tell.append(Told(zone, now, _facts(zone, row, "room")))


def _facts(zone: Zone, row: Row, what: str) -> dict[str, Json]:
    facts: dict[str, Json] = {
        "what": what,
        "zone": zone.place,
        "occupancy": row.shown,
        "occupancy_raw": row.raw,
    }
    return facts | ({} if zone.capacity is None else {"capacity": zone.capacity})
