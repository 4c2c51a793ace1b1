"""The polls for what there is: channels, locations and triggers. An event says what is new, changed or gone.

A location's ``hash`` looks like a secret and stays behind here.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from gateway.event import Device, Event, Json, Kind, ZoneRule, device_id, event_id
from gateway.source import Answer, Ask, Cursor, Notice, Page, Reading
from gateway.sources.camlytics_cloud.account import Asked, number
from gateway.sources.camlytics_cloud.answers import Item
from gateway.sources.camlytics_cloud.records import FAMILY, SOURCE
from gateway.sources.camlytics_cloud.values import flag, offset_min, text, whole

_MOST_NAMED = 10
_LINE = "Line"
_NO_LOCATION = (
    "The account has no location {missing}; it has {there}. Nothing comes from there.",
    "Correct `locations` of this account in the configuration.",
)
_NO_TRIGGER = (
    "The cloud has no trigger {missing}; it has {there}. What crosses there is not counted.",
    "Correct `triggers` of this account in the configuration: names and ids are as in the portal.",
)
_UNSAID = (
    "The configuration does not say what it means to cross {missing}, so nothing is counted there.",
    'Add them to `triggers` of this account, each with direction "in", "out" or "ignore".',
)
_OFF = (
    "The trigger {missing} is switched off in the portal, so nothing is counted by it.",
    "Switch the trigger on in the portal, or take it out of `triggers` in the configuration.",
)


class _Thing(NamedTuple):
    """One channel, location or trigger."""

    id: str
    device: Device
    facts: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Lists(Asked):
    """Reads one list, rarely, and says what changed."""

    method: str  # "channels", "locations" or "triggers"

    @property
    def name(self) -> str:
        return self.named(self.method)

    @property
    def period_s(self) -> float:
        return self.account.lists_s

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:  # noqa: ARG002 - the list is asked for whole
        """Ask for the whole list."""
        return self.asking(self.method, nonce)

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Compare the list with the last one."""
        items, repaired = self.items(answer)
        things = {thing.id: thing for item in items if (thing := _READS[self.method](item)).id}
        before = _listed(cursor)
        turn = (number(cursor, "changes") or 0) + 1
        changed = [thing for thing in things.values() if before.get(thing.id) != thing.facts]
        gone = [_gone(self.method, id_, facts) for id_, facts in before.items() if id_ not in things]
        events = [self._event(thing, answer, turn, repaired=repaired) for thing in (*changed, *gone)]
        place: dict[str, Json] = {
            "listed": {thing.id: thing.facts for thing in things.values()},
            "changes": turn if events else turn - 1,
        }
        notices = tuple(self._notices(list(things.values())))
        return Page(reading=Reading(tuple(events), notices), cursor=place, save=bool(events) or not cursor)

    def _event(self, thing: _Thing, answer: Answer, turn: int, *, repaired: bool) -> Event:
        said = hashlib.blake2b(json.dumps(thing.facts, sort_keys=True).encode(), digest_size=8).hexdigest()
        return Event(
            # The turn, because a name may change and change back.
            id=event_id(thing.device.id, self.method, thing.id, turn, said),
            revision=0,
            kind=Kind.OBSERVATION,
            device=thing.device,
            time=answer.received_at,
            zone_rule=ZoneRule.RECEIPT,
            repaired=repaired,
            data=thing.facts,
        )

    def _notices(self, things: list[_Thing]) -> Iterable[Notice]:
        """Say which of the configured names the cloud does not know."""
        if self.method == "locations":
            yield from self._unknown_locations(things)
        if self.method == "triggers":
            yield from self._unsaid(things)
            yield from self._misnamed(things)

    def _unsaid(self, things: list[_Thing]) -> Iterable[Notice]:
        """Name the lines that count nobody because no rule speaks of them."""
        rules = self.account.rules
        lines = [thing for thing in things if thing.facts.get("type") == _LINE and thing.facts.get("active")]
        names = {thing.id: text(thing.facts.get("name")) for thing in lines}
        unsaid = {name or id_ for id_, name in names.items() if rules.find(id_, name) is None}
        if unsaid:
            yield _notice("camlytics_cloud_uncounted", _UNSAID, sorted(unsaid), [])

    def _misnamed(self, things: list[_Thing]) -> Iterable[Notice]:
        """Name the rules that speak of nothing, or of what is switched off."""
        there = {text(thing.facts.get("name")).casefold(): thing for thing in things}
        there |= {thing.id.casefold(): thing for thing in things}
        wanted = {
            rule.trigger: there.get(rule.trigger.strip().casefold()) for rule in self.account.rules.listed
        }
        missing = [name for name, thing in wanted.items() if thing is None]
        if missing and len(self.account.locations) <= 1:  # else it may be one of another location
            names = sorted({text(thing.facts.get("name")) for thing in things})
            yield _notice("camlytics_cloud_trigger_unknown", _NO_TRIGGER, missing, names)
        off = [
            name for name, thing in wanted.items() if thing is not None and thing.facts.get("active") is False
        ]
        if off:
            yield _notice("camlytics_cloud_trigger_off", _OFF, off, [])

    def _unknown_locations(self, things: list[_Thing]) -> Iterable[Notice]:
        there = [thing.id for thing in things]
        missing = [str(location) for location in self.account.locations if str(location) not in there]
        if missing:
            yield _notice("camlytics_cloud_location_unknown", _NO_LOCATION, missing, there)


