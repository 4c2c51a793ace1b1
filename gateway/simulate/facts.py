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

_CLOUD_SAID = ("event_type", "enters", "exits")
_CAMIO_SAID = ("alarm", "state", "value", "description", "type", "labels", "entry", "fields")


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


def camio_key(callback: str, part: str | int) -> Key:
    """Name what one callback of Camio says of one counter, one entry of a list, or of all it is about."""
    return ("camio", callback, part)


def cloud_key(channel: str, location: int, record: int, time: int) -> Key:
    """Name one record of the Camlytics cloud."""
    return ("camlytics_cloud", channel, location, record, time)


def cloud_list_key(*what: str | int) -> Key:
    """Name what a list of the Camlytics cloud says: of which sort, of which thing, of which hour."""
    return ("camlytics_cloud_list", *what)


def camlytics_key(serial: str, event_type: str, rule: str, thing: str, time_ms: int) -> Key:
    """Name one event of a Camlytics on the LAN: two people cross one line in one second, each is a fact."""
    return ("camlytics", slug(serial), event_type, rule, thing, time_ms)


def event_of(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the event out of its CloudEvents envelope, when it is in one."""
    inner = message.get("data")
    return inner if "specversion" in message and isinstance(inner, Mapping) else message


def key_of(event: Mapping[str, Any]) -> Key | None:
    """Name the fact that a delivered event states; None when it names none that a simulator makes."""
    data = event.get("data")
    if not isinstance(data, Mapping):
        return None
    if event.get("source") == "camio":
        part = data.get("alarm", data.get("index", data.get("type")))
        return camio_key(str(data.get("callback")), part)
    if event.get("source") == "camlytics" and data.get("count") != "interval":
        thing, rule = str(data.get("object_id", "-1")), str(data.get("rule", "-1"))
        said = str(data.get("event_type", "sums"))
        return camlytics_key(_serial(event), said, rule, thing, _milliseconds(event, "time"))
    if event.get("source") == "camlytics_cloud":
        return _cloud_key(event, data)
    return _device_key(event, data)


def _device_key(event: Mapping[str, Any], data: Mapping[str, Any]) -> Key | None:
    kind = event.get("kind")
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


def _cloud_key(event: Mapping[str, Any], data: Mapping[str, Any]) -> Key:
    listed = data.get("observation")
    if listed == "histogram":
        return cloud_list_key(listed, data.get("trigger", ""), _seconds(event, "time"))
    if listed in ("channel", "location", "trigger"):
        thing = _serial(event) if listed == "channel" else data.get(listed, "")
        return cloud_list_key(listed, str(thing))
    return cloud_key(_serial(event), data.get("location", 0), data.get("record", 0), _seconds(event, "time"))


def said_of(event: Mapping[str, Any]) -> dict[str, Json]:
    """Tell what a delivered event says about its fact, as far as a simulator knows the truth."""
    data = event["data"]
    by_source = {"camio": _CAMIO_SAID, "camlytics": _CLOUD_SAID, "camlytics_cloud": _CLOUD_SAID}
    names = by_source.get(str(event.get("source"))) or _SAID.get(event["kind"], ())
    said: dict[str, Json] = {name: data[name] for name in names if name in data}
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
