"""One event as the log holds it, and the way there from what a source made."""

import json
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any, Final

from gateway import clock
from gateway.errors import Unreadable
from gateway.event import Device, Event, Json, Kind, ZoneRule, tallies
from gateway.outbox.coverage import Covered, covered
from gateway.outbox.damage import StoreDamaged
from gateway.outbox.dating import dated
from gateway.outbox.persons import FORGOTTEN

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_EXACT = 2**53  # up to here every JSON reader keeps a whole number exactly
_MOST_PEOPLE = 2**31  # as in a counter's own statements
_OUR_WORD = frozenset({Kind.LIVENESS, Kind.OCCUPANCY})  # said by the gateway: no sign of life of anybody
_LEADS_NOT = frozenset({Kind.HEARTBEAT, Kind.LIVENESS})


class Flag:
    """What the gateway knows about an entry beside its content; plain numbers, they are tested per event."""

    LATE: Final = 1  # came to the gateway after its time
    SUPERSEDED: Final = 2  # came after a newer revision of the same fact; it is history only
    UNTALLIED: Final = (
        4  # so old that its earlier revisions may have left the log: it did not move the tallies
    )
    TIED: Final = 8  # took the next free revision, because the device had given its own number twice
    UNSYNCED: Final = 16  # came in while the gateway's own clock could not be believed
    ERASED: Final = 32  # the person in it was removed on request; a resend does not bring them back
    MISDATED: Final = 64  # by a clock of ours that was believed its date cannot be: it is in no sum


