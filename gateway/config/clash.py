"""One clash: two or more options that cannot both be as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.config.lines import Place


@dataclass(frozen=True, slots=True)
class Clash:
    """Two or more options that cannot both be as they are."""

    places: tuple[Place, ...]
    problem: str
    suggestion: str | None = None


def doubles(values: Mapping[Place, object]) -> Iterator[tuple[Place, Place]]:
    """Yield each place whose value another place before it has, with that first place."""
    first: dict[object, Place] = {}
    for place, value in values.items():
        if value is not None and first.setdefault(value, place) != place:
            yield place, first[value]
