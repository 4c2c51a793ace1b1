"""Reads and cleans the texts and times of Camio, all of which are a stranger's."""

import re
from datetime import UTC, datetime

from gateway.event import Json, ZoneRule
from gateway.source import Post

TEXT_MAX = 512
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Camio escapes twice: its JSON holds the six characters \u003e where the sentence has a ">".
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
# Bounded at both ends, so that a line of nothing but letters is not read again from each of them.
EMAIL = re.compile(
    r"[A-Za-z0-9._+'-]{1,64}+(?:@|%40)[A-Za-z0-9-]{1,63}+(?:\.[A-Za-z0-9-]{1,63}+){1,8}", re.ASCII
)
_LOGIN_HOST = re.compile(r"(?<=://)[^/?#\s\"'<>\\]{1,512}@")
_IN_QUERY = re.compile(
    r"([?&;][A-Za-z0-9_.-]{0,40}(?:token|key|secret|sig|auth|passw|pin|code)[A-Za-z0-9_.-]{0,40}=)[^&;#\s\"'<>]*",
    re.IGNORECASE,
)
_HOME = re.compile(
    r"((?:^|[\\/])(?:home|users|documents and settings|profiles)[\\/]+)[^\\/\s\"'<>]+", re.IGNORECASE
)
_SANE_YEARS = range(2000, 2100)
MASK = "***"


def text(value: Json, limit: int = TEXT_MAX) -> str:
    """Return a text or a number as clean text on one line; else ""."""
    if isinstance(value, str):
        return _CONTROL.sub(" ", value[: 4 * limit]).strip()[:limit]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(int(value)) if float(value).is_integer() else str(value)


def sentence(value: Json) -> str:
    """Return a sentence of Camio for people: its second escaping undone, nobody's address in it."""
    return EMAIL.sub(MASK, without_logins(text(_ESCAPED.sub(_unescaped, text(value)))))


def _unescaped(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char.isprintable() else " "


def without_logins(value: str) -> str:
    """Take out what opens something or names somebody: the login and the keys in a URL, a home folder's user."""
    if "://" in value:
        value = _IN_QUERY.sub(rf"\g<1>{MASK}", _LOGIN_HOST.sub(f"{MASK}@", value))
    return _HOME.sub(rf"\g<1>{MASK}", value)


def thing_name(value: Json, account: frozenset[str] = frozenset()) -> str:
    """Return the name of a camera or server without the persons in it; ``account`` is whose it is."""
    name = EMAIL.sub(MASK, without_logins(text(value)))
    for word in account:
        name = name.replace(word, MASK)
    return "" if not name.strip("* ") else name


def instant(value: Json, post: Post) -> tuple[datetime, ZoneRule]:
    """Return when something happened; where Camio says nothing usable, when it came in."""
    try:
        stated = datetime.fromisoformat(text(value, 64))
        rule = ZoneRule.ASSUMED_UTC if stated.utcoffset() is None else ZoneRule.DEVICE_OFFSET
        moment = stated.replace(tzinfo=UTC) if stated.utcoffset() is None else stated.astimezone(UTC)
    except (ValueError, OverflowError):
        return post.received_at, ZoneRule.RECEIPT
    if moment.year not in _SANE_YEARS:
        return post.received_at, ZoneRule.RECEIPT
    return moment, rule
