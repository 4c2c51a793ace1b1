"""What the cameras of one PC see: seeded people who walk, and now and then something else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from random import Random

from gateway.simulate.crowd import arrivals, people

CROSSING = "TripwireCrossed"
AREA = "Waiting area"
DIRECTIONS = {"Enter": "in", "Exit": "out"}  # what a gateway has to be told about this PC
_LINES = {"enters": "Enter", "exits": "Exit", "passings": "Street"}
_ORIGINS, _SHARES = ("Pedestrian", "Unknown", "Vehicle"), (85, 10, 5)
_RARE = (
    *("CrowdOn", "CrowdOff", "Loitering", "Tailgating", "AbandonedObject", "Sabotage", "CameraDisconnected"),
    *("MotionInRegionOn", "MotionInRegionOff"),
)
_RULE_NUMBERS = {name: number for number, name in enumerate(("Enter", "Exit", "Street", AREA), start=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One thing that a camera saw."""

    at: float
    type: str
    channel: int
    origin: str = "Unknown"
    rule: str = ""
    thing: int = -1  # the tracked object


def story(
    seed: int | str,
    start: float,
    *,
    rate: float,
    zone: tzinfo,
    channels: int,
    profile: Sequence[float] | None,
) -> Iterator[tuple[float, list[Seen]]]:
    """Give everything that is seen, minute by minute, with the end of each minute."""
    luck, rare = Random(f"camlytics {seed}"), Random(f"rare {seed}")
    things = 0
    for minute, moments in arrivals(luck, start, rate=rate, zone=zone, profile=profile):
        seen: list[Seen] = []
        for person in people(luck, moments, zones=channels):
            things += 1
            origin = luck.choices(_ORIGINS, _SHARES)[0]
            seen += _walk(person.at, person.doing, origin, person.zone, things)
        if rate and rare.random() < 0.2:
            channel = rare.randrange(channels)
            seen.append(
                Seen(at=minute + rare.uniform(0, 59), type=rare.choice(_RARE), channel=channel, rule=AREA)
            )
        yield minute + 60, sorted(seen, key=lambda one: one.at)


def rule_id(rule: str, channel: int) -> str:
    """Give the id of a rule; no name, no rule."""
    number = _RULE_NUMBERS.get(rule)
    return f"00000000-0000-4000-9000-{channel:06d}{number:06d}" if number else "-1"


def channel_id(pc: str, channel: int) -> str:
    """Give the id of a channel, as long as the real ones."""
    mark = sum(ord(char) * (place + 1) for place, char in enumerate(pc)) % 65_536
    return f"00000000-0000-4000-{mark:04x}-{channel:012d}"


def _walk(at: float, doing: str, origin: str, channel: int, thing: int) -> Iterator[Seen]:
    yield Seen(at=at, type="ObjectAppear", channel=channel, origin=origin, thing=thing)
    if doing in _LINES:
        yield Seen(
            at=at + 0.02, type=CROSSING, channel=channel, origin=origin, rule=_LINES[doing], thing=thing
        )
    else:
        yield Seen(at=at + 0.02, type="RegionJoin", channel=channel, origin=origin, rule=AREA, thing=thing)
        yield Seen(at=at + 0.04, type="RegionLeave", channel=channel, origin=origin, rule=AREA, thing=thing)
    yield Seen(at=at + 0.06, type="ObjectDisappear", channel=channel, origin=origin, thing=thing)
