"""One day of the site."""

import datetime as dt
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from gateway.outbox.local_time import first_instant

_MIDNIGHT = time(0, 0)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the site, from its first instant to that of the next day."""

    date: str
    start: datetime
    end: datetime

    @classmethod
    def of(cls, instant: datetime, zone: tzinfo) -> "Day":
        """Give the day that an instant belongs to; 23 or 25 hours long where clocks change."""
        return cls.on(instant.astimezone(zone).date(), zone)

    @classmethod
    def on(cls, day: dt.date, zone: tzinfo) -> "Day":
        """Give the day of a date. Where there is no midnight it begins when the clocks have passed it."""
        start, end = (
            first_instant(each, _MIDNIGHT, zone).astimezone(UTC) for each in (day, day + timedelta(days=1))
        )
        return cls(day.isoformat(), start, end)

    def before(self, zone: tzinfo) -> "Day":
        """Give the day before."""
        return Day.of(self.start - timedelta(seconds=1), zone)
