"""Drives a Camlytics poll against a made-up PC without a socket, and records in the shape of its interface."""

import json
from collections import Counter
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from gateway.event import tallies
from gateway.simulate.camlytics import Pc
from gateway.simulate.camlytics.api import Api
from gateway.source import Answer, Ask, Page
from gateway.sources.camlytics import CamlyticsPoll, Instance, Rule

LISBON = ZoneInfo("Europe/Lisbon")
CHANNEL = "00000000-0000-4000-9000-0000000000c1"
RULES = (
    Rule(rule="Enter", direction="in", zone="hall"),
    Rule(rule="Exit", direction="out", zone="hall"),
    Rule(rule="Street", direction="ignore"),
    Rule(rule="Lounge", zone="lounge"),
)
HALL = Instance(name="hall", endpoint="http://192.0.2.20:48462", zone=LISBON, rules=RULES, limit=50)
NOW = datetime(2026, 6, 17, 10, 0, tzinfo=UTC)


def record(number: int, time: str = "2026-06-17T10:58:02.1170000", **more: object) -> dict:
    """One event as `/v1/json/events` gives it."""
    return {
        "event_id": number,
        "type": "TripwireCrossed",
        "time": time,
        "timestamp": "12.5",
        "channel_id": CHANNEL,
        "channel_name": None,
        "object_id": str(number),
        "origin": "Pedestrian",
        "rule_id": "00000000-0000-4000-9000-0000000000e1",
        "rule_name": "Enter",
        "snapshot_path": None,
        "recording_path": None,
        "video_file_name": None,
        "video_file_time": None,
        **more,
    }


def answer(ask: Ask | str, rows: object, *, at: datetime = NOW, status: int = 200) -> Answer:
    body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    target = ask if isinstance(ask, str) else ask.target
    return Answer(status=status, headers={}, body=body, received_at=at, target=target)


def following(poll: CamlyticsPoll, rows: object, cursor: object = None, *, at: datetime = NOW) -> Page:
    """Read a page as the answer to the ask that waits for news."""
    return poll.read(answer("/v1/json/events?sinceId=0&timeout=20", rows, at=at), cursor or {})


def sums_of(events: list) -> Counter:
    """Add up who came and went, as a log that honours ids would."""
    sums: Counter = Counter()
    for event in {event.id: event for event in events}.values():
        for measure, amount in tallies(event.kind, event.data):
            if measure in ("enters", "exits"):
                sums[measure] += amount
    return sums


class Asker:
    """Asks a PC as the poller would, on the PC's clock; `page` may change what comes back."""

    def __init__(self, pc: Pc, poll: CamlyticsPoll, *, inclusive: bool = False) -> None:
        self.pc, self.poll, self.api = pc, poll, Api(pc, inclusive=inclusive)
        self.cursor: dict = {}
        self.events: list = []
        self.targets: list[str] = []
        self.notices: dict[str, str] = {}

    def once(self) -> Page:
        now = datetime.fromtimestamp(self.pc.clock.now(), UTC)
        ask = self.poll.ask(self.cursor, now, 0)
        self.targets.append(ask.target)
        path, _, query = ask.target.partition("?")
        give = {
            "/v1/json/events": self.api.events,
            "/v1/json/channels": self.api.channels,
            "/v1/json/events/totals/rule": self.api.totals_rule,
            "/v1/json/events/totals/type": self.api.totals_type,
        }[path]
        page = self.poll.read(answer(ask, give(dict(parse_qsl(query))), at=now), self.cursor)
        self.events += page.reading.events
        self.cursor = json.loads(json.dumps(page.cursor))
        self.notices = {notice.code: notice.sentence for notice in page.reading.notices}
        return page

    def until_caught_up(self, most: int = 500) -> None:
        for _ in range(most):
            if not self.once().more:
                return
        raise AssertionError(f"it asks without end: {self.targets[-5:]}")
