"""Reads and cleans the texts and times of Camio, all of which are a stranger's."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from string import ascii_letters, digits

from gateway.event import Json, ZoneRule
from gateway.source import Post

TEXT_MAX = 512
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Camio escapes twice: its JSON holds the six characters \u003e where the sentence has a ">".
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
# From its middle on, and what may stand before that: looked for from its beginning, an address would be
# sought from each letter of a text of nothing but letters.
_AT_HOST = re.compile(r"(?:@|%40)[A-Za-z0-9-]{1,63}+(?:\.[A-Za-z0-9-]{1,63}+){1,8}")
_LOCAL = f"{ascii_letters}{digits}._+'-"
_LOCAL_MAX = 64
_LOGIN_HOST = re.compile(r"(?<=://)[^/?#\s\"'<>\\]{1,512}@")
# The same with the keys of a URL: the name up to its "=" first, and then whether it is that of a secret.
_PARAMETER = re.compile(r"[?&;]([a-z0-9_.-]{3,86}+)=", re.IGNORECASE)
_SECRET_NAME = re.compile(r"(?:token|key|secret|sig|auth|passw|pin|code)[a-z0-9_.-]{0,40}+\Z", re.IGNORECASE)
_NAME_BEFORE = 40
_WORD_AND_BEHIND = 46  # in front of that no word could be followed by the rest of the name
_VALUE = re.compile(r"[^&;#\s\"'<>]*")
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
    return _without_emails(without_logins(text(_ESCAPED.sub(_unescaped, text(value)))))


def _unescaped(found: re.Match[str]) -> str:
    char = chr(int(found[1], 16))
    return char if char.isprintable() else " "


def has_email(said: str) -> bool:
    """Say whether somebody's address is in a text."""
    return any(True for _ in _emails(said))


def _without_emails(said: str) -> str:
    return _masked(said, _emails(said))


def _emails(said: str) -> Iterator[tuple[int, int]]:
    """Give where addresses begin and end."""
    ended = 0
    for host in _AT_HOST.finditer(said):
        before = said[max(ended, host.start() - _LOCAL_MAX) : host.start()]
        if local := len(before) - len(before.rstrip(_LOCAL)):
            ended = host.end()
            yield host.start() - local, ended


def _without_keys(said: str) -> str:
    return _masked(said, _keys(said))


def _keys(said: str) -> Iterator[tuple[int, int]]:
    """Give where the values of secret parameters begin and end."""
    ended = 0
    for parameter in _PARAMETER.finditer(said):
        if parameter.start() < ended:  # it stands in the value of another one
            continue
        name = parameter[1]
        secret = _SECRET_NAME.search(name, max(len(name) - _WORD_AND_BEHIND, 0))
        if secret is None or secret.start() > _NAME_BEFORE:
            continue
        if value := _VALUE.match(said, parameter.end()):
            ended = value.end()
            yield value.start(), ended


def _masked(said: str, places: Iterable[tuple[int, int]]) -> str:
    made: list[str] = []
    at = 0
    for begin, end in places:
        made += said[at:begin], MASK
        at = end
    return "".join(made) + said[at:] if made else said


def without_logins(value: str) -> str:
    """Take out what opens something or names somebody: the login and the keys in a URL, a home folder's user."""
    if "://" in value:
        value = _without_keys(_LOGIN_HOST.sub(f"{MASK}@", value))
    return _HOME.sub(rf"\g<1>{MASK}", value)


def thing_name(value: Json, account: frozenset[str] = frozenset()) -> str:
    """Return the name of a camera or server without the persons in it; ``account`` is whose it is."""
    name = _without_emails(without_logins(text(value)))
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
