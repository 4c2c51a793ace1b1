"""How a validator says what is wrong: the problem, what is allowed, and what to write instead.

Nothing said here may quote a value that may hold a secret; `shown` takes the user and password out of an
address, and `advice` does not quote options whose names speak of secrets at all.
"""

import re
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Unit:
    """Say in a field's metadata what its number counts, for messages."""

    word: str


def wrong(problem: str, *, allowed: str | None = None, suggestion: str | None = None) -> PydanticCustomError:
    """Make the error that a validator raises; `advice` turns it into a `Mistake`."""
    return PydanticCustomError(
        "wrong", "{problem}", {"problem": problem, "allowed": allowed, "suggestion": suggestion}
    )


def shown(value: object, *, longest: int = 60) -> str:
    """Quote a value for a message: short, on one line, without user and password of an address."""
    text = str(value)
    if "@" in text:
        head, slashes, _ = text.partition("//")
        text = (
            f"{head}{slashes}***@{text.rpartition('@')[2]}" if slashes else f"***@{text.rpartition('@')[2]}"
        )
    text = _CONTROL.sub("?", text)
    text = text if len(text) <= longest else text[: longest - 3] + "..."
    return f'"{text}"' if isinstance(value, str) else text
