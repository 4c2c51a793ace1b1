"""The waist of the gateway: what every source makes and every sink gets. It imports nothing of ours.

An `Event` is one fact that a device stated. The same fact stated again has the same ``id``; a
correction has the same ``id`` and a higher ``revision``. Both come from what the device itself says,
never from our clock or our counters, so a resend or a replay after a crash falls on the same key.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | Mapping[str, Json] | None"

_NOT_SLUG = re.compile(r"[^a-z0-9_-]+")
_SLUG_MAX = 48
_OTHER_NAMES = ("mac-", "id-", "path-", "at-")


class Kind(StrEnum):
    """What sort of fact an event states; `docs/events.md` has the fields of each."""

    COUNT = "count"  # people counted in one window
    ACCESS = "access"  # one recognition or passage at a terminal
    ALARM = "alarm"  # a device alarm raised, cleared, or not cleared
    HEARTBEAT = "heartbeat"  # a device's sign of life, with its properties
    OBSERVATION = "observation"  # what another system reported that is none of these, as it said it
    LIVENESS = "liveness"  # the gateway's word: a device went silent, came back, …
    OCCUPANCY = "occupancy"  # the gateway's word: a zone was reset, set, full, or has room again


class ZoneRule(StrEnum):
    """Which rule turned the device's statement of time into an instant."""

    UNIX = "unix"  # the device stated Unix time
    SITE_ZONE = "site_zone"  # local time, read in the configured zone of the site
    DEVICE_OFFSET = "device_offset"  # local time, read with the offset that the device states
    ASSUMED_UTC = "assumed_utc"  # local time, and nobody said which zone
    SOURCE_ZONE = "source_zone"  # local time, read in the zone configured for this polled system
    VENDOR_UTC = "vendor_utc"  # no offset in it, but the vendor's document says that it is UTC
    RECEIPT = "receipt"  # the device stated no time at all: the time of receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a push says about its sender. Every text in it is hostile until it is escaped."""

    id: str  # slug [a-z0-9_-], stable over pushes: `device_id()`
    source: str  # name of the source that read the push
    serial: str | None = None
    mac: str | None = None  # upper case, colons
    label: str | None = None  # the DeviceId or name that a person typed on the device
    site: str | None = None  # the site name or id that a person typed on the device
    address: str | None = None  # where the push came from, as the gateway saw it
    firmware: str | None = None
    hardware: str | None = None
    utc_offset_min: int | None = None  # what the device declares, DST included


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact, normalised. Instants are aware datetimes; ``data`` holds JSON values only."""

    id: str
    revision: int  # 0 … 2**53-1, so that every JSON reader keeps it exactly
    kind: Kind
    device: Device
    time: datetime  # when the fact happened or its window began
    end: datetime | None = None  # end of the window, for counts
    sent_at: datetime | None = None  # when the device says that it sent this
    zone_rule: ZoneRule
    repaired: bool = False  # the body needed a value-safe repair (`docs/events.md`)
    data: Mapping[str, Json]
    personal: Mapping[str, Json] = field(default_factory=dict)  # leaves only through a sink that lists it


def slug(text: str) -> str:
    """Make an id part of [a-z0-9_-], at most 48 long; anything lossy gets a hash so that it stays unique."""
    lowered = text.strip().lower()
    if text.isascii() and lowered and len(lowered) <= _SLUG_MAX and not _NOT_SLUG.search(lowered):
        return lowered
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    head = _NOT_SLUG.sub("-", lowered[: _SLUG_MAX * 2]).strip("-")[: _SLUG_MAX - 9].strip("-")
    return f"{head}-{digest}" if head else digest


def device_id(
    family: str, *, serial: str | None, mac: str | None, label: str | None, token: str | None, address: str
) -> str:
    """Name a device by the first thing that identifies it: serial, MAC, DeviceId, path token, address.

    ``family`` is the source's word for its devices ("counter", "terminal").
    """
    if serial and slug(serial):
        name = slug(serial)
        if name.startswith(_OTHER_NAMES):  # it must not meet the id of a device without a serial number
            name = slug(f"{serial}\x1f")
        return f"{family}-{name}"
    if mac:
        return f"{family}-mac-{slug(mac.replace(':', '').replace('-', ''))}"
    if label:
        return f"{family}-id-{slug(label)}"
    if token:
        return f"{family}-path-{slug(token)}"
    return f"{family}-at-{slug(address.replace('.', '-').replace(':', '-'))}"


def event_id(device: str, *parts: str | int, order: int | None = None) -> str:
    """Derive an event's id from what identifies the fact.

    ``order`` is something that grows per device (window start, in seconds): it goes in front of the
    hash, so that the unique index of the log grows at its right edge instead of at random places.
    """
    key = "\x1f".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(key, digest_size=10).hexdigest()
    return f"{device}:{order}:{digest}" if order is not None else f"{device}:{digest}"


# A revision of a count is TransmitTime and, in so many bits below it, the people (`docs/decisions/0007`).
SUM_BITS = 20
# How each way through a door is counted, seen from its other side.
OTHER_WAY = {"enters": "exits", "exits": "enters", "passings": "returns", "returns": "passings"}
_PREFIXES = {"total": "", "adult": "adult_", "child": "child_", "demographics": "demographics_"}


def tallies(kind: str, data: Mapping[str, Json]) -> Iterator[tuple[str, int]]:
    """Yield (measure, amount) that this event adds to its device's day.

    Views of the same people (total, adult, child) are measures of their own and are never added. A view that
    nobody knows has none: a device could make up as many as it likes, and sums stay for good.
    """
    if kind == Kind.COUNT:
        prefix = _PREFIXES.get(str(data.get("view", "total")))
        for name in OTHER_WAY if prefix is not None else ():
            amount = data.get(name)
            if isinstance(amount, int):
                yield f"{prefix}{name}", amount
    elif kind == Kind.ACCESS:
        yield ("allowed" if data.get("result") == "allowed" else "denied"), 1
        if data.get("person") == "stranger":
            yield "strangers", 1
    elif kind == Kind.ALARM and data.get("state") == "raised":
        yield "alarms", 1
