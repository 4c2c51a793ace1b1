"""Turns what a counter says about time into instants, and says which rule did it.

Everything is Unix seconds here. A wall time is written as the Unix seconds that it would be in UTC.
Only what the device said decides, never the time of receipt: ids are made of these instants.
"""

from calendar import timegm
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from gateway.errors import Unreadable
from gateway.event import ZoneRule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86400
_NEAR_S = 60  # a minute is the unit that counters keep; less is rounding
_EARLIEST_YEAR, _LATEST_YEAR = 1900, 2105


class Start(NamedTuple):
    """The beginning of a window."""

    at_s: int
    rule: ZoneRule
    disagrees: bool  # the device's own statements, or the site's zone, do not fit each other


class Clock(NamedTuple):
    """What is known about the clock of one push."""

    zone: tzinfo | None  # the site's
    offset_s: int | None  # the device's, daylight saving time included
    sent_s: int | None  # TransmitTime

    def start(self, unix_s: int | None, day: tuple[int, int, int] | None, label_s: int | None) -> Start:
        """Find the beginning: Unix time, else the site's zone, else the device's offset, else UTC."""
        wall_s = _wall_s(day, label_s, strict=unix_s is None)
        if unix_s is not None:
            return Start(unix_s, ZoneRule.UNIX, wall_s is not None and self._misfits(unix_s, wall_s))
        if wall_s is None:
            raise Unreadable("A window states neither UnixStartTime nor a Date and StartTime.")
        if self.zone is not None:
            at_s = self._in_zone(wall_s, self.zone)
            return Start(at_s, ZoneRule.SITE_ZONE, self._offset_misfits(at_s, wall_s, self.zone))
        if self.offset_s is not None:
            return Start(wall_s - self.offset_s, ZoneRule.DEVICE_OFFSET, disagrees=False)
        return Start(wall_s, ZoneRule.ASSUMED_UTC, disagrees=False)

    def end_s(self, start_s: int, start_label_s: int, end_label_s: int) -> int:
        """Find the end of a window from its two times of day; midnight and a change of clocks may lie between."""
        end_s = start_s + (end_label_s - start_label_s) % _DAY_S
        zone = self.zone
        if zone is None or _label_s(end_s, zone) == end_label_s or _label_s(start_s, zone) != start_label_s:
            return end_s  # the usual case, or a device that does not keep the time of its site
        moved_s = end_s - (_offset_s(end_s, zone) - _offset_s(start_s, zone))
        for candidate_s in (moved_s - _DAY_S, moved_s):  # set back, the end can have the smaller time of day
            if candidate_s > start_s and _label_s(candidate_s, zone) == end_label_s:
                return candidate_s
        return end_s

    def _misfits(self, unix_s: int, wall_s: int) -> bool:
        """Say whether Unix time fits the local time neither by the device's offset nor by the site's zone."""
        fits = [] if self.offset_s is None else [_near(unix_s, wall_s - self.offset_s)]
        if self.zone is not None and True not in fits:
            fits.append(_near(unix_s, self._in_zone(wall_s, self.zone)))
        return bool(fits) and True not in fits

    def _offset_misfits(self, at_s: int, wall_s: int, zone: tzinfo) -> bool:
        """Say whether the device's offset is not the zone's; the device may state the one of now."""
        if self.offset_s is None or _near(at_s, wall_s - self.offset_s):
            return False
        return self.sent_s is None or self.offset_s != _offset_s(self.sent_s, zone)

    def _in_zone(self, wall_s: int, zone: tzinfo) -> int:
        """Read a wall time in the site's zone.

        In the hour that comes twice, the later one is meant when it lies before TransmitTime, or, without
        TransmitTime, when it fits the device's offset. A time that the zone skips is read as if the clocks
        had not been changed yet.
        """
        wall = (_EPOCH + timedelta(seconds=wall_s)).replace(tzinfo=zone)
        first_s, second_s = (timegm(wall.replace(fold=fold).utctimetuple()) for fold in (0, 1))
        if second_s <= first_s:
            return first_s
        if self.sent_s is not None:
            return second_s if second_s <= self.sent_s else first_s
        return second_s if self.offset_s == wall_s - second_s else first_s


def instant(unix_s: int) -> datetime:
    """Make an aware datetime; it works for any second that `Clock` returns."""
    return _EPOCH + timedelta(seconds=unix_s)


def _wall_s(day: tuple[int, int, int] | None, label_s: int | None, *, strict: bool) -> int | None:
    if day is None or label_s is None:
        return None
    try:
        if _EARLIEST_YEAR <= day[0] <= _LATEST_YEAR:
            return (date(*day).toordinal() - _EPOCH.toordinal()) * _DAY_S + label_s
    except ValueError:
        pass  # such a day does not exist, which is said below
    if strict:
        raise Unreadable(f"The report's Date {day[0]:04}-{day[1]:02}-{day[2]:02} is not a day that can be.")
    return None


def _near(one_s: int, other_s: int) -> bool:
    return abs(one_s - other_s) < _NEAR_S


def _offset_s(at_s: int, zone: tzinfo) -> int:
    offset = instant(at_s).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _label_s(at_s: int, zone: tzinfo) -> int:
    """Return the time of day that a clock in the zone shows."""
    wall = instant(at_s).astimezone(zone)
    return wall.hour * 3600 + wall.minute * 60 + wall.second
