"""The PC: it stores what its cameras see under rising numbers, in its own local time, until it is installed anew."""

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from random import Random
from typing import Protocol

from gateway.event import Json, slug
from gateway.simulate.camlytics.story import CROSSING, DIRECTIONS, Seen, channel_id, rule_id, story
from gateway.simulate.facts import camlytics_key
from gateway.simulate.ledger import Ledger, Statement

CANARY = "canary-of-a-camera"


class Tells(Protocol):
    """Whatever says what time it is: `simulate.clock.Clock`, or a clock that a test drives."""

    def now(self) -> float: ...


class Stored:
    """One event in the database of the PC."""

    __slots__ = ("at", "number", "row", "statement", "wall")

    def __init__(self, number: int, at: float, wall: str, row: dict[str, Json], statement: Statement) -> None:
        self.number, self.at, self.wall, self.row, self.statement = number, at, wall, row, statement


class Pc:
    """One PC. ``name`` is that of the section in the gateway's configuration; the ledger needs it.

    ``skew_s`` is how far its clock is ahead. ``counted`` False: what it tells is no obligation, because a webhook
    tells it.
    """

    def __init__(
        self,
        clock: Tells,
        *,
        name: str = "hall",
        seed: int | str = 0,
        zone: tzinfo = UTC,
        rate: float = 6.0,
        profile: Sequence[float] | None = None,
        channels: int = 2,
        skew_s: float = 0.0,
        start: float | None = None,
        reinstall_after_s: float | None = None,
        directions: Mapping[str, str] | None = None,
        ledger: Ledger | None = None,
        per_event: bool = True,
    ) -> None:
        self.clock, self.name, self.zone, self.channels = clock, name, zone, channels
        self.ledger = Ledger() if ledger is None else ledger
        self.stored: list[Stored] = []
        self.reinstalls = 0
        self.lock = threading.RLock()
        self._skew_s = skew_s
        self._directions = DIRECTIONS if directions is None else directions
        self._per_event = per_event
        self._born = clock.now() if start is None else start
        self._reinstall_at = None if reinstall_after_s is None else self._born + reinstall_after_s
        self._story = story(
            f"{seed} {name}", self._born, rate=rate, zone=zone, channels=channels, profile=profile
        )
        self._order = Random(f"order {seed} {name}")
        self._waiting: list[Seen] = []
        self._told_until = self._born
        self._last = 0
        self._taken = 0  # everything up to this number was gone on behind

    def advance(self) -> None:
        """Store everything that was seen by now."""
        now = self.clock.now()
        with self.lock:
            while self._told_until <= now:
                self._told_until, seen = next(self._story)
                self._waiting += seen
            count = bisect_right(self._waiting, now, key=lambda one: one.at)
            due, self._waiting = self._waiting[:count], self._waiting[count:]
            for place in range(
                len(due) - 1
            ):  # two cameras write at once: numbers are not in the order of time
                if due[place].channel != due[place + 1].channel and self._order.random() < 0.3:
                    due[place], due[place + 1] = due[place + 1], due[place]
            for one in due:
                self._store(one)
            if self._reinstall_at is not None and now >= self._reinstall_at:
                self._reinstall_at = None
                self.reinstall()

    def reinstall(self) -> None:
        """Install Camlytics anew: its database is empty and numbers from the beginning."""
        with self.lock:
            self.stored.clear()
            self._last = self._taken = 0
            self.reinstalls += 1

    def store(self, *seen: Seen) -> None:
        """Store something by hand."""
        with self.lock:
            for one in seen:
                self._store(one)

    def went_behind(self, number: int) -> None:
        """Note that somebody asks for what is behind a number: that one, and all before it, arrived."""
        with self.lock:
            for stored in self.stored[bisect_right(self.stored, self._taken, key=lambda one: one.number) :]:
                if stored.number > number or not stored.statement.sent:
                    break
                stored.statement.acknowledged = True
                self._taken = stored.number

    @property
    def unread(self) -> int:
        """Count what nobody has gone on behind yet."""
        with self.lock:
            return sum(not stored.statement.acknowledged for stored in self.stored)

    def _store(self, seen: Seen) -> None:
        self._last += 1
        at = round(seen.at + self._skew_s, 3)  # whole milliseconds, which is what a gateway keeps
        wall = _wall(at, self.zone)
        channel = channel_id(self.name, seen.channel)
        row: dict[str, Json] = {
            "event_id": self._last,
            "type": seen.type,
            "time": wall,
            "timestamp": f"{seen.at - self._born:.3f}",
            "channel_id": channel,
            "channel_name": None,
            "object_id": str(seen.thing),
            "origin": seen.origin,
            "rule_id": rule_id(seen.rule, seen.channel),
            "rule_name": seen.rule,
            "snapshot_path": f"C:\\Users\\{CANARY}\\Pictures\\{self._last}.jpg",
            "recording_path": f"C:\\Users\\{CANARY}\\Videos\\{self._last}.mp4",
            "video_file_name": None,
            "video_file_time": None,
        }
        self.stored.append(Stored(self._last, at, wall, row, self._state(seen, channel, at)))

    def _state(self, seen: Seen, channel: str, at: float) -> Statement:
        """Enter the truth about it: what a gateway with the right rules has to say."""
        serial = f"{self.name}-{slug(channel)}"
        key = camlytics_key(
            serial, seen.type, rule_id(seen.rule, seen.channel), str(seen.thing), round(at * 1000)
        )
        direction = self._directions.get(seen.rule)
        counts = seen.type == CROSSING and direction in ("in", "out") and seen.origin != "Vehicle"
        truth: dict[str, Json] = {"event_type": seen.type}
        if counts:
            truth |= {"enters": int(direction == "in"), "exits": int(direction == "out")}
        return (self.ledger if self._per_event else Ledger()).state(key, truth)

    # What its list of channels says

    def channel_rows(self) -> list[Json]:
        """Give the channels as the interface does: with logins, passwords and the addresses of streams."""
        return [
            {
                "channel_id": channel_id(self.name, number),
                "name": f"{self.name} camera {number + 1}",
                "type": "Onvif",
                "uri": f"http://192.0.2.{number + 1}/onvif?{CANARY}-uri",
                "stream_uri": f"rtsp://{CANARY}-user:{CANARY}-word@192.0.2.{number + 1}/stream",
                "login": f"{CANARY}-login",
                "password": f"{CANARY}-password",
                "profile_name": "main",
                "profile_token": f"{CANARY}-profile",
            }
            for number in range(self.channels)
        ]


def _wall(at: float, zone: tzinfo) -> str:
    """Write local time without an offset and with seven digits, the last of which is always 0."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None).isoformat(timespec="microseconds") + "0"
