"""The cameras of a simulated account: who passes them when, and when the cloud hears of it.

One seed and one clock make one day. A record happens at one time and reaches the cloud at another: a moment
later, much later now and then, or after the PC of its location was offline.
"""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from heapq import heappop, heappush
from operator import attrgetter
from random import Random
from typing import Protocol

from gateway.event import Json, slug
from gateway.simulate.crowd import arrivals
from gateway.simulate.facts import Key, cloud_key
from gateway.simulate.ledger import Ledger

_ORIGINS = ("Pedestrian", "Unknown", "Vehicle")
_SHARES = (88, 8, 4)
_OTHERS = ("RegionJoin", "RegionLeave", "Loitering", "CrowdOn", "CrowdOff", "ObjectAppear")


class Tells(Protocol):
    """Whatever says what time it is: `simulate.clock.Clock`, or a clock that a test drives."""

    def now(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One location: a PC with cameras, and when it had no network (start, seconds; Unix time)."""

    id: int
    name: str = "Shop"
    channels: int = 2
    offset: str = "+00:00"
    offline: tuple[tuple[float, float], ...] = ()
    skew_s: float = 0.0  # how far the clock of the PC is ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One event of a camera, and when the cloud has it."""

    id: int
    record: int
    at: float
    arrives: float
    type: str
    trigger: str
    channel: str
    location: int
    object: int
    origin: str
    suborigin: str = ""
    age_range: str = ""
    gender: str = ""

    @property
    def key(self) -> Key:
        return cloud_key(slug(self.channel), self.location, self.record, int(self.at))

    def as_json(self, *, webhook: bool = False) -> dict[str, Json]:
        """Write it as a method gives it, or as a webhook does: without an id, and in UTC without an offset."""
        when = datetime.fromtimestamp(self.at, UTC)
        text = when.isoformat(timespec="milliseconds")
        return {
            "record_id": self.record,
            "event_type": self.type,
            "snapshot_id": -self.id,
            "trigger_id": self.trigger,
            "origin": self.origin,
            "suborigin": self.suborigin,
            "age_range": self.age_range,
            "gender": self.gender,
            "id": None if webhook else self.id,
            "channel_id": self.channel,
            "object_id": self.object,
            "location_id": self.location,
            "event_time": text.replace("T", " ").removesuffix("+00:00") if webhook else text,
        }


@dataclass(slots=True)
class World:
    """Everything that happens in an account. ``rate`` is people per minute and camera."""

    clock: Tells
    places: Sequence[Place] = (Place(id=101),)
    rate: float = 4.0
    profile: Sequence[float] | None = None
    zone: tzinfo = UTC
    late: float = 0.0  # share of records that reach the cloud late
    late_s: float = 300.0  # and by how much at most
    seed: int = 0
    earlier_s: float = 0.0  # how much had happened before anybody looked
    canary: str = ""  # stands in every personal and secret field, to be searched for
    ledger: Ledger = field(default_factory=Ledger)
    arrivals: list[Record] = field(default_factory=list, init=False)  # all that the cloud has, as it came
    _records: list[Record] = field(default_factory=list, init=False)  # by the time that they happened
    _coming: list[tuple[float, int, Record]] = field(default_factory=list, init=False)
    _minutes: dict[str, Iterator[tuple[int, list[float]]]] = field(default_factory=dict, init=False)
    _next: dict[str, tuple[int, list[float]]] = field(default_factory=dict, init=False)
    _numbers: dict[int, int] = field(default_factory=dict, init=False)
    _lucks: dict[str, Random] = field(default_factory=dict, init=False)
    _id: int = field(default=34_000_000, init=False)
    lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __post_init__(self) -> None:
        start = self.clock.now() - self.earlier_s
        for place in self.places:
            self._numbers[place.id] = Random(f"{self.seed} {place.id}").randrange(1_000, 900_000)
            for channel in self.channels(place):
                luck = Random(f"cloud {self.seed} {channel}")
                self._lucks[channel] = luck
                self._minutes[channel] = arrivals(
                    luck, start, rate=self.rate, zone=self.zone, profile=self.profile
                )
                self._next[channel] = next(self._minutes[channel])

    def channels(self, place: Place) -> list[str]:
        """Name the cameras of a location, the way the vendor does."""
        return [f"{place.id:08x}-56656-45781-acb{number:02}_000015E2" for number in range(place.channels)]

    def triggers(self, channel: str) -> dict[str, str]:
        """Name the triggers of a camera: id by name."""
        return {name: f"{number}{channel[1:]}" for number, name in enumerate(("Enter", "Exit", "Area"), 4)}

    def catch_up(self) -> None:
        """Let what happened until now happen, and what reached the cloud until now be there."""
        with self.lock:
            now = self.clock.now()
            for place in self.places:
                for channel in self.channels(place):
                    self._happen(place, channel, now)
            while self._coming and self._coming[0][0] <= now:
                record = heappop(self._coming)[2]
                insort(self._records, record, key=attrgetter("at"))
                self.arrivals.append(record)
                said = self.ledger.state(record.key, _truth(record, self.triggers(record.channel)))
                said.sent = said.acknowledged = True

    def between(self, since: float, until: float) -> list[Record]:
        """Give the records of a span, both ends included, in the order in which they happened."""
        with self.lock:
            first = bisect_left(self._records, since, key=attrgetter("at"))
            return self._records[first : bisect_right(self._records, until, key=attrgetter("at"))]

    def _happen(self, place: Place, channel: str, now: float) -> None:
        while self._next[channel][0] <= now:
            for moment in self._next[channel][1]:
                self._happened(place, channel, moment)
            self._next[channel] = next(self._minutes[channel])

    def _happened(self, place: Place, channel: str, moment: float) -> None:
        luck, triggers = self._lucks[channel], self.triggers(channel)
        self._numbers[place.id] += 1
        self._id += 1
        way = "Enter" if luck.random() < 0.5 else "Exit"
        other = luck.random() < 0.15
        face = bool(self.canary) and luck.random() < 0.3
        record = Record(
            id=self._id,
            record=self._numbers[place.id],
            at=round(moment + place.skew_s, 3),
            arrives=self._arrival(place, moment, luck),
            type=luck.choice(_OTHERS) if other else "TripwireCrossed",
            trigger=triggers["Area" if other else way],
            channel=channel,
            location=place.id,
            object=luck.randrange(1, 9_999),
            origin="Face" if face and other else luck.choices(_ORIGINS, _SHARES)[0],
            age_range=f"{self.canary}age" if face else "",
            gender=f"{self.canary}gender" if face else "",
        )
        heappush(self._coming, (record.arrives, record.id, record))

    def _arrival(self, place: Place, moment: float, luck: Random) -> float:
        arrives = moment + luck.uniform(0.1, 2.0)
        if luck.random() < self.late:
            arrives += luck.uniform(0, self.late_s)
        for start, length in place.offline:
            if start <= arrives < start + length:
                arrives = start + length + luck.uniform(0.1, 5.0)
        return arrives


def _truth(record: Record, triggers: Mapping[str, str]) -> dict[str, Json]:
    truth: dict[str, Json] = {"event_type": record.type}
    if record.type == "TripwireCrossed" and record.origin in ("Pedestrian", "Unknown"):
        entering = record.trigger == triggers["Enter"]
        truth |= {"enters": int(entering), "exits": int(not entering)}
    return truth
