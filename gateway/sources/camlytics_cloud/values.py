"""Reads single values of the cloud's JSON: bounded, clean of control characters, and never guessed."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from gateway.event import Json
from gateway.source import Answer

LONGEST_TEXT = 200
HOUR_MS = 3_600_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_WIDEST_OFFSET_MIN = 15 * 60  # 14 hours east, and one of daylight saving time
_OFFSET = re.compile(r"([+-])([0-9]{1,2}):?([0-9]{2})")
_EXACT = 2**53
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_MAX_NAMES = 20
_YEARS = range(1970, 9_999)  # at the ends of the calendar nothing can be added to an instant


def text(value: Json) -> str:
    """Give a text or whole number as clean, bounded text; else ""."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _EXACT else ""
    if not isinstance(value, str):
        return ""
    cut = value.strip()[:LONGEST_TEXT]
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else "\ufffd" for char in cut)


def whole(value: Json) -> int | None:
    """Give a whole number, also out of "5"; None when there is none."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,16}", value.strip()):
        value = int(value.strip())  # strip takes \x1e, int does not
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < _EXACT else None


def flag(value: Json) -> bool | None:
    """Give a yes or no, which the vendor writes as 1 and 0."""
    if isinstance(value, bool):
        return value
    return {0: False, 1: True}.get(number) if (number := whole(value)) is not None else None


def moment(value: Json) -> tuple[datetime, bool] | None:
    """Read an instant; with it, whether the cloud stated an offset other than UTC's.

    Without an offset it is UTC, as the vendor says of webhooks.
    """
    if not isinstance(value, str) or not 10 < len(value.strip()) < LONGEST_TEXT:
        return None
    try:
        read = datetime.fromisoformat(value.strip())
        offset = read.utcoffset()
        if read.year not in _YEARS:
            return None
        if offset is None:
            return read.replace(tzinfo=UTC), False
        return read.astimezone(UTC), bool(offset)
    except (ValueError, OverflowError):
        return None


def offset_min(value: Json) -> int | None:
    """Read "-04:00" as minutes; None for what no place on earth has."""
    match = _OFFSET.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    if minutes > _WIDEST_OFFSET_MIN:
        return None
    return -minutes if match[1] == "-" else minutes


def ms_of(instant: datetime) -> int:
    """Count whole milliseconds since 1970, rounded down."""
    return (instant - _EPOCH) // _MS


def instant_of(ms: int) -> datetime:
    """Make an instant of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def stated(ms: int) -> str:
    """Write an instant as the vendor's document does in ``since`` and ``until``."""
    return instant_of(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(ms: int) -> str:
    """Write an instant for a person."""
    return instant_of(ms).strftime("%Y-%m-%d %H:%M UTC")


def cloud_ms(answer: Answer) -> int:
    """Say what the cloud's own clock shows: how far its events go is told by it, and never by our clock."""
    try:
        said = parsedate_to_datetime(answer.headers["date"])
        if said.year in _YEARS:
            return ms_of(said.astimezone(UTC))
    except (KeyError, ValueError, TypeError, OverflowError):
        pass
    return ms_of(answer.received_at)


def unknown_names(item: Mapping[str, Json], known: frozenset[str]) -> list[Json]:
    """Name fields that we do not know, never their values: a new field of the vendor may be personal."""
    names = sorted(name for name in item if name not in known and _PLAIN_NAME.fullmatch(name))
    return list[Json](names[:_MAX_NAMES])
