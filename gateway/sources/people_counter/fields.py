"""Reads single values of a push: a value that cannot be what it should be makes the whole body unreadable.

Nothing is rounded, clamped or left out: a wrong number that is counted is worse than a letter.
"""

import re

from gateway.errors import Unreadable

LONGEST_TEXT = 256
_LONGEST_QUOTE = 40

# Control characters, and the marks that reorder or break the text around them on a page or terminal.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_UNIX = re.compile(r"-?[0-9]{1,10}")
_TIME = re.compile(r"([0-9]{1,2}):([0-5][0-9])(?::([0-5][0-9]))?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_HOURS = re.compile(r"[+-]?[0-9]{1,2}(?:\.[0-9]{1,2})?")
_DAY_S = 86400


def clean(text: str) -> str:
    """Bound a text of the device and replace what must not reach a page, a log or a topic."""
    cut = text.strip()[:LONGEST_TEXT]
    return cut if cut.isprintable() else _UNPRINTABLE.sub("\ufffd", cut)


def number(name: str, text: str) -> int:
    """Read a number of people."""
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= 10 and (people := int(digits)) < 2**31:
        return people
    raise Unreadable(f'{name} is "{_quote(text)}", which is not a whole number from 0 to 2147483647.')


def unix_s(name: str, text: str | None) -> int | None:
    """Read Unix seconds; None when nothing, zero or less is stated, which is how a device says "unknown"."""
    digits = (text or "").strip()
    if not digits:
        return None
    if not _UNIX.fullmatch(digits) or int(digits) >= 2**32:
        raise Unreadable(f'{name} is "{_quote(digits)}", which is not a time in Unix seconds.')
    seconds = int(digits)
    return seconds if seconds > 0 else None


def time_of_day_s(name: str, text: str | None) -> int | None:
    """Read HH:MM:SS as seconds since midnight; 24:00:00 is the midnight that ends the day."""
    label = (text or "").strip()
    if not label:
        return None
    match = _TIME.fullmatch(label)
    seconds = -1
    if match:
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
    if not 0 <= seconds <= _DAY_S:
        raise Unreadable(f'{name} is "{_quote(label)}", which is not a time of day.')
    return seconds % _DAY_S


def date_parts(text: str | None) -> tuple[int, int, int] | None:
    """Split YYYY-MM-DD; None when it is something else."""
    match = _DATE.fullmatch((text or "").strip())
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def hours_in_minutes(text: str | None) -> int | None:
    """Read hours ("8", "-5", "5.5") as minutes; None when it is something else."""
    hours = (text or "").strip()
    return round(float(hours) * 60) if _HOURS.fullmatch(hours) else None


def number_or_text(text: str) -> int | str:
    """Keep a value whose meaning is not known: a plain short number as a number, anything else as text."""
    cleaned = clean(text)
    plain = cleaned.removeprefix("-")
    if plain.isascii() and plain.isdigit() and len(plain) <= 9 and str(int(cleaned)) == cleaned:
        return int(cleaned)
    return cleaned


def _quote(text: str) -> str:
    cleaned = clean(text)
    return cleaned if len(cleaned) <= _LONGEST_QUOTE else cleaned[:_LONGEST_QUOTE] + "…"
