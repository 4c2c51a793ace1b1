"""The poll of one Camlytics: its events in the order of their numbers, each once, and nothing of its logins.

Everything that the poll knows from one answer to the next is in its cursor, which goes to disk together with
the events, so that a kill at any moment neither loses nor doubles one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.source import Answer, Ask, Cursor, Page, Reading
from gateway.sources.camlytics import sums
from gateway.sources.camlytics.channels import labels_in
from gateway.sources.camlytics.following import follow
from gateway.sources.camlytics.instance import SOURCE, Instance
from gateway.sources.camlytics.notices import notices
from gateway.sources.camlytics.pages import Sheet, read_list, read_page
from gateway.sources.camlytics.steps import (
    CHANNELS,
    EVENTS,
    TOTALS,
    Place,
    is_follow,
    is_newest,
    next_ask,
    place_of,
)
from gateway.sources.camlytics.walltime import ms_of

_OF_A_NUMBERING = ("floor", "recent", "mark", "at", "newest", "hours", "hours_from", "errand")
_SAME_MS = 1  # the book and the place round


@dataclass(frozen=True, slots=True)
class CamlyticsPoll:
    """Asks one instance for its events, and for the rest in between."""

    instance: Instance

    source = SOURCE
    key = None
    spacing_s = 0.0

    @property
    def name(self) -> str:
        return f"{SOURCE}.{self.instance.name}"

    @property
    def endpoint(self) -> str:
        return self.instance.endpoint

    @property
    def period_s(self) -> float:
        return self.instance.period_s

    def taken_over(
        self, cursor: Cursor, told: Mapping[str, tuple[int, Mapping[str, Json]]], now: datetime
    ) -> Cursor:
        """Count nothing from before the instant up to which webhooks of the same PC have counted.

        What a webhook tells has no number. What a poll brought is known again by it, and must not be passed over.
        """
        ours = [
            until
            for device, (until, data) in told.items()
            if "event_id" not in data and self.instance.owns(device)
        ]
        until = min(max(ours, default=0), ms_of(now))
        newest = place_of(cursor).newest
        if not ours or "before" in cursor or (newest is not None and until <= newest + _SAME_MS):
            return cursor
        return {**cursor, "after": until}

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:  # noqa: ARG002 - it has no key
        """Ask for events, or run an errand that an earlier page has given."""
        return next_ask(self.instance, cursor, now)

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Read whatever was asked for."""
        path = answer.target.partition("?")[0]
        if path != EVENTS:
            return self._errand(answer, path, cursor)
        if not 200 <= answer.status <= 299:
            raise Unreadable("it is no answer with events")
        limit = 1 if is_newest(answer.target) else self.instance.limit
        sheet, place = read_page(answer.body, limit), place_of(cursor)
        if is_newest(answer.target):
            return self._begun(sheet, answer, cursor)
        if is_follow(answer.target):
            if _backwards(sheet, self.instance.limit):
                raise Unreadable("it gives its newest events first, although the oldest were asked for first")
        elif not _same_numbering(sheet, place):
            return self._from_the_beginning(place, answer, cursor)
        return follow(self.instance, sheet, place, answer, cursor)

    def _begun(self, sheet: Sheet, answer: Answer, cursor: Cursor) -> Page:
        """Begin behind what is there; only at the very first ask, and only if the owner wants that."""
        after: dict[str, Json] = {**cursor, "last": 0, "looked": ms_of(answer.received_at)}
        if sheet.told:
            newest = sheet.told[-1]
            after |= {"last": newest.number, "mark": newest.number, "at": newest.stated}
            after["floor"] = newest.number
        return Page(reading=Reading(()), cursor=after, more=True)

    def _from_the_beginning(self, place: Place, answer: Answer, cursor: Cursor) -> Page:
        """Read from the first number on: what was read before has the same identity as then."""
        now = ms_of(answer.received_at)
        after: dict[str, Json] = {
            **{name: value for name, value in cursor.items() if name not in _OF_A_NUMBERING},
            "last": 0,
            "looked": now,
            "run": self.instance.run,
            "before": {"last": place.last},
        }
        return Page(reading=Reading((), notices(self.instance, after, now)), cursor=after, more=True)

    def _errand(self, answer: Answer, path: str, cursor: Cursor) -> Page:
        """Read what was asked for beside the events; when it fails, the events go on without it."""
        errand = cursor.get("errand")
        after = {name: value for name, value in cursor.items() if name != "errand"}
        try:
            if 200 <= answer.status <= 299 and isinstance(errand, Mapping):
                items = read_list(answer.body)
                if path == CHANNELS:
                    after["labels"] = labels_in(items)
                else:
                    _compare(items, path, errand, after)
        except Unreadable:
            pass  # such a body may hold logins: nothing of it is kept
        reading = Reading((), notices(self.instance, after, ms_of(answer.received_at)))
        return Page(reading=reading, cursor=after, more=True)


def _compare(items: list[Json], path: str, errand: Mapping[str, Json], after: dict[str, Json]) -> None:
    """Hold the totals of an hour against our own."""
    kind = next((kind for kind, target in TOTALS.items() if target == path), "type")
    differs = after.get("differs")
    said = dict(differs) if isinstance(differs, Mapping) else {}
    said[kind] = sums.difference(kind, str(errand.get("hour")), after.get("hours"), items)
    after["differs"] = said
    if kind == "rule":
        after["errand"] = {**errand, "do": "type"}


def _same_numbering(sheet: Sheet, place: Place) -> bool:
    """Say whether the event that was the newest is still there under its number, with its time."""
    return any(told.number == place.mark and told.stated == place.at for told in sheet.told)


def _backwards(sheet: Sheet, limit: int) -> bool:
    """Say whether a full page runs from new to old: what lies between it and us would never be asked for."""
    numbers = sheet.numbers
    return len(numbers) >= limit > 1 and list(numbers) == sorted(numbers, reverse=True)
