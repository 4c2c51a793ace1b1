"""The polls for totals: hours that are over are read a second time and held against the cloud's own sums.

The second reading brings what reached the cloud too late for the first. Where the sums differ, the hour is read
once more in small windows; what differs then is said with both figures, until an hour agrees again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from gateway.event import Event, Json
from gateway.source import Answer, Ask, Cursor, Notice, Page, Reading
from gateway.sources.camlytics_cloud.account import Asked, events_in, names_in, texts
from gateway.sources.camlytics_cloud.answers import Item, TooMuch
from gateway.sources.camlytics_cloud.records import Reader, digest
from gateway.sources.camlytics_cloud.values import (
    HOUR_MS,
    cloud_ms,
    moment,
    ms_of,
    shown,
    stated,
    text,
    whole,
)

TRIGGERS, TYPES = "totals/triggers", "totals/types"
CODE = "camlytics_cloud_totals"
_PERIOD_S = 900.0
_LAG_MS = HOUR_MS  # beside the overlap: what comes later than that is not read again
_FEW_PARTS = 12
_MOST_PARTS = _FEW_PARTS**3  # windows of two seconds
_SEAM_MS = 1_000
_OLDEST_MS = 24 * HOUR_MS
_MOST_SAID = 5

_ACTION = (
    "Nothing to do if it goes away with the next hour. If it stays, compare with the portal; turn the check off with "
    "`check_totals = false` of this account."
)


@dataclass(frozen=True, slots=True)
class _Span:
    """One hour that is checked, and how far its second reading has got; in ms since 1970."""

    since: int
    until: int
    at: int
    parts: int = 1

    @property
    def window(self) -> tuple[int, int]:
        """Give the window to read next; windows touch, and what lies on the seam is asked for twice."""
        end = self._end()
        return self.at - _SEAM_MS * (self.at > self.since), end + _SEAM_MS * (end < self.until)

    @property
    def inner(self) -> tuple[int, int]:
        """Give the part of the window whose records are counted with it."""
        return self.at, self._end()

    def following(self) -> "_Span":
        return replace(self, at=self._end())

    def _end(self) -> int:
        return min(self.at + (self.until - self.since) // self.parts, self.until)


@dataclass(frozen=True, slots=True)
class Totals(Asked):
    """Checks our numbers of one hour after the other."""

    method: str  # TRIGGERS or TYPES

    @property
    def name(self) -> str:
        return self.named(self.method)

    @property
    def period_s(self) -> float:
        return _PERIOD_S

    def ask(self, cursor: Cursor, now: datetime, nonce: int) -> Ask:  # noqa: ARG002 - the cloud's clock counts
        """Ask for the names of triggers, then for an hour's events, then for their sums."""
        span = _span(cursor)
        if span is None or "names" not in cursor:
            return self.asking("triggers", nonce)
        begin, end = span.window if span.at < span.until else (span.since, span.until)
        method = "events" if span.at < span.until else self.method
        return self.asking(method, nonce, since=stated(begin), until=stated(end))

    def read(self, answer: Answer, cursor: Cursor) -> Page:
        """Read what was asked for."""
        try:
            items, repaired = self.items(answer)
        except TooMuch:
            if (page := self._finer(cursor)) is None:
                raise
            return page
        now = cloud_ms(answer)
        span = _span(cursor)
        if span is None or span.since > now:  # the cloud's clock was ahead when it was begun
            span = self._newest_span(now)
        if now < span.until + self._lag_ms:
            return self._page(cursor, save=False)  # the hour is not over, or not over for long enough
        if "names" not in cursor:
            place = {**cursor, "names": names_in(items), "span": asdict(span)}
            return self._page(place, more=True, save=False)
        if span.at < span.until:
            return self._events(items, span, cursor, repaired=repaired)
        return self._sums(items, span, cursor, now)

    # The steps

    def _finer(self, cursor: Cursor) -> Page | None:
        """Read an hour that holds more than is read at once in smaller windows; None when they are small enough."""
        span = _span(cursor)
        reads = span is not None and "names" in cursor and span.at < span.until
        if span is None or not reads or span.parts >= _MOST_PARTS:
            return None
        finer = _Span(span.since, span.until, span.since, span.parts * _FEW_PARTS)
        place = {name: value for name, value in cursor.items() if name != "counted"}
        return self._page({**place, "span": asdict(finer)}, more=True, save=False)

    def _events(self, items: list[Item], span: _Span, cursor: Cursor, *, repaired: bool) -> Page:
        reader = Reader(self.account.rules, self.account.keep, texts(cursor.get("names")))
        events, _ = events_in(
            items, reader, repaired=repaired
        )  # who is unreadable was set aside at first sight
        counted = _counts(cursor)
        begin, end = span.inner
        for key, when in self._distinct(items):
            if begin <= when < end or (when == end == span.until):
                on_edge = when in (span.since, span.until)
                sums = counted.setdefault(key, [0, 0])
                sums[on_edge] += 1
        place: dict[str, Json] = {**cursor, "span": asdict(span.following())}
        place["counted"] = {key: list[Json](sums) for key, sums in counted.items()}
        return self._page(place, events=events, more=True, save=False)

    def _sums(self, items: list[Item], span: _Span, cursor: Cursor, now: int) -> Page:
        differences = list(self._differences(items, _counts(cursor), texts(cursor.get("names"))))
        place = {name: value for name, value in cursor.items() if name != "counted"}
        if differences and span.parts == 1:
            place["span"] = asdict(_Span(span.since, span.until, span.since, _FEW_PARTS))
            return self._page(place, more=True, save=False)
        place["differs"] = _sentence(span, differences) if differences else None
        following = _Span(span.until, span.until + HOUR_MS, span.until)
        if now - following.until > _OLDEST_MS:
            following = self._newest_span(now)
        place = {**place, "span": asdict(following)}
        over = now >= following.until + self._lag_ms
        if not over:
            place.pop("names", None)  # they are read anew before the next hour
        return self._page(place, more=over)

    # What they need

    @property
    def _lag_ms(self) -> int:
        return int(self.account.overlap_s * 1000) + _LAG_MS

    def _newest_span(self, now: int) -> _Span:
        until = (now - self._lag_ms) // HOUR_MS * HOUR_MS
        return _Span(until - HOUR_MS, until, until - HOUR_MS)

    def _distinct(self, items: Sequence[Item]) -> Iterable[tuple[str, int]]:
        """Give (what it adds to, when) of each record, one record once."""
        known: set[str] = set()
        for item in items:
            when, record = moment(item.get("event_time")), whole(item.get("record_id"))
            mark = digest(item) if record is None else f"{whole(item.get('location_id'))} {record}"
            key = self._key(item, text(item.get("event_type")))
            if when is not None and key and mark not in known:
                known.add(mark)
                yield key, ms_of(when[0])

    def _key(self, item: Mapping[str, Json], event_type: str) -> str | None:
        what = event_type if self.method == TYPES else text(item.get("trigger_id"))
        return f"{text(item.get('channel_id'))} {what}" if what else None

    def _differences(
        self, items: Sequence[Item], counted: Mapping[str, list[int]], names: Mapping[str, str]
    ) -> Iterable[tuple[str, int, int]]:
        """Give (what, the cloud's sum, ours) where they differ."""
        sums: dict[str, int] = {}
        said: dict[str, str] = {}
        for item in items:
            key = self._key(item, text(item.get("type")))
            if key:
                sums[key] = sums.get(key, 0) + (whole(item.get("count")) or 0)
                said[key] = text(item.get("trigger_name"))
        for key in sorted(sums.keys() | counted.keys()):
            inside, on_edge = counted.get(key, [0, 0])
            theirs = sums.get(key, 0)
            if not inside <= theirs <= inside + on_edge:
                what = key.partition(" ")[2]
                yield said.get(key) or names.get(what) or what, theirs, inside + on_edge

    def _page(
        self,
        place: Mapping[str, Json],
        *,
        events: Sequence[Event] = (),
        more: bool = False,
        save: bool = True,
    ) -> Page:
        differs = place.get("differs")
        notices = (Notice(CODE, differs, _ACTION),) if isinstance(differs, str) else ()
        return Page(reading=Reading(tuple(events), notices), cursor=place, more=more, save=save)


def _sentence(span: _Span, differences: Sequence[tuple[str, int, int]]) -> str:
    figures = ", ".join(
        f'"{what}": the cloud counts {theirs}, the gateway read {ours}'
        for what, theirs, ours in differences[:_MOST_SAID]
    )
    more = len(differences) - _MOST_SAID
    rest = f", and {more} more differ" if more > 0 else ""
    return f"The totals from {shown(span.since)} to {shown(span.until)} differ. {figures}{rest}."


def _span(cursor: Cursor) -> _Span | None:
    stored = cursor.get("span")
    if not isinstance(stored, Mapping):
        return None
    numbers = [stored.get(name) for name in ("since", "until", "at", "parts")]
    whole_ones = [one for one in numbers if isinstance(one, int) and not isinstance(one, bool)]
    return _Span(*whole_ones) if len(whole_ones) == len(numbers) else None


def _counts(cursor: Cursor) -> dict[str, list[int]]:
    stored = cursor.get("counted")
    if not isinstance(stored, Mapping):
        return {}
    return {
        key: [one for one in sums if isinstance(one, int)]
        for key, sums in stored.items()
        if isinstance(sums, list)
    }