def _notice(code: str, words: tuple[str, str], missing: list[str], there: list[str]) -> Notice:
    sentence = words[0].format(missing=_quoted(missing), there=_quoted(there) or "none")
    return Notice(code, sentence, words[1])


def _quoted(names: list[str]) -> str:
    shown = ", ".join(f'"{name[:60]}"' for name in names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown


def _channel(item: Item) -> _Thing:
    id_, name = text(item.get("id")), text(item.get("name"))
    facts: dict[str, Json] = {
        "observation": "channel",
        "name": name,
        "location": whole(item.get("location_id")),
        "active": flag(item.get("active")),
        "paid": flag(item.get("paid")),
        "listed": True,
    }
    return _Thing(id_, _camera(id_, label=name or None), facts)


def _location(item: Item) -> _Thing:
    id_, name = text(item.get("id")), text(item.get("name"))
    facts: dict[str, Json] = {
        "observation": "location",
        "name": name,
        "location": whole(item.get("id")),
        "version": text(item.get("version")) or None,
        "utc_offset_min": offset_min(item.get("timezone_offset")),
        "listed": True,
    }
    return _Thing(id_, _place(id_, facts), facts)


def _trigger(item: Item) -> _Thing:
    id_ = text(item.get("id"))
    channel, location = text(item.get("channel_id")), whole(item.get("location_id"))
    facts: dict[str, Json] = {
        "observation": "trigger",
        "name": text(item.get("name")),
        "trigger": id_,
        "type": text(item.get("type")),
        "channel": channel or None,
        "location": location,
        "active": flag(item.get("active")),
        "listed": True,
    }
    return _Thing(id_, _camera(channel) if channel else _place(str(location or ""), {}), facts)


_READS: Mapping[str, Callable[[Item], _Thing]] = {
    "channels": _channel,
    "locations": _location,
    "triggers": _trigger,
}


def _camera(channel: str, *, label: str | None = None) -> Device:
    found = device_id(FAMILY, serial=channel or None, mac=None, label="unknown", token=None, address="")
    return Device(id=found, source=SOURCE, serial=channel or None, label=label)


def _place(location: str, facts: Mapping[str, Json]) -> Device:
    """Name a location as a device of its own: what is said about it belongs to no camera."""
    found = device_id(FAMILY, serial=None, mac=None, label=f"location-{location}", token=None, address="")
    offset, name, version = facts.get("utc_offset_min"), text(facts.get("name")), text(facts.get("version"))
    return Device(
        id=found,
        source=SOURCE,
        label=name or None,
        firmware=version or None,
        utc_offset_min=offset if isinstance(offset, int) else None,
    )


def _gone(method: str, id_: str, facts: Mapping[str, Json]) -> _Thing:
    """Say of a thing that it is no longer there, in its own words."""
    if method == "triggers":
        device = (
            _camera(text(facts.get("channel")))
            if facts.get("channel")
            else _place(text(facts.get("location")), {})
        )
    else:
        device = _camera(id_) if method == "channels" else _place(id_, {})
    return _Thing(id_, device, {**facts, "listed": False})


def _listed(cursor: Cursor) -> dict[str, Mapping[str, Json]]:
    stored = cursor.get("listed")
    if not isinstance(stored, Mapping):
        return {}
    return {id_: facts for id_, facts in stored.items() if isinstance(facts, Mapping)}
