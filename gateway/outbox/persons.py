"""What the log keeps in the place of a user id, so that one person's entries can be told and found again.

A user id is short and can be guessed, so no plain sum of it is kept but a keyed one, its mark. The key never
leaves the box. Every sink gets a pseudonym of its own, made of the mark, and the id itself only if it lists it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

from gateway.event import Event, Json

MARK = "person"  # stands in an event's personal fields beside, or instead of, what the device said
STATED = "user_id"
FORGOTTEN = "erased"  # in the same place: the person was removed before the event came to the log
_MARK_LETTERS = 32
_PSEUDONYM_LETTERS = 24


def mark_of(key: bytes, user: Json) -> str:
    """Make the mark of a user id; only who has the key can make it."""
    return hmac.new(key, f"person\x1f{user}".encode(), hashlib.sha256).hexdigest()[:_MARK_LETTERS]


def mark_in(key: bytes, personal: Mapping[str, Json]) -> str | None:
    """Give the mark of the person in an entry; None when nobody was named."""
    mark = personal.get(MARK)
    if isinstance(mark, str):
        return mark
    user = personal.get(STATED)
    return None if user is None else mark_of(key, user)


def pseudonym(key: bytes, sink: str, mark: str) -> str:
    """Make what stands for a person at one sink; it means nothing at any other."""
    return hmac.new(key, f"{sink}\x1f{mark}".encode(), hashlib.sha256).hexdigest()[:_PSEUDONYM_LETTERS]


def guarded(event: Event, key: bytes, wanted: frozenset[str]) -> Event:
    """Keep of an event's personal fields those that a sink wants, and the mark of the person."""
    if not event.personal:
        return event
    kept = {name: value for name, value in event.personal.items() if name in wanted}
    if FORGOTTEN in event.personal:
        kept = {FORGOTTEN: True}
    elif (mark := mark_in(key, event.personal)) is not None:
        kept[MARK] = mark
    return event if kept == event.personal else replace(event, personal=kept)
