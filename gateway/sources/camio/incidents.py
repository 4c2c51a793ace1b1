"""Makes alarms of incident.created: one event for each health counter of a camera, raised or cleared.

Camio tells of an incident and never of its end. A counter that is back at its wanted value ends it; otherwise the
gateway does, after a time without another word (`ended_by_quiet`).
"""

import re
from collections.abc import Mapping
from datetime import datetime

from gateway.errors import Unreadable
from gateway.event import Device, Event, Json, Kind, ZoneRule, event_id
from gateway.source import Post
from gateway.sources.camio.counters import COUNTERS
from gateway.sources.camio.envelope import SOURCE, Callback, camera_of
from gateway.sources.camio.texts import instant, sentence

TYPE = "incident.created"
_EXACT = 2**53
_COUNTER_MAX = 128
_NUMBER = re.compile(r"[+-]?[0-9]{1,16}")


def incident_events(post: Post, callback: Callback) -> list[Event]:
    """Read an incident, or raise `Unreadable`."""
    incident = callback.content.get("incident")
    if not isinstance(incident, dict):
        raise Unreadable("the callback of an incident holds no incident")
    counters = incident.get("counter_events")
    if not isinstance(counters, dict) or not counters:
        raise Unreadable("the incident names no counter, so nobody can say what is wrong")
    device = camera_of(callback, incident.get("camera_name"))
    time, rule = instant(incident.get("date"), post)
    return [
        Event(
            id=event_id(device.id, "incident", callback.identity, name),
            revision=0,
            kind=Kind.ALARM,
            device=device,
            time=time,
            zone_rule=rule,
            repaired=callback.repaired,
            data=_facts(device, callback, name, said),
        )
        for name, said in counters.items()
    ]


def ended_by_quiet(
    device: str, raised: Mapping[str, Json], raised_id: str, time: datetime, raised_at: str
) -> Event:
    """Say that a raised counter is over because Camio has said nothing more of it; the same for the same statement."""
    kept = {
        name: raised.get(name) for name in ("alarm", "trace_id", "description", "wanted", "meaning", "camera")
    }
    camera = raised.get("camera")
    return Event(
        id=event_id(device, "incident", "quiet", raised_id),
        revision=0,
        kind=Kind.ALARM,
        device=Device(id=device, source=SOURCE, label=camera if isinstance(camera, str) else None),
        time=time,
        zone_rule=ZoneRule.RECEIPT,
        data={**kept, "state": "cleared", "cleared_by": "quiet", "raised_at": raised_at},
    )


def _facts(device: Device, callback: Callback, name: str, said: Json) -> dict[str, Json]:
    told: dict[str, Json] = said if isinstance(said, dict) else {"value": said}
    words = sentence(told.get("description"))
    if not words.strip("* "):  # in a letter that is read again nothing is left of it
        words = ""
    counter = sentence(name)[:_COUNTER_MAX] or "unknown"
    known = COUNTERS.get(counter)
    value = _whole(told.get("value"))
    wanted = known.wanted if known else 0
    # A counter without a value that can be read was named for a reason: it is raised.
    well = value is not None and value <= wanted
    facts: dict[str, Json] = {
        "alarm": counter,
        "state": "cleared" if well else "raised",
        "trace_id": f"{device.id}:{counter}",
        "description": words,
        "value": value,
        "wanted": wanted if known else None,
        "meaning": known.meaning if known else None,
        "camera": device.label,
        "callback": callback.id or None,
    }
    return facts | {"cleared_by": "value"} if well else facts


def _whole(value: Json) -> int | None:
    if isinstance(value, str) and (number := _NUMBER.fullmatch(value.strip())):
        value = int(number[0])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -_EXACT < value < _EXACT else None
