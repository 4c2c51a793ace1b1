"""Makes an event of one record of the cloud, the same whether it was polled or came by webhook.

A record is known by its location, its record id and its day: the two ways of it meet in one identity, and a
camera PC that begins to count its records anew does not push out what it said on another day.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.errors import Unreadable
from gateway.event import Device, Event, Json, Kind, ZoneRule, device_id, event_id
from gateway.sources.camlytics_cloud.event_types import ALARMS, word_of
from gateway.sources.camlytics_cloud.rules import Rules
from gateway.sources.camlytics_cloud.values import moment, ms_of, text, unknown_names, whole

SOURCE = "camlytics_cloud"
FAMILY = "camlytics_cloud"
PERSONAL: Mapping[str, str] = {"age_range": "age_range", "gender_seen": "gender"}  # our name: the vendor's
_KNOWN = frozenset({
    "id", "record_id", "event_type", "event_time", "trigger_id", "channel_id", "location_id", "object_id",
    "snapshot_id", "origin", "suborigin", "age_range", "gender",
})  # fmt: skip
_PRIVATE = frozenset({"age_range", "gender", "snapshot_id"})
_BY_WEBHOOK, _BY_POLL = 0, 1  # a poll knows the names of triggers too, so what it says is the newer statement


@dataclass(frozen=True, slots=True)
class Reader:
    """How records are understood; ``names`` are those of the triggers, by id, where they are known."""

    rules: Rules = field(default_factory=Rules)
    keep: frozenset[str] = frozenset()  # personal fields that may enter an event
    names: Mapping[str, str] | None = None

    def event(self, item: Mapping[str, Json], *, repaired: bool) -> Event:
        """Read one record, or raise `Unreadable` for one whose time or type nobody can tell."""
        kind_said = text(item.get("event_type"))
        if not kind_said:
            raise Unreadable("the record does not say what happened (it has no event_type)")
        when = moment(item.get("event_time"))
        if when is None:
            raise Unreadable("the record does not say when it happened (its event_time is missing or odd)")
        device = device_of(item)
        kind, facts = self._facts(kind_said, item)
        return Event(
            id=_identity(device.id, item, when[0]),
            revision=_BY_WEBHOOK if self.names is None else _BY_POLL,
            kind=kind,
            device=device,
            time=when[0],
            end=when[0] if kind == Kind.COUNT else None,
            zone_rule=ZoneRule.DEVICE_OFFSET if when[1] else ZoneRule.VENDOR_UTC,
            repaired=repaired,
            data=facts,
            personal=_personal(item, self.keep),
        )

    def _facts(self, said: str, item: Mapping[str, Json]) -> tuple[Kind, dict[str, Json]]:
        trigger = text(item.get("trigger_id"))
        name = (self.names or {}).get(trigger)
        origin = (text(item.get("origin")) or "unknown").lower()
        rule = self.rules.find(trigger, name) if trigger else None
        entering = rule.entered(said) if rule is not None and origin in self.rules.origins else None
        if entering is None:
            kind, facts = _uncounted(said, trigger, text(item.get("channel_id")))
        else:
            kind, facts = Kind.COUNT, _crossing(trigger, name, entering=entering)
        facts |= {
            "event_type": said,
            "origin": origin,
            "suborigin": text(item.get("suborigin")).lower() or None,
            "trigger": trigger or None,
            "location": whole(item.get("location_id")),
            "record": whole(item.get("record_id")),
            "object_id": whole(item.get("object_id")),
            # The number of a picture is of use only to who may see the picture, so it stays behind.
            "picture": "present" if whole(item.get("snapshot_id")) else "none",
        }
        if name:
            facts["trigger_name"] = name
        if rule is not None and rule.zone:
            facts["zone"] = rule.zone
        if extra := unknown_names(item, _KNOWN):
            facts["extra_fields"] = extra
        return kind, facts


def device_of(item: Mapping[str, Json]) -> Device:
    """Name the camera: its channel, else all that is known, its location."""
    channel = text(item.get("channel_id"))
    location = whole(item.get("location_id"))
    label = f"location-{location}" if location is not None else "unknown"
    found = device_id(FAMILY, serial=channel or None, mac=None, label=label, token=None, address="")
    return Device(id=found, source=SOURCE, serial=channel or None)


def digest(item: Mapping[str, Json]) -> str:
    """Name a record with all that it says, to see whether it was read before exactly like this."""
    whole_text = json.dumps(item, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(whole_text.encode(), digest_size=8).hexdigest()


def shareable(item: Mapping[str, Json]) -> bytes:
    """Write a record that could not be read for a letter, without what is personal in it."""
    return json.dumps({name: item[name] for name in item if name not in _PRIVATE}, ensure_ascii=True).encode()


def _uncounted(said: str, trigger: str, channel: str) -> tuple[Kind, dict[str, Json]]:
    if said in ALARMS:
        alarm, state = ALARMS[said]
        trace = "/".join(part for part in (channel, trigger, alarm) if part)
        return Kind.ALARM, {"alarm": alarm, "code": None, "state": state, "trace_id": trace}
    return Kind.OBSERVATION, {"observation": word_of(said)}


def _crossing(trigger: str, name: str | None, *, entering: bool) -> dict[str, Json]:
    return {
        "count": "increment",
        "view": "total",
        "object": trigger,
        "name": name or "",
        "enters": int(entering),
        "exits": int(not entering),
        "complete": True,
    }


def _identity(device: str, item: Mapping[str, Json], when: datetime) -> str:
    location, record = whole(item.get("location_id")), whole(item.get("record_id"))
    order = ms_of(when) // 1000  # counts are found again by it
    if record is None:
        whole_item = digest({name: item[name] for name in item if name != "id"})
        return event_id(device, "whole", whole_item, order=order)
    place = "" if location is None else location
    return event_id(device, "record", place, record, when.date().isoformat(), order=order)


def _personal(item: Mapping[str, Json], keep: frozenset[str]) -> dict[str, Json]:
    stated = {name: text(item.get(vendors)) for name, vendors in PERSONAL.items() if name in keep}
    return {name: value for name, value in stated.items() if value}
