"""The poll for events: window after window by time, with an overlap for what reaches the cloud late.

It begins with the list of triggers: their names decide what a crossing means, and the answer tells the cloud's
clock. A record of a trigger that is not in the list is not read before the list was asked for again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.event import Json
from gateway.source import Answer, Ask, Cursor, Notice, Page, Reading
from gateway.sources.camlytics_cloud.account import Asked, events_in, halved, names_in, number, texts, unseen
from gateway.sources.camlytics_cloud.answers import Item, TooMuch
from gateway.sources.camlytics_cloud.records import Reader
from gateway.sources.camlytics_cloud.values import cloud_ms, moment, ms_of, stated, text
from gateway.sources.camlytics_cloud.walking import Walk, may_be_cut, shown_by

_MOST_SEEN = 1_000  # beyond that the log's own identities do the work
_NAMES_REST_MS = 60_000  # a trigger that the list does not know is looked up once a minute, no more

_CUT = Notice(
    "camlytics_cloud_page_full",
    "The cloud gives so many events of one moment in one answer that some of them may be missing.",
    "Ask Camlytics for the limit of one answer, and report this; compare with the totals of the portal.",
)


@dataclass(frozen=True, slots=True)
class Events(Asked):
    """Reads events, the ones that count."""

    @property
    def name(self) -> str:
        return self.named("events")

    @property
    def period_s(self) -> float:
        return self.account.period_s

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:  # noqa: ARG002 - the cloud's clock counts
        """Ask for the names of triggers when they are wanted, else for the next window."""
        walk = Walk.read(cursor.get("walk"))
        if walk is None or cursor.get("want") == "names":
            return self.asking("triggers", nonce)
        until = None if walk.until is None else stated(walk.until)
        return self.asking("events", nonce, since=stated(walk.since), until=until)

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Read names or a window."""
        try:
            items, repaired = self.items(answer)
        except TooMuch:
            if cursor.get("want") == "names" or (page := halved(answer, cursor)) is None:
                raise
            return page
        now = cloud_ms(answer)
        walk = Walk.read(cursor.get("walk"))
        if walk is not None and walk.is_ahead(now, int(self.account.overlap_s * 1000)):
            return Page(reading=Reading(()), cursor={**cursor, "walk": self._start(now).as_json()}, more=True)
        if walk is None or cursor.get("want") == "names":
            return self._named(items, walk, cursor, now)
        seen = _list(cursor, "seen")
        met = _list(cursor, "met")
        fresh, marks = unseen(items, frozenset(seen) | frozenset(met))
        if self._strange(fresh, cursor, now):
            return Page(reading=Reading(()), cursor={**cursor, "want": "names"}, more=True, save=False)
        reader = Reader(self.account.rules, self.account.keep, texts(cursor.get("names")))
        events, asides = events_in(fresh, reader, repaired=repaired)
        following, more = walk.reached(
            records=len(items),
            newest=_newest(items, now),
            now=now,
            overlap=int(self.account.overlap_s * 1000),
        )
        met = list(dict.fromkeys([*met, *marks]))[-_MOST_SEEN:]
        place: dict[str, Json] = {**cursor, "walk": following.as_json()}
        place |= {"met": [*met]} if more else {"seen": [*met], "met": []}
        if not more and self._stale(cursor, now):
            place["want"] = "names"
        cut = may_be_cut(len(items)) and following.since != walk.since
        return Page(
            reading=Reading(tuple(events), (_CUT,) if cut else ()),
            cursor=place,
            more=more,
            aside=asides.kept,
            left_out=asides.left_out,
            save=_says_more(place, cursor),
        )

    def _named(self, items: list[Item], walk: Walk | None, cursor: Cursor, now: int) -> Page:
        """Keep the names, and begin where the owner wants it, by the cloud's clock."""
        begun = walk or self._start(now)
        place: dict[str, Json] = {
            **{name: value for name, value in cursor.items() if name != "want"},
            "names": names_in(items),
            "named": now,
            "walk": begun.as_json(),
        }
        return Page(reading=Reading(()), cursor=place, more=True)

    def _start(self, now: int) -> Walk:
        return Walk.starting(now - int(self.account.backfill_s * 1000), now)

    def _strange(self, fresh: list[Item], cursor: Cursor, now: int) -> bool:
        """Say whether a record speaks of a trigger that the list may know by now."""
        named = number(cursor, "named")
        if named is not None and 0 <= now - named < _NAMES_REST_MS:
            return False
        known = texts(cursor.get("names"))
        return any(text(item.get("trigger_id")) not in known for item in fresh if item.get("trigger_id"))

    def _stale(self, cursor: Cursor, now: int) -> bool:
        named = number(cursor, "named")
        return named is None or not 0 <= now - named < self.account.lists_s * 1000


def _list(cursor: Cursor, name: str) -> list[str]:
    stored = cursor.get(name)
    return [one for one in stored if isinstance(one, str)] if isinstance(stored, list) else []


def _newest(items: list[Item], now: int) -> int | None:
    read = [when for item in items if (when := moment(item.get("event_time"))) is not None]
    return max((shown_by(ms_of(when[0]), now) for when in read), default=None)


def _says_more(place: Mapping[str, Json], cursor: Cursor) -> bool:
    """Say whether the new place is worth a write: what only the span of the next window says is not."""
    return any(
        _without_span(place.get(name)) != _without_span(cursor.get(name))
        for name in ("walk", "names", "named", "seen", "want")
    )


def _without_span(stored: Json) -> Json:
    if not isinstance(stored, Mapping):
        return stored
    return {name: value for name, value in stored.items() if name != "span"}
