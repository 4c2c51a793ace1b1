"""Our own sums of each local hour, by rule and by type, to hold the totals of Camlytics against.

They travel in the cursor of the poll: what was counted and how far it was counted move together.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, tzinfo

from gateway.event import Json
from gateway.sources.camlytics.told import Told
from gateway.sources.camlytics.values import name_of, text, whole
from gateway.sources.camlytics.walltime import Bounds, instant, is_plain_hour

_HOUR = timedelta(hours=1)
_GRACE = timedelta(minutes=10)  # the PC's clock and ours may differ
_KEPT = 4
_MOST_KEYS = 400
_SHOWN = 3
_FIELDS = {"rule": ("rule_id", "rule_name", "rule_count"), "type": ("type", "type", "type_count")}


def added(hours: Json, told: Iterable[Told], since: str, running: str) -> dict[str, Json]:
    """Add events to the sums; ``since`` is the first hour of which everything was seen, ``running`` that of now.

    Hours that are still to come are kept apart: a record of a wrong clock pushes out none that will be compared.
    """
    sums = {
        hour: {kind: dict(part) for kind, part in _parts(of).items()} for hour, of in _mapping(hours).items()
    }
    for one in told:
        hour = hour_of(one.wall)
        if not since or hour < since:
            continue
        parts = sums.setdefault(hour, {"rule": {}, "type": {}})
        _count(parts["type"], one.channel, one.type)
        if one.rule:
            _count(parts["rule"], one.channel, one.rule)
    ordered = sorted(sums)
    to_come = [hour for hour in ordered if hour > running][:_KEPT]
    kept = [hour for hour in ordered if hour <= running][-_KEPT:] + to_come
    return {hour: {kind: {**part} for kind, part in sums[hour].items()} for hour in kept}


def hour_of(wall: datetime) -> str:
    """Name the local hour of a wall time: "2026-11-21T14"."""
    return wall.replace(tzinfo=None).isoformat()[:13]


def due(now: datetime, zone: tzinfo, since: str, compared: str) -> str | None:
    """Name the hour whose totals can be compared now; only the last one, and each once."""
    wall = (now - _GRACE).astimezone(zone).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    start = wall - _HOUR
    hour = hour_of(start)
    if not since or hour < since or hour <= compared or not is_plain_hour(start, zone):
        return None
    over = instant(wall, zone, Bounds()) + _GRACE <= now
    return hour if over and is_plain_hour(wall, zone) else None


def span(hour: str) -> dict[str, Json]:
    """Give the local times between which an hour lies."""
    start = datetime.fromisoformat(f"{hour}:00:00")
    return {"since": start.isoformat(), "until": (start + _HOUR).isoformat()}


def difference(kind: str, hour: str, hours: Json, answer: Iterable[Json]) -> str | None:
    """Say where the totals of Camlytics and ours differ; None when they are the same."""
    field, name_field, count_field = _FIELDS[kind]
    ours = dict(_parts(_mapping(hours).get(hour)).get(kind, {}))
    theirs: dict[str, int] = {}
    names: dict[str, str] = {}
    for item in answer:
        if isinstance(item, Mapping) and (thing := name_of(item.get(field))):
            key = f"{name_of(item.get('channel_id'))}|{thing}"
            theirs[key] = theirs.get(key, 0) + (whole(item.get(count_field)) or 0)
            names[key] = text(item.get(name_field)) or thing
    wrong = [key for key in sorted({*ours, *theirs}) if ours.get(key, 0) != theirs.get(key, 0)]
    if not wrong:
        return None
    said = "; ".join(
        f"{theirs.get(key, 0)} of {kind} {names.get(key) or key.partition('|')[2]} and not {ours.get(key, 0)}"
        for key in wrong[:_SHOWN]
    )
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"in the hour from {hour.replace('T', ' ')}:00 Camlytics has {said}{more}"


def _count(part: dict[str, int], channel: str, thing: str) -> None:
    key = f"{channel}|{thing}"
    if key in part or len(part) < _MOST_KEYS:
        part[key] = part.get(key, 0) + 1


def _parts(stored: Json) -> dict[str, dict[str, int]]:
    parts = _mapping(stored)
    return {
        kind: {key: number for key, number in _mapping(parts.get(kind)).items() if isinstance(number, int)}
        for kind in _FIELDS
    }


def _mapping(stored: Json) -> Mapping[str, Json]:
    return stored if isinstance(stored, Mapping) else {}
