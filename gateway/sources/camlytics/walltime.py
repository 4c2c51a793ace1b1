"""Turns the local time of a PC into instants.

In autumn one hour comes twice, and nothing in an event says which of the two is meant. Events come in the order
of their numbers, but for some hundred milliseconds, so a time goes to the first of the two hours that does not
lie before what came already. Where nothing came, what is known is up to when everything had been heard.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_ORDER_MS = 60_000  # numbers and times are not in quite the same order
_CLOCKS_MS = 900_000  # the clocks of the PC and of the gateway differ
_FAR_MS = 7_200_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known about when the next event happened: not much before these, in ms since 1970."""

    newest: int | None = None  # the newest event so far
    heard: int | None = None  # up to here, by the gateway's clock, there was nothing more


def instant(wall: datetime, zone: tzinfo, bounds: Bounds) -> datetime:
    """Read a wall time in the zone of its PC; one that the zone skips as if the clocks had not been changed yet."""
    if wall.tzinfo is not None:
        return wall.astimezone(UTC)
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if second <= first:
        return first
    for bound, slack in ((bounds.newest, _ORDER_MS), (bounds.heard, _CLOCKS_MS)):
        # A bound that lies far behind both was made by another clock, or by another numbering.
        if bound is not None and ms_of(first) < bound - slack and bound <= ms_of(second) + _FAR_MS:
            return second
    return first


def nearest(wall: datetime, zone: tzinfo, to: datetime) -> datetime:
    """Read the wall time of something that is told as it happens: of two instants the one nearer to its receipt."""
    if wall.tzinfo is not None:
        return wall.astimezone(UTC)
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return second if first < second and abs(to - second) < abs(to - first) else first


def is_plain_hour(start: datetime, zone: tzinfo) -> bool:
    """Say whether a local hour happens once and whole: only such an hour can be compared."""
    return all(
        wall.replace(tzinfo=zone, fold=0).utcoffset() == wall.replace(tzinfo=zone, fold=1).utcoffset()
        for wall in (start, start + timedelta(hours=1, milliseconds=-1))
    )


def ms_of(at: datetime) -> int:
    """Count whole milliseconds since 1970, rounded down."""
    return (at - _EPOCH) // _MS
