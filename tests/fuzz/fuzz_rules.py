"""What must hold for whatever a parser makes of hostile bytes: the fuzzer asks it of millions, the suite of the corpus."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gateway.errors import Unreadable
from gateway.event import Event, Kind, ZoneRule
from gateway.outbox.entry import Drafting
from gateway.source import Notice, Page, Reading

RECEIVED = datetime(2026, 6, 17, 10, 0, tzinfo=UTC)
DRAFTING = Drafting()

_EVENT_ID = re.compile(r"[a-z0-9_-]{1,128}(?::-?[0-9]{1,16})?:[0-9a-f]{20}")
_SLUG = re.compile(r"[a-z0-9_-]{1,128}")  # what may be a level of an MQTT topic
_MAC = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2}){5}")
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)  # and no turning of lines
_EXACT = 2**53
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
# A text of three bytes can be written as six letters, and names of ours stand around it.
_GROWTH, _FRAME = 12, 8_000
_WORDS = re.compile(r"[a-z][a-z0-9_]{2,60}")


class Broken(AssertionError):
    """A rule does not hold for this input."""


def demand(holds: object, rule: str) -> None:
    if not holds:
        raise Broken(rule)


def check_reading(reading: Reading, size: int) -> None:
    """Hold a reading against everything that the rest of the gateway relies on."""
    demand(isinstance(reading, Reading), "a source gives a Reading")
    demand(len(reading.events) <= size + 1, "no more events than bytes")
    check_events(reading.events, size)
    check_notices(reading.notices, size)
    known = {event.id for event in reading.events}
    for owner, picture in reading.pictures.items():
        demand(owner in known, "a picture belongs to one of the events")
        demand(isinstance(picture, str) and len(picture) <= size, "a picture is no longer than the body")
    if reading.reply is not None and reading.reply.status is not None:
        demand(200 <= reading.reply.status < 600, "a reply has a status of HTTP")
        demand(b"pass" not in reading.reply.body.lower(), "no reply opens a door")


def check_page(page: Page, size: int, cursor_size: int) -> None:
    """Hold a page against the same, and its cursor against growing without end."""
    check_reading(page.reading, size)
    text = json.dumps(page.cursor, allow_nan=False)
    text.encode()
    demand(len(text) <= cursor_size + _GROWTH * size + _FRAME, "a cursor grows no faster than what is read")
    for aside in page.aside:
        demand(aside.reason and len(aside.reason) <= 500, "a letter has a reason of one sentence")
        demand(len(aside.body) <= _GROWTH * size + _FRAME, "a record apart is no bigger than the page")


def check_events(events: Iterable[Event], size: int) -> None:
    """Look at every event, and closely at one in four or where there are few."""
    for number, event in enumerate(events):
        check_event(event, size, closely=number % 4 == size % 4)


def check_notices(notices: Iterable[Notice], size: int) -> None:
    for notice in notices:
        demand(_WORDS.fullmatch(notice.code), "the code of a notice is a word of ours")
        for text in (notice.sentence, notice.action):
            demand(text and "\n" not in text and text.isprintable(), "a notice is one printable line")
            demand(len(text) <= 4_000 + size, "a notice is short")


def check_event(event: Event, size: int, *, closely: bool = True) -> None:
    """Check identity, instants, device and content, and that the log takes it or says that it cannot."""
    demand(_EVENT_ID.fullmatch(event.id), "an event's id is made of a slug and a digest")
    demand(type(event.revision) is int and 0 <= event.revision < _EXACT, "a revision is kept exactly")
    demand(isinstance(event.kind, Kind) and isinstance(event.zone_rule, ZoneRule), "kind and rule are known")
    for instant in (event.time, event.end, event.sent_at):
        if instant is not None:
            demand(instant.utcoffset() == timedelta(0), "instants are UTC")
            demand(_FIRST <= instant <= _LAST, "instants are within the calendar")
    demand(event.end is None or event.end >= event.time, "a window ends behind its beginning")
    _check_device(event)
    if not closely:
        return
    text = json.dumps([event.data, event.personal], ensure_ascii=False, allow_nan=False)
    demand(len(text) <= _GROWTH * size + _FRAME, "an event is not much bigger than what it was made of")
    try:
        draft = DRAFTING.draft(event, RECEIVED)
    except Unreadable:
        return
    json.loads(draft.body)


def _check_device(event: Event) -> None:
    device = event.device
    demand(_SLUG.fullmatch(device.id), "a device's id can be part of a topic")
    demand(device.mac is None or _MAC.fullmatch(device.mac), "a MAC is written one way")
    demand(
        device.utc_offset_min is None or abs(device.utc_offset_min) <= 24 * 60, "an offset is less than a day"
    )
    for text in (device.serial, device.label, device.site, device.firmware, device.hardware):
        demand(text is None or (isinstance(text, str) and len(text) <= 512), "a device's texts are bounded")
        demand(text is None or not _CONTROLS.search(text), "a device's texts hold no control characters")
