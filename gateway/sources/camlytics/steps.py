"""What a poll of Camlytics asks next, from what it knows.

Mostly it follows: events behind the newest one, waiting for the next. Now and then it looks back over the last
ones, to see whether the numbering is still the same and whether one came out of order. Between two waits there is
time for the names of the channels and for the totals of an hour that is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from gateway.event import Json
from gateway.source import Ask, Cursor
from gateway.sources.camlytics.instance import Instance
from gateway.sources.camlytics.walltime import ms_of

OVERLAP = 20  # numbers; what is looked back over
_LOOK_MS = 600_000
_FRESH_MS = 20_000  # an errand that did not succeed by then is given up: events come first
_MARGIN_S = 10.0
_ERRAND_S = 10.0
_EVENT_BYTES = 4_096  # a real one has 700
_ROOM_BYTES = 65_536
_MOST_BYTES = 16_000_000
_ERRAND_BYTES = 2_000_000

_API = "/v1/json/"
EVENTS, CHANNELS = f"{_API}events", f"{_API}channels"
TOTALS = {"rule": f"{EVENTS}/totals/rule", "type": f"{EVENTS}/totals/type"}


@dataclass(frozen=True, slots=True)
class Place:
    """How far the poll has got: what its cursor says, in our types."""

    last: int | None  # the newest number; None: nothing was read yet
    mark: int | None  # the newest number of which the time is known
    at: str  # that time, to the letter
    floor: int  # numbers up to this one are not ours to read: the owner wanted to begin behind them
    recent: frozenset[int]
    newest: int | None  # the newest instant
    after: int | None  # webhooks have counted up to this instant
    heard: int | None  # when everything had been read
    answered: int | None  # when events were last answered
    looked: int | None  # when it was looked back
    run: str  # of the gateway that did that


def place_of(cursor: Cursor) -> Place:
    """Read a cursor."""
    recent = cursor.get("recent")
    return Place(
        last=_number(cursor, "last"),
        mark=_number(cursor, "mark"),
        at=str(cursor.get("at", "")),
        floor=-1 if (floor := _number(cursor, "floor")) is None else floor,
        recent=frozenset(one for one in recent if isinstance(one, int))
        if isinstance(recent, list)
        else frozenset(),
        newest=_number(cursor, "newest"),
        after=_number(cursor, "after"),
        heard=_number(cursor, "heard"),
        answered=_number(cursor, "answered"),
        looked=_number(cursor, "looked"),
        run=str(cursor.get("run", "")),
    )


def next_ask(instance: Instance, cursor: Cursor, now: datetime) -> Ask:
    """Say what to ask."""
    place, errand = place_of(cursor), cursor.get("errand")
    now_ms = ms_of(now)
    if isinstance(errand, Mapping) and 0 <= now_ms - (_number(errand, "at") or 0) <= _FRESH_MS:
        return Ask(target=_errand(errand), timeout_s=_ERRAND_S, max_bytes=_ERRAND_BYTES)
    if place.last is None and instance.start == "now":
        return newest()
    if place.mark is not None and _look_back(place, instance, now_ms):
        since = max(place.mark - OVERLAP, 0)
        return _events(_ERRAND_S, sinceId=since, order="ASC", limit=instance.limit)
    wait = int(instance.wait_s)
    since = place.last or 0
    return _events(wait + _MARGIN_S, sinceId=since, order="ASC", limit=instance.limit, timeout=wait)


def newest() -> Ask:
    """Ask for the newest event alone: what is asked first, and what may be asked at any time."""
    return _events(_ERRAND_S, order="DESC", limit=1)


def is_follow(target: str) -> bool:
    """Say whether an answer is one to the ask that waits for news."""
    return "timeout=" in target


def is_newest(target: str) -> bool:
    """Say whether an answer is one to the ask for the newest event."""
    return "order=DESC" in target


def _look_back(place: Place, instance: Instance, now: int) -> bool:
    """Look back after a pause, in which anything may have happened to the PC, and every few minutes."""
    if place.answered is None or place.looked is None or place.run != instance.run:
        return True
    pause = now - place.answered
    return not 0 <= now - place.looked < _LOOK_MS or not 0 <= pause < (instance.wait_s + 15) * 2_000


def _errand(errand: Mapping[str, Json]) -> str:
    what = str(errand.get("do"))
    if what not in TOTALS:
        return CHANNELS
    span = {"sinceTime": str(errand.get("since")), "untilTime": str(errand.get("until"))}
    return f"{TOTALS[what]}?{urlencode(span)}"


def _events(timeout_s: float, **query: int | str) -> Ask:
    most = min(_ROOM_BYTES + int(query["limit"]) * _EVENT_BYTES, _MOST_BYTES)
    return Ask(target=f"{EVENTS}?{urlencode(query)}", timeout_s=timeout_s, max_bytes=most)


def _number(stored: Mapping[str, Json], name: str) -> int | None:
    value = stored.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