@dataclass(frozen=True, slots=True)
class Draft:
    """An event ready for the log: everything computed that does not need the store."""

    id: str
    revision: int
    kind: str
    device: Device
    time: int  # ms
    received: int  # ms
    sent: int | None  # ms
    stated: int  # ms: the newest instant that the device's own clock gave: transmission, else the fact itself
    late_limit: int  # ms
    flags: int
    repaired: bool
    body: str
    personal: str | None
    zone: tzinfo  # the site's, in which its days are counted
    tallies: Mapping[str, int]
    data: str  # the part of the body that the device's state shows
    timed: bool  # the device stated a time; without one its clock cannot be told
    over: int  # ms: when a counted window ended, else the time
    object: str | None  # which of the device's counted objects this is about
    place: str | None  # the zone that the configuration gives to this event
    covered: Covered | None  # which minutes it tells about
    heard: float | None  # steady seconds: the device was heard then; None for what it did not say just now
    steady: bool  # it comes whether people pass or not
    our_end: bool  # the gateway's own word that an alarm is over: the device was not seen by it
    counts: str | None  # which kind of count it is
    leads: bool  # it may be shown as the newest: no sign of life, and no part of the people in another event
    impossible: int | None  # ms: an instant that it states and that cannot be


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log."""

    seq: int
    id: str
    revision: int
    kind: str
    device: str
    device_seq: int
    time: int
    received: int
    flags: int
    body: str
    personal: str | None


def milliseconds(instant: datetime) -> int:
    """Express an aware datetime as whole milliseconds since 1970, rounded down."""
    return (instant - EPOCH) // _MS


def rfc3339(ms: int) -> str:
    """Write milliseconds since 1970 the one way we write instants: UTC, milliseconds, Z."""
    seconds, rest = divmod(ms, 1000)
    return f"{_to_the_second(seconds)}.{rest:03d}Z"


# Many events share their second and their minute, and calendars are slow.
@lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def day_of(ms: int, zone: tzinfo) -> str:
    """Name the site's day of an instant, YYYY-MM-DD."""
    return _day_of_minute(ms // 60_000, zone)


@lru_cache(maxsize=4096)
def _day_of_minute(minutes: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(minutes * 60, zone).date().isoformat()


@dataclass(frozen=True, slots=True)
class Drafting:
    """Turns events into drafts, for one site."""

    zone: tzinfo = UTC
    late_after_ms: int = 300_000
    late_after_count_ms: int = 1_800_000

    def draft(self, event: Event, received_at: datetime, *, unsynced: bool | None = None) -> Draft:
        """Compute what the log keeps of an event, or raise `Unreadable` for what it could not give back.

        What did not come just now has its own word on whether our clock could be believed when it did: ``unsynced``.
        """
        own = event.kind in _OUR_WORD or _is_our_end(event)
        heard = None if own or unsynced is not None else clock.steady()
        if unsynced is None:
            unsynced = not clock.vouches(received_at)
        try:
            return self._draft(event, milliseconds(received_at), heard, Flag.UNSYNCED if unsynced else 0)
        except (ValueError, OverflowError) as error:
            raise Unreadable(f"the event cannot be kept: {error}") from error

    def _draft(self, event: Event, received: int, heard: float | None, flags: int) -> Draft:
        time = milliseconds(event.time)
        sent = None if event.sent_at is None else milliseconds(event.sent_at)
        over = time if event.end is None else milliseconds(event.end)
        limit = self.late_after_count_ms if event.kind == Kind.COUNT else self.late_after_ms
        data = dumps(event.data)
        # Put together as text: it is the same for every event but for a few fields.
        body = f'{{"source":{quoted(event.device.source)},'
        if event.end is not None:
            body += f'"end":"{rfc3339(over)}",'
        if sent is not None:
            body += f'"sent_at":"{rfc3339(sent)}",'
        if event.repaired:
            body += '"repaired":true,'
        body += f'"zone_rule":"{event.zone_rule}","data":{data}}}'
        forgotten = FORGOTTEN in event.personal
        personal = dumps(event.personal) if event.personal and not forgotten else None
        added = dict(tallies(event.kind, event.data))
        timed = event.zone_rule != ZoneRule.RECEIPT and event.kind not in _OUR_WORD
        dating = dated(event, time, sent, received, judged=timed and not flags & Flag.UNSYNCED)
        told = None if dating.misdated else covered(event.kind, event.data, time, over, timed=timed)
        _check(event, [body, personal], [event.revision])
        _check_counts(added)
        day_of(time, self.zone)  # a day that has no name is found here and not inside a transaction
        return Draft(
            id=dating.id,
            revision=dating.revision,
            kind=event.kind,
            device=event.device,
            time=time,
            received=received,
            sent=sent,
            stated=over if sent is None else sent,
            late_limit=limit,
            flags=flags
            | (Flag.LATE if sent is not None and sent - over > limit else 0)
            | (Flag.ERASED if forgotten else 0)
            | (Flag.UNTALLIED | Flag.MISDATED if dating.misdated else 0),
            repaired=event.repaired,
            body=body,
            personal=personal,
            zone=self.zone,
            tallies=added,
            data=data,
            timed=timed,
            heard=heard,
            steady=_is_steady(event),
            our_end=_is_our_end(event),
            counts=_named(event.data, "count") if event.kind == Kind.COUNT else None,
            over=over,
            object=_named(event.data, "object"),
            place=_named(event.data, "zone"),
            covered=told,
            leads=_leads(event) and not dating.misdated,
            impossible=dating.impossible,
        )


def _leads(event: Event) -> bool:
    return event.kind not in _LEADS_NOT and event.data.get("view", "total") == "total"


def _is_our_end(event: Event) -> bool:
    """Say whether the gateway itself ended an alarm, because nothing more was said of it."""
    return event.kind == Kind.ALARM and event.data.get("cleared_by") == "quiet"


def _is_steady(event: Event) -> bool:
    """Say whether a push like this one comes whether people pass or not, so that its absence tells something."""
    if event.kind == Kind.COUNT:
        return event.data.get("count") == "interval"
    # A push of a real-time counter without a window comes when it likes.
    return event.kind == Kind.HEARTBEAT and event.data.get("mode") != "real_time"


def dumps(value: object) -> str:
    """Write compact JSON that keeps names readable."""
    return _ENCODER.encode(value)


def _check(event: Event, texts: Sequence[str | None], numbers: Sequence[int]) -> None:
    """Refuse what SQLite could not write: half a character pair, which JSON can state, and endless numbers."""
    device = event.device
    names = (
        device.id,
        device.serial,
        device.mac,
        device.label,
        device.site,
        device.firmware,
        device.hardware,
    )
    try:
        "".join(text for text in (event.id, *names, *texts) if text).encode()
    except UnicodeEncodeError as error:
        raise Unreadable("a text holds half a character (a lone surrogate)") from error
    if not all(-_EXACT < number < _EXACT for number in (*numbers, device.utc_offset_min or 0)):
        raise Unreadable("a number in it is too large to be kept exactly")


def _check_counts(added: Mapping[str, int]) -> None:
    """Refuse a count that is none: sums that leave 64 bits would cost the other doors of a zone their counts."""
    for measure, amount in added.items():
        if not -_MOST_PEOPLE < amount < _MOST_PEOPLE:
            raise Unreadable(f"it counts {amount:,} {measure} at once, and no device counts {_MOST_PEOPLE:,}")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an entry of the log had said, as far as sums were made of it."""

    tallies: Mapping[str, int]
    object: str | None
    place: str | None
    data: Mapping[str, Json]
    end: int | None  # ms
    sent: int | None  # ms


def earlier(kind: str, body: str) -> Earlier:
    """Read what an entry of the log had added to its day, and where."""
    fields = _kept(body)
    data = fields["data"]
    instants = (fields.get(name) for name in ("end", "sent_at"))
    end, sent = (milliseconds(datetime.fromisoformat(text)) if text else None for text in instants)
    return Earlier(dict(tallies(kind, data)), _named(data, "object"), _named(data, "zone"), data, end, sent)


def _named(data: Mapping[str, Json], name: str) -> str | None:
    value = data.get(name)
    return None if value is None else str(value)


def same_statement(one: str, other: str) -> bool:
    """Say whether two bodies state the same, however often and with whatever repair they were sent."""
    return one == other or _stated(one) == _stated(other)


def _kept(body: str) -> dict[str, Any]:
    """Read back what the log keeps; anything else than what was written is damage of the file."""
    try:
        fields = json.loads(body)
        fields["data"].keys()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreDamaged(f"an entry of the log cannot be read ({error})") from error
    return dict(fields)


def _stated(body: str) -> dict[str, Json]:
    body_fields = _kept(body)
    for name in ("picture", "picture_sha256"):  # what became of it here is no word of the device
        body_fields["data"].pop(name, None)
    return {name: value for name, value in body_fields.items() if name not in ("sent_at", "repaired")}


def zone_called(name: str) -> tzinfo | None:
    """Find a time zone by what `str` says of it; None when there is none."""
    if name == str(UTC):
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def site_zone(name: str | None) -> tzinfo:
    """Give the zone that days are counted in; UTC when none is configured."""
    return UTC if name is None else zoneinfo.ZoneInfo(name)
