"""The hourly and daily webhooks: sums of one span, grouped twice.

Both groupings are of the same events and are never added: what counts is the one by rule, because only a rule
says who came in. Nothing says hourly or daily; the span does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gateway.errors import Unreadable
from gateway.event import Device, Event, Json, Kind, ZoneRule, event_id
from gateway.sources.camlytics.instance import Instance
from gateway.sources.camlytics.told import channel_of, moment
from gateway.sources.camlytics.values import name_of, text, whole
from gateway.sources.camlytics.walltime import Bounds, instant, ms_of, nearest

_HALF_A_DAY = timedelta(hours=12)
_MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """What one aggregate says."""

    channel: str
    channel_name: str
    since: datetime
    until: datetime
    stated: tuple[str, str]
    by_rule: tuple[tuple[str, str, int], ...]  # id, name, events
    by_type: Mapping[str, int]

    @property
    def way(self) -> Literal["hourly", "daily"]:
        """Say which of the two webhooks it is; a day of 23 hours is a day."""
        return "daily" if self.until - self.since > _HALF_A_DAY else "hourly"

    def events(
        self, instance: Instance, device: Device, received_at: datetime, *, repaired: bool
    ) -> tuple[Sequence[Event], Sequence[str]]:
        """Make a count of each rule that has a direction, and keep all sums; name the rules that have none."""
        span = self._span(instance, received_at)
        made, unknown = [self._event(span, device, Kind.OBSERVATION, "", self._whole(), repaired)], []
        for rule_id, name, number in self.by_rule:
            rule = instance.rule(name)
            if rule is None or rule.direction is None:
                if number:
                    unknown.append(name)
                continue
            if rule.direction == "ignore":
                continue
            data: dict[str, Json] = {
                "count": "interval",
                "view": "total",
                "object": rule_id,
                "name": name,
                "enters" if rule.direction == "in" else "exits": number,
                "exits" if rule.direction == "in" else "enters": 0,
                "complete": True,
                "rule": rule_id,
                "rule_name": name,
            }
            if rule.zone:
                data["zone"] = rule.zone
            made.append(self._event(span, device, Kind.COUNT, rule_id, data, repaired))
        return tuple(made), unknown

    def _span(self, instance: Instance, received_at: datetime) -> tuple[datetime, datetime]:
        """Say from when to when; in the hour that comes twice an hourly webhook is sent at the end of its own."""
        length = self.until - self.since
        first = instant(self.since, instance.zone, Bounds())
        if self.way == "daily":
            return first, instant(self.until, instance.zone, Bounds())
        begin = nearest(self.since, instance.zone, received_at - length)
        twice = begin != first or instant(self.until, instance.zone, Bounds()) - begin > length
        return begin, begin + length if twice else instant(self.until, instance.zone, Bounds())

    def _event(
        self,
        span: tuple[datetime, datetime],
        device: Device,
        kind: Kind,
        rule: str,
        data: Mapping[str, Json],
        repaired: bool,
    ) -> Event:
        aware = self.since.tzinfo is not None
        return Event(
            id=event_id(device.id, "sums", *self.stated, rule, order=ms_of(span[0]) // 1000),
            revision=0,
            kind=kind,
            device=device,
            time=span[0],
            end=span[1] if kind == Kind.COUNT else None,
            zone_rule=ZoneRule.DEVICE_OFFSET if aware else ZoneRule.SOURCE_ZONE,
            repaired=repaired,
            data=data,
        )

    def _whole(self) -> dict[str, Json]:
        by_rule: list[Json] = [
            {"rule": rule, "rule_name": name, "events": n} for rule, name, n in self.by_rule
        ]
        return {
            "observation": f"{self.way}_sums",
            "since": self.stated[0],
            "until": self.stated[1],
            "by_type": {**self.by_type},
            "by_rule": by_rule,
        }


def aggregate_of(body: Mapping[str, Json]) -> Aggregate:
    """Read an aggregate, or raise `Unreadable`."""
    stated = text(body.get("since_time")), text(body.get("until_time"))
    since, until = moment(stated[0], "since_time"), moment(stated[1], "until_time")
    if (since.tzinfo is None) != (until.tzinfo is None) or until <= since:
        raise Unreadable("its until_time is not after its since_time")
    rules = [
        (name_of(item.get("rule_id")), text(item.get("rule_name")), _number(item))
        for item in _items(body, "rule_id_aggregate")
        if name_of(item.get("rule_id"))
    ]
    if len({rule for rule, _, _ in rules}) != len(rules):
        raise Unreadable("one rule is there twice, so nobody knows which of its sums is right")
    return Aggregate(
        channel=channel_of(body),
        channel_name=text(body.get("channel_name")),
        since=since,
        until=until,
        stated=stated,
        by_rule=tuple(rules),
        by_type={
            text(item.get("event_type")): _number(item) for item in _items(body, "event_type_aggregate")
        },
    )


def _items(body: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    listed = body.get(name)
    if not isinstance(listed, list):
        return []
    if len(listed) > _MOST or not all(isinstance(item, Mapping) for item in listed):
        raise Unreadable(f"its {name} is not a list of objects, or is too long")
    return [item for item in listed if isinstance(item, Mapping)]


def _number(item: Mapping[str, Json]) -> int:
    number = whole(item.get("event_count"))
    if number is None:
        raise Unreadable("an event_count is not a whole number")
    return number
