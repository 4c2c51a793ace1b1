"""The stereo people counter and its relatives: HX-CCD21 and Brickstream, which all push the same XML tree.

One window of one Object is one event. A later transmission of the same window is a higher revision, and
within one second of transmission the bigger sum is the later one, because a running sum only rises.
"""

import re
from collections.abc import Iterable

from gateway.errors import Unreadable
from gateway.event import SUM_BITS, Event, Json, Kind, ZoneRule, event_id
from gateway.reading import xml_body
from gateway.source import Notice, Post, Reading, Reply
from gateway.sources.people_counter.clock import Clock, instant
from gateway.sources.people_counter.header import Header, read_header, shown_properties
from gateway.sources.people_counter.leftovers import Leftovers
from gateway.sources.people_counter.windows import Window, WindowReader

_MODES = {"metrics": "interval", "rtmetrics": "real_time", "diags": "heartbeat"}

# The first tag after anything that may precede it is ours. What precedes it can be wrong: a broken body of
# a counter is a counter's letter. JSON is never ours.
_FIRST_TAG = re.compile(
    rb"(?:(?><\?[^>]*>|<!--.*?-->|[^<{\[]+))*+<(?:!DOCTYPE\s+)?(?:[\w.-]+:)?(?:(?:rt)?metrics|diags)(?:[\s/>\[]|$)",
    re.IGNORECASE | re.DOTALL,
)
_LOOK_BYTES = 2048

_CLOCK_SET_S = (
    1_420_070_400  # the year 2015: a window from before it can only come from a clock that was never set
)

_NOTICES = {
    "zone_disagrees": Notice(
        "zone_disagrees",
        "The counter's local time does not fit its Unix time or the zone of the site, going by the time zone "
        "that it states. Its Unix time is used where it has one, else the zone of the site.",
        "Set time zone and daylight saving time in the counter's settings, and the zone of the site in the "
        "configuration.",
    ),
    "clock_missing": Notice(
        "clock_missing",
        "The counter states local time without a time zone, so its windows are read as UTC.",
        "Set the zone of the site in the configuration.",
    ),
    "clock_not_set": Notice(
        "clock_not_set",
        "The counter's clock is years in the past, as after a restart without a time server: "
        "windows of different days can look the same and replace each other.",
        "Give the counter a time server that it can reach.",
    ),
    "window_without_length": Notice(
        "window_without_length",
        "A window of the counter has no end, or ends when it begins; its end is given as its beginning.",
        "Look at the counter's push beside its event with `gateway tail`, and correct the counter's interval.",
    ),
}


class PeopleCounter:
    """Reads Metrics, RTMetrics and Diags; ``keep_personal`` may list "gender" and "age"."""

    name = "people_counter"
    family = "counter"
    max_body_bytes = 262_144

    def __init__(self, keep_personal: frozenset[str] = frozenset()) -> None:
        self._keep_personal = keep_personal

    def recognises(self, post: Post) -> bool:
        """Say whether the first tag is one of ours; without NULs, UTF-16 looks like text."""
        return _FIRST_TAG.match(post.body[:_LOOK_BYTES].replace(b"\0", b"")) is not None

    def parse(self, post: Post) -> Reading:
        """Read every window of the body, or its heartbeat."""
        root, repaired = xml_body.read(post.body)
        mode = _MODES.get(xml_body.local_name(root))
        if mode is None:
            raise Unreadable("The root element is none of Metrics, RTMetrics and Diags.")
        leftovers = Leftovers()
        header = read_header(root, post, self.name, self.family, leftovers)
        offset_min = header.device.utc_offset_min
        clock = Clock(post.zone, None if offset_min is None else offset_min * 60, header.sent_s)
        reader = WindowReader(clock, header.names, leftovers)
        windows = reader.read(root)
        events = [self._count(window, header, post, repaired) for window in windows]
        if mode == "interval" and "increment" in reader.kinds:
            mode = "real_time"  # HX-CCD21 has no root of its own for it
        if not windows and not _is_anybody(header, post):
            raise Unreadable(
                "The push holds no window and names no device: it has no serial number, MAC, DeviceId or DeviceName."
            )
        if mode == "heartbeat" or not windows:
            events.append(_heartbeat(mode, header, leftovers.take(), post, repaired))
        return Reading(tuple(events), tuple(_NOTICES[code] for code in _codes(windows)))

    def accepted(self, post: Post) -> Reply:  # noqa: ARG002 - the answer is the same for every dialect
        """Answer with nothing at all: the one answer that was seen working with every dialect."""
        return Reply(200, b"", "text/xml")

    def refused(self, post: Post) -> Reply:  # noqa: ARG002 - the answer is the same for every dialect
        """Answer anything but 200: Brickstream sends again then, and of the others nothing is known."""
        return Reply(503, b"", "text/xml")

    def _count(self, window: Window, header: Header, post: Post, repaired: bool) -> Event:
        counted, start_s, sent_s = window.counted, window.start.at_s, header.sent_s
        end = instant(window.end_s)
        data: dict[str, Json] = {
            "count": window.report.kind,
            "view": counted.view,
            "object": counted.object_id,
            "name": counted.name,
            **window.numbers,
            "complete": sent_s >= window.end_s if sent_s is not None else post.received_at >= end,
        }
        if window.status is not None:
            data["status"] = window.status
        if window.report.interval is not None:
            data["interval_min"] = window.report.interval
        if window.extra:
            data["extra"] = window.extra
        key = (counted.object_id, counted.object_type, counted.name, start_s, window.end_s)
        return Event(
            id=event_id(header.device.id, "count", *key, order=start_s),
            revision=((sent_s or 0) << SUM_BITS) + min(window.people, (1 << SUM_BITS) - 1),
            kind=Kind.COUNT,
            device=header.device,
            time=instant(start_s),
            end=end,
            sent_at=None if sent_s is None else instant(sent_s),
            zone_rule=window.start.rule,
            repaired=repaired,
            data=data,
            personal={part: window.personal[part] for part in window.personal if part in self._keep_personal},
        )


def _heartbeat(mode: str, header: Header, extra: dict[str, Json], post: Post, repaired: bool) -> Event:
    """Make the sign of life of a push without a single window."""
    sent_at = None if header.sent_s is None else instant(header.sent_s)
    received_ms = int(post.received_at.timestamp() * 1000)
    sent = received_ms if header.sent_s is None else header.sent_s
    order = received_ms // 1000 if header.sent_s is None else header.sent_s
    return Event(
        id=event_id(header.device.id, "heartbeat", sent, order=order),
        revision=0,
        kind=Kind.HEARTBEAT,
        device=header.device,
        time=sent_at or post.received_at,
        sent_at=sent_at,
        zone_rule=ZoneRule.UNIX if sent_at else ZoneRule.RECEIPT,
        repaired=repaired,
        data={"mode": mode, "properties": {**extra, **shown_properties(header)}},
    )


def _is_anybody(header: Header, post: Post) -> bool:
    """Say whether a push speaks of some device; an empty one from anywhere must not make up one."""
    device = header.device
    return bool(device.serial or device.mac or device.label or post.token)


def _codes(windows: Iterable[Window]) -> list[str]:
    """Name what a person should know about the clock of the sender, each once."""
    found: dict[str, None] = {}
    for window in windows:
        if window.start.disagrees:
            found["zone_disagrees"] = None
        if window.start.rule == ZoneRule.ASSUMED_UTC:
            found["clock_missing"] = None
        if window.start.at_s < _CLOCK_SET_S:
            found["clock_not_set"] = None
        if window.end_s == window.start.at_s:
            found["window_without_length"] = None
    return list(found)
