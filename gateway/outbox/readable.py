"""What of a device's page can be read: a value that the disk has damaged costs itself, and nothing else of the page."""

import json
from collections.abc import Mapping

from gateway.event import Json
from gateway.outbox.entry import rfc3339

_INSTANTS = ("first_seen", "last_seen", "newest")


def instant(ms: object) -> str | None:
    """Write an instant of a page; None when there is none, or it is none."""
    if not isinstance(ms, int):
        return None
    try:
        return rfc3339(ms)
    except (ValueError, OverflowError, OSError):  # beyond the years that there are
        return None


def newest_fact(page: Mapping[str, object]) -> Mapping[str, Json]:
    """Read what the newest fact of a device says; empty when there is none, or it cannot be read."""
    return _fact(page["newest_data"]) or {}


def damaged(page: Mapping[str, object]) -> list[str]:
    """Name the values of a page that cannot be read."""
    found = [name for name in _INSTANTS if page[name] is not None and instant(page[name]) is None]
    unreadable = page["newest_data"] is not None and _fact(page["newest_data"]) is None
    return [*found, "newest_data"] if unreadable else found


def _fact(text: object) -> Mapping[str, Json] | None:
    try:
        fact = json.loads(str(text))
    except (ValueError, RecursionError):
        return None
    return fact if isinstance(fact, dict) else None
