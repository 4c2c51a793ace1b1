"""The poll for histograms: for each trigger and hour how long how many objects were there, kept as it is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from gateway.errors import Unreadable
from gateway.event import Event, Json, Kind, ZoneRule, event_id
from gateway.source import Answer, Asides, Ask, Cursor, Page, Reading
from gateway.sources.camlytics_cloud.account import Asked, halved
from gateway.sources.camlytics_cloud.answers import Item, TooMuch
from gateway.sources.camlytics_cloud.records import device_of, digest, shareable
from gateway.sources.camlytics_cloud.values import (
    HOUR_MS,
    cloud_ms,
    moment,
    ms_of,
    stated,
    text,
    unknown_names,
    whole,
)
from gateway.sources.camlytics_cloud.walking import Walk

_OVERLAP_MS = 3 * HOUR_MS
_BEGIN_MS = 24 * HOUR_MS
_PERIOD_S = 1_800.0
_MOST_NUMBERS = 1_000
_MOST_SEEN = 1_000  # beyond that the log's own identities do the work
_HOUR = timedelta(hours=1)
_KNOWN = frozenset(
    {"id", "trigger_id", "channel_id", "location_id", "histogram_time", "counting_data", "lifetime_data"}
)


@dataclass(frozen=True, slots=True)
class Histograms(Asked):
    """Reads the histograms of hours that are over."""

    @property
    def name(self) -> str:
        return self.named("histograms")

    @property
    def period_s(self) -> float:
        return _PERIOD_S

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:
        """Ask for the next hours; at the first time for none, only to learn the cloud's clock."""
        walk = Walk.read(cursor.get("walk"))
        if walk is None:
            here = ms_of(now)
            return self.asking("histograms", nonce, since=stated(here - 1_000), until=stated(here))
        until = None if walk.until is None else stated(walk.until)
        return self.asking("histograms", nonce, since=stated(walk.since), until=until)

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Make an observation of every hour that is over."""
        try:
            items, repaired = self.items(answer)
        except TooMuch:
            if (page := halved(answer, cursor)) is None:
                raise
            return page
        now = cloud_ms(answer)
        walk = Walk.read(cursor.get("walk"))
        if walk is None or walk.is_ahead(now, _OVERLAP_MS):
            begin = (now - _BEGIN_MS) // HOUR_MS * HOUR_MS
            return Page(reading=Reading(()), cursor={"walk": Walk.starting(begin, now).as_json()}, more=True)
        seen = cursor.get("seen")
        known = (
            frozenset(one for one in seen if isinstance(one, str)) if isinstance(seen, list) else frozenset()
        )
        sorted_out = _sorted_out(items, known, repaired=repaired)
        closed_ms = now - int(self.account.overlap_s * 1000)
        over = [event for event in sorted_out.events if ms_of(event.time) + HOUR_MS <= closed_ms]
        still_open = {event.id for event in sorted_out.events} - {event.id for event in over}
        newest = max((ms_of(event.time) for event in over), default=None)
        following, more = walk.reached(records=len(items), newest=newest, now=now, overlap=_OVERLAP_MS)
        marks: list[Json] = [mark for mark, id_ in sorted_out.marks.items() if id_ not in still_open]
        return Page(
            reading=Reading(tuple(over)),
            cursor={"walk": following.as_json(), "seen": marks[-_MOST_SEEN:]},
            more=more,
            aside=sorted_out.asides.kept,
            left_out=sorted_out.asides.left_out,
            save=bool(over or sorted_out.asides.kept or more),
        )


class _Sorted(NamedTuple):
    """What a page holds: what is new of it, and the digest of everything with the id of its event."""

    events: list[Event]
    asides: Asides
    marks: dict[str, str | None]


def _sorted_out(items: Sequence[Item], seen: frozenset[str], *, repaired: bool) -> _Sorted:
    found = _Sorted([], Asides(), {})
    for item in items:
        mark = digest(item)
        found.marks[mark] = None
        if mark in seen:
            continue
        try:
            event = _event(item, repaired=repaired)
        except Unreadable as unreadable:
            found.asides.add(str(unreadable), partial(shareable, item))
            continue
        found.events.append(event)
        found.marks[mark] = event.id
    return found


def _event(item: Item, *, repaired: bool) -> Event:
    when = moment(item.get("histogram_time"))
    if when is None:
        raise Unreadable("the histogram does not say its hour (its histogram_time is missing or odd)")
    device = device_of(item)
    trigger, location = text(item.get("trigger_id")), whole(item.get("location_id"))
    facts: dict[str, Json] = {
        "observation": "histogram",
        "trigger": trigger or None,
        "location": location,
        "counting_data": _numbers(item, "counting_data"),
        "lifetime_data": _numbers(item, "lifetime_data"),
    }
    if extra := unknown_names(item, _KNOWN):
        facts["extra_fields"] = extra
    hour = when[0]
    return Event(
        id=event_id(device.id, "histogram", "" if location is None else location, trigger, ms_of(hour)),
        revision=0,
        kind=Kind.OBSERVATION,
        device=device,
        time=hour,
        end=hour + _HOUR,
        zone_rule=ZoneRule.DEVICE_OFFSET if when[1] else ZoneRule.VENDOR_UTC,
        repaired=repaired,
        data=facts,
    )


def _numbers(item: Mapping[str, Json], name: str) -> list[Json]:
    """Give a list of numbers as it came; anything else in it makes the record unreadable."""
    stored = item.get(name)
    if stored is None:
        return []
    if not isinstance(stored, list) or len(stored) > _MOST_NUMBERS:
        raise Unreadable(f"{name} of the histogram is not a short list")
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in stored):
        raise Unreadable(f"{name} of the histogram holds something that is no number")
    return list(stored)
