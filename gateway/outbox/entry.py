"""One event as the log holds it, and the way there from what a source made."""

import json
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import IntFlag

from gateway.errors import Unreadable
from gateway.event import Device, Event, Json, Kind, tallies


class Flag(IntFlag):
    """What the gateway knows about an entry beside its content."""

    LATE = 1  # came to the gateway after its time
    SUPERSEDED = 2  # came after a newer revision of the same fact; it is history only
    UNTALLIED = 4  # so old that its earlier revisions may have left the log: it did not move the tallies


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
    day: str  # the site's day that the fact belongs to, YYYY-MM-DD
    tallies: Mapping[str, int]
    data: Mapping[str, Json]


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
    """Express an aware datetime as whole milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def rfc3339(ms: int) -> str:
    """Write milliseconds since 1970 the one way we write instants: UTC, milliseconds, Z."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


@dataclass(frozen=True, slots=True)
class Drafting:
    """Turns events into drafts, for one site."""

    zone: tzinfo = UTC
    late_after_ms: int = 300_000
    late_after_count_ms: int = 1_800_000

    def draft(self, event: Event, received_at: datetime) -> Draft:
        """Compute what the log keeps of an event."""
        received = milliseconds(received_at)
        sent = None if event.sent_at is None else milliseconds(event.sent_at)
        over = milliseconds(event.end or event.time)
        limit = self.late_after_count_ms if event.kind == Kind.COUNT else self.late_after_ms
        body: dict[str, Json] = {"source": event.device.source}
        if event.end is not None:
            body["end"] = rfc3339(milliseconds(event.end))
        if sent is not None:
            body["sent_at"] = rfc3339(sent)
        body["zone_rule"] = event.zone_rule
        if event.repaired:
            body["repaired"] = True
        body["data"] = event.data
        return Draft(
            id=event.id,
            revision=event.revision,
            kind=event.kind,
            device=event.device,
            time=milliseconds(event.time),
            received=received,
            sent=sent,
            stated=over if sent is None else sent,
            late_limit=limit,
            flags=Flag.LATE if sent is not None and sent - over > limit else 0,
            repaired=event.repaired,
            body=_storable(dumps(body)),
            personal=dumps(event.personal) if event.personal else None,
            day=event.time.astimezone(self.zone).strftime("%Y-%m-%d"),
            tallies=dict(tallies(event.kind, event.data)),
            data=event.data,
        )


def dumps(value: object) -> str:
    """Write compact JSON that keeps names readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _storable(text: str) -> str:
    """Refuse what SQLite could not write: half a character pair, which JSON can state."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unreadable("a text holds half a character (a lone surrogate)") from error
    return text


def earlier_tallies(kind: str, body: str) -> dict[str, int]:
    """Read what an entry of the log had added to its day."""
    return dict(tallies(kind, json.loads(body)["data"]))


def site_zone(name: str | None) -> tzinfo:
    """Give the zone that days are counted in; UTC when none is configured."""
    return UTC if name is None else zoneinfo.ZoneInfo(name)
