"""What the owner says about triggers: which crossing of a line is somebody coming in, and into which zone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.sources.camlytics_cloud.event_types import CROSSING, JOIN, LEAVE

Direction = Literal["in", "out", "ignore"]
PEOPLE = frozenset({"pedestrian", "unknown"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one trigger means, by its id or its name in the portal."""

    trigger: str
    direction: Direction | None = None  # None: an area, which is joined and left
    zone: str | None = None

    def entered(self, event_type: str) -> bool | None:
        """Say whether somebody came in or went out by it; None when it counts nobody."""
        if self.direction == "ignore":
            return None
        if event_type == CROSSING:
            return None if self.direction is None else self.direction == "in"
        if event_type in (JOIN, LEAVE) and self.zone is not None:
            return (event_type == JOIN) is not (self.direction == "out")
        return None


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, and what counts as a person. An id goes before a name: names repeat from place to place."""

    listed: tuple[Rule, ...] = ()
    origins: frozenset[str] = PEOPLE  # in lower case
    _by_word: Mapping[str, Rule] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, rules: Iterable[Rule], origins: Iterable[str] = PEOPLE) -> "Rules":
        """Put rules together; of two for one trigger the first counts."""
        listed = tuple(rules)
        words = {_word(rule.trigger): rule for rule in reversed(listed)}
        return cls(listed, frozenset(origin.lower() for origin in origins), words)

    def find(self, trigger: str, name: str | None) -> Rule | None:
        """Find the rule of a trigger."""
        return self._by_word.get(_word(trigger)) or (self._by_word.get(_word(name)) if name else None)


def _word(text: str) -> str:
    return text.strip().casefold()
