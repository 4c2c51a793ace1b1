"""Makes an event of what Camlytics told.

The identity of an event that has a number is the channel, the number and the time to the letter: a PC that was
installed anew numbers from the beginning, and then the time tells the two apart.

In front of it stands the instant in seconds, by which counts are found again. In the autumn hour that comes twice it
is the first of the two for an event with a number, because which one is meant may look different when the event is
read again; a webhook has no number, and then the instant is what tells two of them apart.
"""

from datetime import datetime

from gateway.event import Device, Event, Json, Kind, ZoneRule, event_id
from gateway.sources.camlytics.instance import SOURCE, Instance
from gateway.sources.camlytics.meaning import meaning, zone_of
from gateway.sources.camlytics.told import Told
from gateway.sources.camlytics.walltime import Bounds, instant, ms_of


def event(
    told: Told, instance: Instance, device: Device, at: datetime, *, rule: ZoneRule, repaired: bool
) -> Event:
    """Make the event that states what was told; ``at`` is the instant of its time."""
    kind, facts = meaning(told, instance)
    return Event(
        id=_identity(told, device.id, at, instance),
        revision=0,
        kind=kind,
        device=device,
        time=at,
        end=at if kind == Kind.COUNT else None,
        zone_rule=rule,
        repaired=repaired,
        data={**facts, **_vendors(told), **zone_of(told, instance.rule(told.rule_name))},
    )


def device(instance: Instance, channel: str, label: str, address: str) -> Device:
    """Name the channel of an instance."""
    return Device(id=instance.device(channel), source=SOURCE, label=label or None, address=address or None)


def _identity(told: Told, device_id: str, at: datetime, instance: Instance) -> str:
    if told.number is not None:
        first = ms_of(instant(told.wall, instance.zone, Bounds())) // 1000
        return event_id(device_id, "event", told.number, told.stated, order=first)
    key = (told.type, told.stated, told.object_id, told.rule)
    return event_id(device_id, "webhook", *key, order=ms_of(at) // 1000)


def _vendors(told: Told) -> dict[str, Json]:
    """Give what Camlytics itself says, by its own words; paths stay behind, for they name the PC's user."""
    said: dict[str, Json] = {"event_type": told.type, "origin": told.origin.lower()}
    if told.number is not None:
        said["event_id"] = told.number
    if told.object_id:
        said["object_id"] = told.object_id
    if told.rule:
        said["rule"], said["rule_name"] = told.rule, told.rule_name
    if told.number is not None:
        said["picture"] = "present" if told.picture else "none"
        said["recording"] = "present" if told.recording else "none"
    if told.extra:
        said["extra_fields"] = list(told.extra)
    return said
