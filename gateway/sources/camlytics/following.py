"""What a page of events adds: the events that are new, and everything that the cursor learns from them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from gateway.event import Event, Json, ZoneRule
from gateway.source import Answer, Cursor, Page, Reading
from gateway.sources.camlytics import events, sums
from gateway.sources.camlytics.instance import Instance
from gateway.sources.camlytics.notices import counted_ways, notices, renumbered, unsaid_rules
from gateway.sources.camlytics.pages import Sheet
from gateway.sources.camlytics.steps import OVERLAP, Place, is_follow
from gateway.sources.camlytics.told import Told
from gateway.sources.camlytics.walltime import Bounds, instant, ms_of

_LABELS_MS = 6 * 3_600_000
_WHEN = ("heard", "looked", "answered", "errand", "run")


def follow(instance: Instance, sheet: Sheet, place: Place, answer: Answer, before: Cursor) -> Page:
    """Make the events of a page, and the cursor behind it."""
    cursor = _by_these_rules(instance, before)
    fresh = [
        told for told in sheet.told if told.number not in place.recent and (told.number or 0) > place.floor
    ]
    made, newest = _made(instance, fresh, sheet, place, cursor)
    top = _top(sheet, place)
    full = sheet.records >= instance.limit and top > (place.last or 0)
    now = ms_of(answer.received_at)
    after: dict[str, Json] = {name: value for name, value in cursor.items() if name != "errand"}
    after |= {
        "last": top,
        "answered": now,
        "recent": [*sorted({*place.recent, *(told.number or 0 for told in sheet.told)})[-OVERLAP - 1 :]],
        "hours": sums.added(
            cursor.get("hours"),
            fresh,
            str(cursor.get("hours_from", "")),
            sums.hour_of(answer.received_at.astimezone(instance.zone)),
        ),
        "unsaid": unsaid_rules(instance, cursor.get("unsaid"), fresh),
        "ways": counted_ways(cursor.get("ways"), made),
    }
    if newest is not None:
        after["newest"] = newest
    if sheet.told and (sheet.told[-1].number or 0) > (place.mark or -1):
        after["mark"], after["at"] = sheet.told[-1].number, sheet.told[-1].stated
    if not is_follow(answer.target):
        after["looked"], after["run"] = now, instance.run
    if "before" in after and sheet.numbers:
        _resumed(after, min(sheet.numbers), now)
    if not full:
        _caught_up(instance, after, answer.received_at)
    return Page(
        reading=Reading(tuple(made), notices(instance, after, now)),
        cursor=after,
        more=full or not is_follow(answer.target) or "errand" in after,
        aside=sheet.aside,
        left_out=sheet.left_out,
        save=bool(fresh or sheet.aside) or _said(after) != _said(before),
    )


def _top(sheet: Sheet, place: Place) -> int:
    """Say how far this page leads. A record that could not be read leads no further than a look back reaches.

    So nothing is passed over for good because of a number that nobody can trust.
    """
    last = max([*sheet.numbers, place.last or 0])
    sure = max([*sheet.numbers, (place.last or 0) if place.mark is None else place.mark])
    return max([last, *(number for number in sheet.unread if number <= sure + OVERLAP)])


def _made(
    instance: Instance, fresh: Sequence[Told], sheet: Sheet, place: Place, cursor: Cursor
) -> tuple[list[Event], int | None]:
    """Make the events, and give the newest instant."""
    labels, newest = cursor.get("labels"), place.newest
    known = labels if isinstance(labels, Mapping) else {}
    made = []
    for told in fresh:
        at = instant(told.wall, instance.zone, Bounds(newest, place.heard))
        newest = max(ms_of(at), newest or 0)
        if place.after is not None and ms_of(at) <= place.after:
            continue
        label = told.channel_name or str(known.get(told.channel, ""))
        device = events.device(instance, told.channel, label, instance.host)
        rule = ZoneRule.SOURCE_ZONE if told.wall.tzinfo is None else ZoneRule.DEVICE_OFFSET
        made.append(events.event(told, instance, device, at, rule=rule, repaired=sheet.repaired))
    return made, newest


def _by_these_rules(instance: Instance, cursor: Cursor) -> Cursor:
    """Forget what was noticed while other rules were configured."""
    rules = repr((instance.rules, sorted(instance.origins)))
    said = hashlib.blake2b(rules.encode(), digest_size=6).hexdigest()
    if cursor.get("rules") == said:
        return cursor
    return {name: value for name, value in cursor.items() if name not in ("unsaid", "ways")} | {"rules": said}


def _resumed(after: dict[str, Json], first: int, now: int) -> None:
    """Say what happened to the numbering, when the first events after it are there."""
    before = after.pop("before")
    last = before.get("last") if isinstance(before, Mapping) else None
    if isinstance(last, int) and first <= last:  # else only what was old was removed there
        after["renumbered"] = renumbered(last, first, now)


def _caught_up(instance: Instance, after: dict[str, Json], now: datetime) -> None:
    """Note that everything was read, and find something to do before the next wait."""
    heard = ms_of(now)
    after["heard"] = heard
    if not after.get("hours_from"):  # the running hour was not seen from its beginning
        after["hours_from"] = sums.hour_of((now + timedelta(hours=1)).astimezone(instance.zone))
    labelled = after.get("labelled")
    if not isinstance(labelled, int) or not 0 <= heard - labelled < _LABELS_MS:
        after["labelled"] = heard
        after["errand"] = {"do": "channels", "at": heard}
        return
    if not instance.check_totals:
        return
    hour = sums.due(now, instance.zone, str(after["hours_from"]), str(after.get("compared", "")))
    if hour is not None:
        after["compared"] = hour
        after["errand"] = {"do": "rule", "at": heard, "hour": hour, **sums.span(hour)}


def _said(cursor: Mapping[str, Json]) -> dict[str, Json]:
    """Leave out what only says when it was."""
    return {name: value for name, value in cursor.items() if name not in _WHEN}
