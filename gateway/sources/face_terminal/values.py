"""Reads single values of the face terminal, whose firmwares spell numbers, truths and times in several ways."""

import re
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from enum import Enum

from gateway.errors import Unreadable
from gateway.event import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST = 1_024  # letters; nothing that is kept of a record is so long
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_MAX_NAMES = 20
_STUB = 8  # "/9k=" is the end mark of a JPEG and no picture
_MASK = "***"  # what `redact` puts in the place of an id, in a letter that may be read again

# From here on a number cannot be seconds: as such it would lie after the year 5000.
_MS_FROM = 10**11
# Ten digits cannot be milliseconds: as such they would lie in January to April 1970, before any of these
# devices. Fewer digits can: a clock that was never set counts from 1970.
_SECONDS_FROM = 10**9
_MS_END = 10**14


class Unit(Enum):
    """The unit that the vendor's document gives a time field."""

    SECONDS = "s"
    MILLISECONDS = "ms"


def text(value: Json) -> str:
    """Return a text or number as clean, bounded text: no control characters, no white space around it; else ""."""
    if isinstance(value, str):
        stripped = value.strip()[:_LONGEST].rstrip()  # cut first: cleaning two megabytes takes long
        return _CONTROL.sub(" ", stripped).strip() if _CONTROL.search(stripped) else stripped
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)


def id_of(value: Json, name: str) -> str:
    """Return what tells one fact from another; if it had to be cut, two could look like one."""
    if isinstance(value, str) and len(value.strip()) > _LONGEST:
        raise Unreadable(f"the {name} is longer than {_LONGEST} letters")
    return text(value)


def integer(value: Json) -> int | None:
    """Return a whole number, also out of "5" or 5.0; None when there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    if isinstance(value, str):
        stripped = value.strip()
        return int(stripped) if _WHOLE.fullmatch(stripped) else None
    return None


def number(value: Json) -> float | int | None:
    """Return a number, also out of a text; None when there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    return integer(value)


def truth(value: Json) -> bool | None:
    """Return a truth, also out of 0, 1, "true", "FALSE"; None when there is none."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        return _TRUTHS.get(str(value).strip()[:8].lower())
    return None


def is_blank(value: Json) -> bool:
    """Say whether the device states nothing here."""
    return value is None or (isinstance(value, str) and not value.strip())


def is_picture(value: Json) -> bool:
    """Say whether a picture was sent, by its length alone: nobody looks into it here."""
    return isinstance(value, str) and len(value.strip()) > _STUB


def told(value: Json) -> str:
    """Return an id that the device stated; what was masked in a letter is none."""
    stated = text(value)
    return "" if stated == _MASK else stated


def unix_ms(value: Json, field: str, unit: Unit) -> int | None:
    """Return a Unix time in milliseconds, or None where the device states none.

    The unit is the documented one, unless the number's size rules it out.
    """
    if is_blank(value):
        return None
    stated = number(value)
    if stated is None or stated < 0:
        raise Unreadable(f"{field} is not a Unix time")
    in_seconds = stated < _MS_FROM if unit is Unit.SECONDS else _SECONDS_FROM <= stated < _MS_FROM
    ms = round(stated * 1000) if in_seconds else round(stated)
    if ms >= _MS_END:
        raise Unreadable(f"{field} is too large for a Unix time")
    return ms


def instant(ms: int) -> datetime:
    """Make an instant of Unix milliseconds, exactly."""
    return _EPOCH + timedelta(milliseconds=ms)


def unknown_names(given: AbstractSet[str], known: frozenset[str], prefix: str = "") -> list[Json]:
    """Name fields that we do not know, never their values: a new field of the vendor may be personal."""
    if given <= known:
        return []
    names = sorted(name for name in given - known if _PLAIN_NAME.fullmatch(name))
    return [prefix + name for name in names[:_MAX_NAMES]]
