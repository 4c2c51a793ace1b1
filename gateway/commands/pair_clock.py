"""How far the clock of a device that was just paired is off: told by what it says now, never by what waited in it."""

from datetime import datetime
from typing import Any

from gateway.commands.first_push import Push, Waiting

SETTLE_S = 20.0
_LIVE_S = (
    30.0  # a push that is on its way for longer has waited, or the clock is behind: one alone cannot tell
)
_AGREE_S = 5.0
CANNOT_TELL = "cannot be told from records that waited in it"


def clock_offset_s(waiting: Waiting, push: Push, seconds: float) -> float | None:
    """Give the seconds that the device is ahead; None when it stated no time or all that came may have waited.

    Nothing arrives before it was sent, so only a device that seems to be behind is in doubt. It is believed when two
    pushes, some time apart, are equally far behind: records that waited come faster than they happened.
    """
    offset = _in_the_book(waiting, push)
    if offset is None or offset >= -_LIVE_S:
        return offset
    devices = {event["device"] for event in push["events"]}
    first = _own(push)
    for later in waiting.pushes(seconds):
        if devices.isdisjoint(event["device"] for event in later["events"]):
            continue
        offset = _in_the_book(waiting, later)
        if offset is None or offset >= -_LIVE_S:
            return offset
        found = _own(later)
        if first is not None and found is not None:
            apart, differ = (found[0] - first[0]).total_seconds(), abs(found[1] - first[1])
            if apart >= _AGREE_S and differ < apart / 2 and differ < _AGREE_S:
                return offset
            if differ >= _AGREE_S:  # one of them waited: what comes next is compared with the newer
                first = found
        else:
            first = found
    return None


def _in_the_book(waiting: Waiting, push: Push) -> float | None:
    row: dict[str, Any] = waiting.device(push) or {}
    offset = row.get("clock_offset_s")
    return None if offset is None else float(offset)


def _own(push: Push) -> tuple[datetime, float] | None:
    """Give when a push came, and how many seconds its newest record is ahead of that."""
    times = [datetime.fromisoformat(event["time"]) for event in push["events"] if "time" in event]
    if not times or "time" not in push:
        return None  # it was found in the book of devices
    came = datetime.fromisoformat(str(push["time"]))
    return came, (max(times) - came).total_seconds()
