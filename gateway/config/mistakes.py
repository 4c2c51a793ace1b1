"""What is wrong with a configuration, as values: one `Mistake` each, all of them in one `InvalidConfigError`.

No secret may enter a mistake: mistakes are printed, logged, shown to whoever asks, and pasted into mails.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gateway.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to correct, said so that a person can correct it without reading the manual."""

    file: str | None
    line: int | None  # counted from 1; the table's line where the option itself is absent
    key: str | None  # dotted, as in TOML: "sinks.broker.endpoint"
    problem: str
    allowed: str | None = None
    suggestion: str | None = None


class InvalidConfigError(ConfigError):
    """The configuration has mistakes; ``mistakes`` lists all of them, in the order of the file."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(render_mistakes(mistakes))
        self.mistakes = list(mistakes)


class UnreadableConfigError(InvalidConfigError):
    """This user may not read the configuration: nothing is known of what is in it."""


def render_mistakes(mistakes: Sequence[Mistake]) -> str:
    """Write the mistakes for a person, each with its place in front, the way compilers do."""
    return "\n".join(_render(mistake) for mistake in mistakes)


def to_json(mistakes: Sequence[Mistake]) -> list[dict[str, str | int | None]]:
    """Give the mistakes as JSON objects; every key is always there."""
    return [asdict(mistake) for mistake in mistakes]


def _render(mistake: Mistake) -> str:
    place = mistake.file or "configuration"
    if mistake.line is not None:
        place += f":{mistake.line}"
    what = f"{mistake.key}: {mistake.problem}" if mistake.key else mistake.problem
    lines = [f"{place}: {what}"]
    if mistake.suggestion:  # before a list that may be long
        lines.append(f"    {mistake.suggestion}")
    if mistake.allowed:
        lines.append(f"    allowed: {mistake.allowed}")
    return "\n".join(lines)
