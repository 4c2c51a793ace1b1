"""The zones that the owner configured: which doors lead into them, when they are reset, how many they hold.

The site itself is a zone like the others, with the id "site".
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import time, tzinfo
from functools import cached_property

from gateway.event import OTHER_WAY, Device
from gateway.outbox import statements
from gateway.outbox.entry import zone_called

SITE = "site"
SOURCE = "gateway"  # who states what is said about a zone; its page in the book has it as well
META = "zoning"
_MAX_PLANS = 16
_MAX_DAYS = 64

Share = tuple[str, bool]  # a zone's id, and whether entering leads out of it


@dataclass(frozen=True, slots=True)
class Door:
    """A device, or one counted object of it, through which people come into a zone or leave it."""

    device: str
    object: str | None = None  # None: everything that the device counts
    out: bool = False  # entering leads out of the zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One zone, as configured."""

    id: str  # "zone-hall", or "site"
    name: str = ""  # for people
    doors: tuple[Door, ...] = ()
    reset: time | None = None  # the site's time of day
    reset_to: int = 0
    capacity: int | None = None
    room_at: int = 0  # a full zone has room again when no more people than this are in it

    @property
    def place(self) -> str:
        """Give the name by which events refer to the zone (`data.zone`)."""
        return self.id.removeprefix("zone-")

    @property
    def page(self) -> Device:
        """Give the page in the book under which the zone's own events are counted."""
        return Device(id=self.id, source=SOURCE)


class Plan:
    """Which statements count in which zones."""

    def __init__(
        self, doors: Mapping[str, Sequence[tuple[str, str | None, bool]]], zones: Iterable[str]
    ) -> None:
        self.doors = {device: tuple(leads) for device, leads in doors.items()}  # zone, object, out
        self.zones = frozenset(zones)

    def shares(self, device: str, object_: str | None, place: str | None) -> Sequence[Share]:
        """Name the zones that a statement counts in, each once."""
        leads = self.doors.get(device, ())
        found = [(zone, out) for zone, wanted, out in leads if wanted is None or wanted == object_]
        if place is not None:
            zone = SITE if place == SITE else f"zone-{place}"
            if zone in self.zones and all(zone != other for other, _ in found):
                found.append((zone, False))
        return found

    def as_json(self) -> dict[str, object]:
        """Give it as JSON values."""
        return {"doors": {name: [list(lead) for lead in self.doors[name]] for name in sorted(self.doors)},
                "zones": sorted(self.zones)}  # fmt: skip


@dataclass(frozen=True)
class Zoning:
    """All zones of one site."""

    zones: tuple[Zone, ...] = ()

    @cached_property
    def plan(self) -> Plan:
        doors: dict[str, list[tuple[str, str | None, bool]]] = {}
        for zone in self.zones:
            for door in zone.doors:
                doors.setdefault(door.device, []).append((zone.id, door.object, door.out))
        return Plan(doors, (zone.id for zone in self.zones))

    @cached_property
    def by_id(self) -> Mapping[str, Zone]:
        return {zone.id: zone for zone in self.zones}


@dataclass(slots=True)
class Plans:
    """The plan of now, and those before: a correction takes back what counted when it was kept."""

    plans: list[tuple[int, Plan]] = field(
        default_factory=list
    )  # entries after this number count by this plan
    resets: dict[str, str] = field(default_factory=dict)  # by zone, to notice that the time was changed
    forgotten: int = 0  # entries up to this number counted by a plan that is not kept any more
    days: list[tuple[int, str]] = field(default_factory=list)  # the site's time zone, like `plans`
    damaged: bool = False  # what the store remembered cannot be read

    @classmethod
    def load(cls, conn: sqlite3.Connection) -> "Plans":
        """Read what the store remembers; where the disk has damaged it, nothing."""
        row = conn.execute("SELECT CAST(value AS BLOB) FROM meta WHERE key = ?", (META,)).fetchone()
        try:
            return cls.read(row[0]) if row else cls()
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(damaged=True)

    @classmethod
    def readable(cls, text: str) -> bool:
        """Say whether `read` can read it."""
        try:
            cls.read(text)
        except (ValueError, TypeError, KeyError, AttributeError):
            return False
        return True

    @classmethod
    def read(cls, text: str | bytes) -> "Plans":
        """Read what `save` wrote; raises what Python raises for anything else."""
        kept = json.loads(text)
        plans = [
            (int(one["after"]), Plan({name: [(z, o, bool(out)) for z, o, out in leads]
             for name, leads in one["doors"].items()}, one["zones"]))
            for one in kept["plans"]
        ]  # fmt: skip
        days = [(int(after), str(name)) for after, name in kept["days"]]
        return cls(plans, dict(kept["resets"]), int(kept["forgotten"]), days)

    def save(self, conn: sqlite3.Connection) -> None:
        """Write it, inside the running transaction."""
        plans = [{"after": after, **plan.as_json()} for after, plan in self.plans]
        kept = {"plans": plans, "resets": self.resets, "forgotten": self.forgotten, "days": self.days}
        text = json.dumps(kept, separators=(",", ":"))
        conn.execute(statements.PUT_META, (META, text))

    def at(self, seq: int) -> Plan | None:
        """Give the plan by which an entry of the log was counted; None before there was any.

        In the place of one that is forgotten stands the newest: a correction then moves the sums by the
        difference alone.
        """
        if self.plans and seq <= self.forgotten:
            return self.plans[-1][1]
        return next((plan for after, plan in reversed(self.plans) if after < seq), None)

    def zone_at(self, seq: int, now: tzinfo) -> tzinfo:
        """Give the site's time zone in which the day of an entry was found; ``now`` is that of today."""
        name = next((name for after, name in reversed(self.days) if after < seq), str(now))
        return now if name == str(now) else zone_called(name) or now

    def follow(self, plan: Plan, head: int) -> bool:
        """Count by another plan from the next entry on; False when it is the same."""
        known = self.plans[-1][1] if self.plans else Plan({}, ())
        if known.as_json() == plan.as_json():
            return False
        self.plans.append((head, plan))
        if len(self.plans) > _MAX_PLANS:
            del self.plans[0]
            self.forgotten = self.plans[0][0]
        return True

    def follow_days(self, zone: tzinfo, head: int) -> bool:
        """Find days in another time zone from the next entry on; False when it is the same."""
        if self.days and self.days[-1][1] == str(zone):
            return False
        # What came before the first note was found as it is now, as far as anybody knows.
        self.days = [*self.days, (head if self.days else 0, str(zone))][-_MAX_DAYS:]
        return True


def crossed(measure: str) -> str:
    """Give what a measure means for a zone into which the door leads out: in is out, outside is inside."""
    view, _, what = measure.rpartition("_")
    if what not in OTHER_WAY:
        return measure
    return f"{view}_{OTHER_WAY[what]}" if view else OTHER_WAY[what]
