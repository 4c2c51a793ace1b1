"""One clash: two or more options that cannot both be as they are."""

from dataclasses import dataclass

from gateway.config.lines import Place


@dataclass(frozen=True, slots=True)
class Clash:
    """Two or more options that cannot both be as they are."""

    places: tuple[Place, ...]
    problem: str
    suggestion: str | None = None
