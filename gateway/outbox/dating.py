"""Which dates cannot be true: a device can state any, and every sum of a day stays for long.

Only a clock of ours that could be believed at the receipt judges. A device whose clock is off by hours is not
meant: what it says is counted where it puts it.
"""

from typing import NamedTuple

from gateway.event import SUM_BITS, Event, Kind

_DAY_MS = 86_400_000
_AHEAD_MS = 2 * _DAY_MS
_SENT_AHEAD_MS = _DAY_MS
_BACK_MS = 400 * _DAY_MS  # as long as days are kept: `history.py`


class Dating(NamedTuple):
    """What is to be made of the instants that an event states."""

    id: str
    revision: int
    misdated: bool  # it is in no sum
    impossible: int | None  # ms: the instant that cannot be


def dated(event: Event, time: int, sent: int | None, received: int, *, judged: bool) -> Dating:
    """Judge the instants (ms) of an event, if they can be ``judged``.

    A window whose date cannot be gets an id of its own: what comes when it really begins is another fact then,
    whatever was said in advance. Such an id has no start where `windows.py` looks for it, and is not found there:
    it stands in no sum. A transmission that lies ahead makes nothing newer: the revision is what
    it is without one.
    """
    misdated = judged and not received - _BACK_MS <= time <= received + _AHEAD_MS
    sent_ahead = judged and sent is not None and sent > received + _SENT_AHEAD_MS
    counts = event.kind == Kind.COUNT
    return Dating(
        id=f"{event.id}:misdated" if misdated and counts else event.id,
        revision=event.revision % (1 << SUM_BITS) if sent_ahead and counts else event.revision,
        misdated=misdated,
        impossible=time if misdated else sent if sent_ahead else None,
    )
