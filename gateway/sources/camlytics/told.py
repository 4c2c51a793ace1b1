"""One event as Camlytics tells it, in either of its two shapes: of the REST interface, and of the webhook."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.sources.camlytics.values import name_of, text, unknown_names, whole

_REST = frozenset(
    {
        *("event_id", "type", "time", "timestamp", "channel_id", "channel_name", "object_id", "origin"),
        *("rule_id", "rule_name", "snapshot_path", "recording_path", "video_file_name", "video_file_time"),
    }
)
_WEBHOOK = frozenset(
    {
        *("channel_id", "channel_name", "event_type", "event_name", "event_origin", "event_time"),
        *("object_id", "rule_id", "rule_name"),
    }
)

# What lies outside was never a time of a camera, and at the ends of the calendar no zone can be applied.
_YEARS = range(1970, 9_999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one event says. ``wall`` may carry an offset; ``number`` only comes by REST."""

    number: int | None
    type: str
    stated: str  # the time, to the letter: part of the identity
    wall: datetime
    channel: str
    channel_name: str
    object_id: str
    origin: str
    rule: str
    rule_name: str
    picture: bool = False
    recording: bool = False
    extra: tuple[Json, ...] = ()


def by_rest(item: Mapping[str, Json]) -> Told:
    """Read a record of `/v1/json/events`."""
    number = whole(item.get("event_id"))
    if number is None:
        raise Unreadable("an event has no event_id that is a whole number")
    return _told(item, number=number, kind="type", time="time", origin="origin")


def by_webhook(item: Mapping[str, Json]) -> Told:
    """Read the body of an immediate webhook."""
    return _told(item, number=None, kind="event_type", time="event_time", origin="event_origin")


def _told(item: Mapping[str, Json], *, number: int | None, kind: str, time: str, origin: str) -> Told:
    said, stated = text(item.get(kind)), text(item.get(time))
    if not said:
        raise Unreadable(f"an event has no {kind}")
    return Told(
        number=number,
        type=said,
        stated=stated,
        wall=moment(stated, time),
        channel=channel_of(item),
        channel_name=text(item.get("channel_name")),
        object_id=name_of(item.get("object_id")),
        origin=text(item.get(origin)) or "Unknown",
        rule=name_of(item.get("rule_id")),
        rule_name=text(item.get("rule_name")),
        picture=bool(text(item.get("snapshot_path"))),
        recording=bool(text(item.get("recording_path"))),
        extra=tuple(unknown_names(item, _WEBHOOK if number is None else _REST)),
    )


def channel_of(item: Mapping[str, Json]) -> str:
    """Give the channel's id, without which nobody knows which camera it was."""
    channel = name_of(item.get("channel_id"))
    if not channel:
        raise Unreadable("it has no channel_id")
    return channel


def moment(stated: str, name: str) -> datetime:
    """Read a time with or without an offset; what is beyond microseconds is cut."""
    try:
        if len(stated) > 10 and (read := datetime.fromisoformat(stated)).year in _YEARS:
            return read
    except ValueError:
        pass
    raise Unreadable(f"its {name} is not a date with a time of day")
