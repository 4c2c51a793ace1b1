"""Which fact an event states, and what it says about it: the same words for what was sent and what arrived.

A key holds only what a device says about its fact, never an id of ours: it has to show it when two ids
were made of one fact.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from gateway.event import Json, Kind, slug

Key: TypeAlias = tuple[str | int, ...]

ALARM_STATES: Mapping[object, str] = {1: "raised", 2: "clear_failed", 3: "cleared"}
_SAID: Mapping[str, tuple[str, ...]] = {
    Kind.COUNT: ("enters", "exits", "passings", "returns", "work_card"),
    Kind.ACCESS: ("result", "person"),
    Kind.ALARM: ("code",),
    Kind.HEARTBEAT: (),
}


def count_key(serial: str, thing: str, view: str, name: str, window: tuple[int, int]) -> Key:
    """Name one window of one counting line and one view of the people."""
    return (str(Kind.COUNT), slug(serial), thing, view, name, *window)


def access_key(serial: str, uuid: str | None, time: int) -> Key:
    """Name one passage; firmware without uuid makes at most one a second."""
    return (str(Kind.ACCESS), uuid) if uuid else (str(Kind.ACCESS), slug(serial), time)


def alarm_key(trace_id: str, state: str) -> Key:
    """Name one step in the life of an alarm."""
    return (str(Kind.ALARM), trace_id, state)


def heartbeat_key(serial: str, time: int) -> Key:
    """Name one sign of life."""
    return (str(Kind.HEARTBEAT), slug(serial), time)


def event_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the event out of its CloudEvents envelope, when it is in one."""
    inner = message.get("data")
    return inner if "specversion" in message and isinstance(inner, Mapping) else message


def key_of(event: Mapping[str, Any]) -> Key | None:
    """Name the fact that a delivered event states; None when it names none that a simulator makes."""
    kind, data = event.get("kind"), event.get("data")
    if not isinstance(data, Mapping):
        return None
    if kind == Kind.COUNT:
        thing, view, name = (str(data.get(part, "")) for part in ("object", "view", "name"))
        window = (_seconds(event, "time"), _seconds(event, "end"))
        return count_key(_serial(event), thing, view, name, window)
    if kind == Kind.ACCESS:
        return access_key(_serial(event), data.get("uuid"), _seconds(event, "time"))
    if kind == Kind.ALARM:
        state = data.get("state") or ALARM_STATES.get(data.get("status"), "")
        return alarm_key(str(data.get("trace_id")), str(state))
    if kind == Kind.HEARTBEAT:
        return heartbeat_key(_serial(event), _seconds(event, "time"))
    return None


def said_of(event: Mapping[str, Any]) -> dict[str, Json]:
    """Tell what a delivered event says about its fact, as far as a simulator knows the truth."""
    data = event["data"]
    said: dict[str, Json] = {name: data[name] for name in _SAID[event["kind"]] if name in data}
    if event["kind"] != Kind.COUNT:
        said["time_ms"] = _milliseconds(event, "time")
    return said


def fingerprint(message: Mapping[str, Any]) -> str:
    """Hash what a consumer gets, without ``late``: the one field that may differ when it is sent again."""
    content = {name: value for name, value in message.items() if name != "late"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _serial(event: Mapping[str, Any]) -> str:
    device = event.get("device")
    if isinstance(device, Mapping):
        if device.get("serial"):
            return str(device["serial"])
        device = device.get("id")
    return str(device).partition("-")[2]


def _seconds(event: Mapping[str, Any], name: str) -> int:
    return _milliseconds(event, name) // 1000


def _milliseconds(event: Mapping[str, Any], name: str) -> int:
    text = event.get(name)
    return round(datetime.fromisoformat(text).timestamp() * 1000) if isinstance(text, str) else 0
