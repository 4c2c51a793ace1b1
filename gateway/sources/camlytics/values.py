"""Reads single values of Camlytics' JSON: bounded, clean of control characters, and never guessed."""

import re
from collections.abc import Mapping

from gateway.event import Json

LONGEST_TEXT = 200
_EXACT = 2**53
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_MOST_NAMES = 20
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Nobody but the PC itself can open these, and they hold the name of its user.
_PATHS = re.compile(
    rb'("(?:snapshot_path|recording_path|video_file_name|uri|stream_uri|login|password|profile_token)"\s*:\s*)'
    rb'"(?:(?>[^"\\]++|\\.))*+"?',  # with what could be given back, a value takes 180 bytes of memory for each letter
    re.IGNORECASE,
)


def text(value: Json) -> str:
    """Give a text or whole number as clean, bounded text; else ""."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < _EXACT else ""
    if not isinstance(value, str):
        return ""
    cut = value.strip()[:LONGEST_TEXT]
    return cut if cut.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in cut)


def name_of(value: Json) -> str:
    """Give an id or a name; "-1" is how Camlytics says that there is none."""
    read = text(value)
    return "" if read == "-1" else read


def whole(value: Json) -> int | None:
    """Give a whole number from 0 on, also out of "5"; None when there is none."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,16}", value.strip()):
        value = int(value.strip())  # strip takes \x1e, int does not
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _EXACT else None


def word_of(event_type: str) -> str:
    """Write RegionJoin as region_join."""
    return _HUMP.sub("_", event_type).lower() or "unknown"


def unknown_names(item: Mapping[str, Json], known: frozenset[str]) -> list[Json]:
    """Name fields that we do not know, never their values: a new field of the vendor may be personal."""
    names: list[Json] = [*sorted(name for name in item if name not in known and _PLAIN_NAME.fullmatch(name))]
    return names[:_MOST_NAMES]


def without_paths(body: bytes) -> bytes:
    """Take paths, addresses and logins out of a body that becomes a letter."""
    return _PATHS.sub(rb'\1"***"', body)
