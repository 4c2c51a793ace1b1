"""Who comes when: seeded people, so that the same seed always makes the same day."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from random import Random

SHOP_DAY = (
    0,
    0,
    0,
    0,
    0,
    0,
    0.1,
    0.4,
    1.1,
    1.8,
    2.2,
    2.5,
    2.7,
    2.3,
    2.1,
    2.2,
    2.5,
    2.4,
    1.4,
    0.3,
    0,
    0,
    0,
    0,
)
GENDERS = ("maleNum", "femaleNum", "unknownGenderNum")
AGES = (
    "ageLess10Num",
    "age10to16Num",
    "age17to30Num",
    "age31to45Num",
    "age46to60Num",
    "ageOver60Num",
    "unknownAgeNum",
)
_COMPANY = 0.15  # share of people who have somebody right beside them: pushes within one second
_DOINGS = {"enters": 42, "exits": 42, "passings": 12, "returns": 4}


@dataclass(frozen=True, slots=True)
class Person:
    """One passage below a counter."""

    at: float
    doing: str  # enters, exits, passings, returns
    view: str  # adult or child
    zone: int
    traits: tuple[str, str]  # gender and age group, as attributes of the firmware that reports them


def arrivals(
    luck: Random, start: float, *, rate: float, zone: tzinfo, profile: Sequence[float] | None = None
) -> Iterator[tuple[int, list[float]]]:
    """Give every full minute from ``start`` on, with the moments at which somebody comes in it.

    ``rate`` is people per minute; ``profile`` weighs it by the local hour (24 numbers, on average 1).
    """
    minute = -int(-start // 60) * 60
    while True:
        weight = profile[datetime.fromtimestamp(minute, zone).hour] if profile else 1.0
        moments: list[float] = []
        for _ in range(_poisson(luck, rate * weight)):
            beside = bool(moments) and luck.random() < _COMPANY
            moments.append(_beside(moments[-1]) if beside else minute + luck.uniform(0, 59.9))
        yield minute, sorted(moments)
        minute += 60


def people(luck: Random, moments: list[float], *, zones: int) -> list[Person]:
    """Say what everybody does who comes at these moments."""
    return [
        Person(
            at=moment,
            doing=luck.choices(list(_DOINGS), list(_DOINGS.values()))[0],
            view="child" if luck.random() < 0.15 else "adult",
            zone=luck.randrange(zones),
            traits=(luck.choice(GENDERS), luck.choice(AGES)),
        )
        for moment in moments
    ]


def _beside(moment: float) -> float:
    """Give a moment in the same second, as far as there is room."""
    return math.floor(moment) + (moment % 1 + 0.999) / 2


def _poisson(luck: Random, mean: float) -> int:
    limit, product, number = math.exp(-min(mean, 700.0)), luck.random(), 0
    while product > limit:
        product *= luck.random()
        number += 1
    return number
