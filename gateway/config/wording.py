"""How a validator says what is wrong: the problem, what is allowed, and what to write instead.

Nothing said here may quote a value that may hold a secret; `shown` takes the user and password out of an
address, and `advice` does not quote options whose names speak of secrets at all.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LOGIN = re.compile(r"\A([a-z][a-z0-9+.-]{0,20}://)?.*@", re.DOTALL | re.IGNORECASE)
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Unit:
    """Say in a field's metadata what its number counts, for messages."""

    word: str


def wrong(problem: str, *, allowed: str | None = None, suggestion: str | None = None) -> PydanticCustomError:
    """Make the error that a validator raises; `advice` turns it into a `Mistake`."""
    return PydanticCustomError(
        "wrong", "{problem}", {"problem": problem, "allowed": allowed, "suggestion": suggestion}
    )


def shown(value: object) -> str:
    """Quote a value for a message: short, on one line, without user and password of an address."""
    text = _LOGIN.sub(r"\1***@", str(value))
    text = _CONTROL.sub("?", text)
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return f'"{text}"' if isinstance(value, str) else text


def shown_path(path: Path) -> str:
    """Quote a path for a message, whole, because a person must find the file."""
    return f'"{_CONTROL.sub("?", str(path))}"'
