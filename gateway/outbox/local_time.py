"""Instants of the site's calendar: when a local day or a time of day begins, also where clocks change.

A time of day that comes twice is meant the first time; one that does not exist is the moment at which the
clocks pass it. So every day has each time of day exactly once, and midnight too.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

_DAY = timedelta(days=1)
_MS = 1000
# Outside of these years the days before and after an instant may not have a name.
_EARLIEST_MS = -62_000_000_000_000
_LATEST_MS = 253_000_000_000_000


@lru_cache(maxsize=4096)
def first_instant(day: date, at: time, zone: tzinfo) -> datetime:
    """Give the earliest instant of a local day at which its clocks show this time of day, or have passed it."""
    wall = datetime.combine(day, at)
    earlier = wall.replace(tzinfo=zone).astimezone(UTC)
    if earlier.astimezone(zone).replace(tzinfo=None) == wall:
        return earlier
    # The clocks skip it. Read with the offsets before and after, it lies on either side of the change.
    other = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    before, after = sorted((earlier, other))
    while (gap_s := int((after - before).total_seconds())) > 1:
        middle = before + timedelta(seconds=gap_s // 2)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after


def last_at(ms: int, at: time, zone: tzinfo) -> int | None:
    """Give the last time before or at an instant that a time of day came; None outside of the calendar."""
    if not _EARLIEST_MS < ms < _LATEST_MS:
        return None
    day = datetime.fromtimestamp(ms / _MS, zone).date() + _DAY
    while (found := _ms(first_instant(day, at, zone))) > ms:
        day -= _DAY
    return found


def next_at(ms: int, at: time, zone: tzinfo) -> int:
    """Give the first time after an instant that a time of day comes."""
    day = datetime.fromtimestamp(ms / _MS, zone).date() - _DAY
    while (found := _ms(first_instant(day, at, zone))) <= ms:
        day += _DAY
    return found


def _ms(instant: datetime) -> int:
    return int(instant.timestamp()) * _MS
