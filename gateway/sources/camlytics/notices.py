"""What a person should know about one Camlytics: rules that nobody explained, a new numbering, totals that differ."""

import json
from collections.abc import Iterable, Mapping

from gateway.event import Event, Json, Kind
from gateway.source import Notice
from gateway.sources.camlytics.instance import Instance
from gateway.sources.camlytics.meaning import CROSSING, unsaid
from gateway.sources.camlytics.told import Told

_MOST = 20
_SHOWN = 5
_MOST_CHANNELS = 256
_RENUMBERED_MS = 86_400_000


def notices(instance: Instance, cursor: Mapping[str, Json], now: int) -> tuple[Notice, ...]:
    """Give everything that stands by what the cursor knows."""
    found = []
    waiting = list(_mapping(cursor.get("unsaid")))
    if waiting:
        found.append(rules_wanted(instance.name, waiting))
    differs = [text for text in _mapping(cursor.get("differs")).values() if isinstance(text, str)]
    if differs:
        found.append(
            Notice(
                "totals_differ",
                f"Our own numbers are not those of Camlytics: {'; '.join(differs)}.",
                "Compare both figures; if it stays, check the clock of the PC and report this with the log.",
            )
        )
    said = _mapping(cursor.get("renumbered"))
    at = said.get("at")
    if isinstance(at, int) and 0 <= now - at < _RENUMBERED_MS:
        found.append(
            Notice(
                "camlytics_renumbered",
                f"The events are numbered anew: {said.get('last')} was read, and now they begin at {said.get('first')}. "
                "Everything was read from the beginning; nothing is counted twice.",
                "Nothing, if Camlytics was installed anew or restored; else look at its clock and database.",
            )
        )
    double = [name for name, ways in _mapping(cursor.get("ways")).items() if ways == "both"]
    if double:
        found.append(
            Notice(
                "camlytics_counted_twice",
                f"On {', '.join(double[:_SHOWN])} a line and an area are both counted, so people count twice.",
                'Take the line or the area out of `rules`, or give it direction = "ignore".',
            )
        )
    return tuple(found)


def rules_wanted(instance: str, names: Iterable[str]) -> Notice:
    """Say which rules are not counted, and what to write."""
    named = list(names)
    shown = ", ".join(f'"{name}"' if name else "one without a name" for name in named[:_SHOWN])
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    known = next((name for name in named if name), None)
    line = (
        f'Add to rules of [camlytics.{instance}]: {{rule = {_quoted(known)}, direction = "in"}}'
        if known
        else ""
    )
    return Notice(
        "camlytics_rules",
        f"People cross {shown}{more} in Camlytics and are not counted, because no direction is configured.",
        f'{line}, or "out"; or "ignore" if it shall not count.'
        if line
        else "Give the rule a name in Camlytics.",
    )


def _quoted(name: str) -> str:
    """Write a name as TOML does."""
    return json.dumps(name, ensure_ascii=False)


def unsaid_rules(instance: Instance, known: Json, fresh: Iterable[Told]) -> dict[str, Json]:
    """Remember rules that somebody crossed and nobody explained."""
    names = dict(_mapping(known))
    for told in fresh:
        if unsaid(told, instance) and (told.rule_name in names or len(names) < _MOST):
            number = names.get(told.rule_name)
            names[told.rule_name] = (number if isinstance(number, int) else 0) + 1
    return names


def counted_ways(known: Json, made: Iterable[Event]) -> dict[str, Json]:
    """Remember whether people of a channel are counted at a line, in an area, or both."""
    ways = dict(_mapping(known))
    for event in made:
        if event.kind == Kind.COUNT:
            way = "line" if event.data.get("event_type") == CROSSING else "area"
            channel = event.device.id
            if channel not in ways and len(ways) >= _MOST_CHANNELS:
                continue
            ways[channel] = way if ways.get(channel, way) == way else "both"
    return ways


def renumbered(last: int, first: int, now: int) -> dict[str, Json]:
    """Note that the numbering began anew."""
    return {"last": last, "first": first, "at": now}


def _mapping(stored: Json) -> Mapping[str, Json]:
    return stored if isinstance(stored, Mapping) else {}
