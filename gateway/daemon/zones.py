"""The zones of the running gateway: built from the configuration, reset in time, shown and set for people."""

import contextlib
import difflib
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

import anyio
import structlog
from anyio import to_thread

from gateway import clock, zone_states
from gateway.config import Config
from gateway.config.zone_sections import ZoneOptions
from gateway.errors import GatewayError
from gateway.faults import Faults
from gateway.outbox import Outbox, reading, site_zone
from gateway.outbox.day import Day
from gateway.outbox.zoning import SITE, Door, Zone, Zoning

log = structlog.get_logger()

_ROUND_S = 1.0
_DOORS_S = 10.0
_MOST_PEOPLE = (
    1_000_000  # a sum with what is still counted must stay far from the largest number of the store
)


def zoning(config: Config) -> Zoning:
    """Say which zones there are."""
    zones = [_zone(SITE, config.site, config)] if config.site.counted else []
    zones += [_zone(f"zone-{name}", section, config) for name, section in config.zones.items()]
    return Zoning(tuple(zones))


def _zone(id_: str, section: ZoneOptions, config: Config) -> Zone:
    sides = [(door, False) for door in section.doors] + [(door, True) for door in section.doors_out]
    return Zone(
        id=id_,
        name=section.name,
        doors=tuple(_door(door, config, out=out) for door, out in sides),
        reset=section.reset_time,
        reset_to=section.reset_to,
        capacity=section.capacity,
        room_at=section.room_at,
    )


def _door(door: str, config: Config, *, out: bool) -> Door:
    device, _, part = door.partition("/")
    named = config.devices.get(device)  # a person may call it as its entry in the configuration is called
    return Door(named.id if named and named.id else device, part or None, out)


async def keep_zones(outbox: Outbox) -> None:
    """Reset each zone when its time has come, for ever; no push is needed for it."""
    while True:
        due = outbox.zones.next_reset
        with anyio.move_on_after(_ROUND_S):
            if due is None:
                await anyio.sleep(_ROUND_S)
            else:
                await clock.sleep_until(datetime.fromtimestamp(due / 1000, UTC))
        if due is not None and clock.now_ms() >= due:
            if clock.plausible():
                with contextlib.suppress(GatewayError):  # the next round tries again
                    await outbox.zones.look()
            if outbox.zones.next_reset == due:
                await anyio.sleep(_ROUND_S)


async def watch_doors(outbox: Outbox, zones: "ZoneAnswers", faults: Faults) -> None:
    """Tell a person which doors of zones were never heard of, for ever."""
    told: set[str] = set()
    judged: tuple[Zoning, list[str]] | None = None  # what the last look was about
    while True:
        await anyio.sleep(_DOORS_S)
        if not (zones.zoning.zones or told):
            continue
        tell_damaged(outbox, faults)
        with contextlib.suppress(GatewayError, sqlite3.Error):
            zoning = zones.zoning
            known = await to_thread.run_sync(_known, outbox)
            if judged == (zoning, known):
                continue
            unheard = await to_thread.run_sync(unheard_doors, zoning, known)
            judged = (zoning, known)
            for subject in told - unheard.keys():
                faults.clear("zone_door_unheard", subject)
            for subject, sentence in unheard.items():
                if faults.report("zone_door_unheard", subject, sentence, again=False):
                    log.warning("zone_door_unheard", door=subject)
            told = set(unheard)


def _known(outbox: Outbox) -> list[str]:
    with outbox.looking() as conn:
        return reading.device_ids(conn)


def tell_damaged(outbox: Outbox, faults: Faults) -> None:
    """Tell a person whose zones the disk has damaged; what could be read of them counts on."""
    for name in sorted(outbox.zones.take_damaged()):
        place = "the site" if name == SITE else f"zone {name.removeprefix('zone-')}"
        sentence = (
            f"What waited for the next reset of {place} was damaged by the disk and is not counted in it."
            if name
            else "How the zones counted before was damaged by the disk: corrections go by the zones of today."
        )
        faults.report("zone_damaged", name, sentence)
        log.error("zone_damaged", zone=name)


def unheard_doors(zoning: Zoning, known: list[str]) -> dict[str, str]:
    """Give, for each door that is in no book, a sentence about it."""
    found: dict[str, str] = {}
    for zone in zoning.zones:
        for door in zone.doors:
            if door.device in known:
                continue
            place = "The site" if zone.id == SITE else f"Zone {zone.place}"
            near = difflib.get_close_matches(door.device, known, 1)
            hint = f" {near[0]} has: is that the one?" if near else ""
            found[f"{zone.place} {door.device}"] = (
                f"{place} counts by the door {door.device}, which has never pushed.{hint}"
            )
    return found


def from_store(conn: sqlite3.Connection, config: Config) -> list[dict[str, object]]:
    """Give the state of every zone as it is on disk, without the sums of the last hour."""
    zone, now = site_zone(config.site.zone), clock.now()
    return zone_states.states(
        conn, zoning(config), Day.of(now, zone), now if clock.plausible() else None, None
    )


class ZoneAnswers:
    """What a person may see and do about zones."""

    def __init__(self, config: Config, outbox: Outbox) -> None:
        self._outbox = outbox
        self.zoning = zoning(config)

    def put(self, config: Config) -> None:
        """Take over another configuration."""
        self.zoning = zoning(config)

    def states(self, conn: sqlite3.Connection) -> list[dict[str, object]]:
        """Give the state of every zone."""
        zone = self._outbox.settings.drafting.zone
        now = clock.now() if clock.plausible() else None
        return zone_states.states(conn, self.zoning, Day.of(clock.now(), zone), now, self._outbox.sums)

    async def decide(self, wish: Mapping[str, object]) -> str:
        """Do what `gateway occupancy` asks for."""
        people = wish.get("people")
        if people is None or (
            type(people) is int and 0 <= people <= _MOST_PEOPLE
        ):  # True is an int, and no number
            return await self.set_occupancy(str(wish.get("zone")), people)
        raise GatewayError(f"The number of people must be 0 to {_MOST_PEOPLE}.")

    async def set_occupancy(self, name: str, people: int | None) -> str:
        """Say how many people are in a zone now; None resets it."""
        id_ = SITE if name == SITE else f"zone-{name}"
        if id_ not in self.zoning.by_id:
            known = ", ".join(zone.place for zone in self.zoning.zones) or "none"
            raise GatewayError(f"There is no zone {name[:60]!r} in the configuration; there are: {known}.")
        told = await self._outbox.zones.put(id_, people)
        place = "The site" if id_ == SITE else f"Zone {name}"
        was = told["drift"] if isinstance(told["drift"], int) else 0
        return f"{place} now has {told['occupancy']} people; the count had {_off(was)}."


def _off(drift: int) -> str:
    if not drift:
        return "the same"
    return f"{abs(drift)} {'more' if drift > 0 else 'fewer'}"
