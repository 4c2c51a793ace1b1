"""A clock that a test moves by hand, while what sleeps looks at it again at once."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from gateway import clock


class HandMoved:
    """Shows what it was set to."""

    tick_s = 0.01

    def __init__(self, instant: datetime) -> None:
        self.instant = instant.astimezone(UTC)
        self.sure = True
        self._passed = 0.0

    def now(self) -> datetime:
        return self.instant

    def steady(self) -> float:
        return time.monotonic() + self._passed

    def trusted(self) -> bool:
        return self.sure

    def go(self, **delta: float) -> None:
        """Show another instant, as if somebody had set it."""
        self.instant += timedelta(**delta)

    def wait(self, **delta: float) -> None:
        """Let time pass."""
        self.go(**delta)
        self._passed += timedelta(**delta).total_seconds()

    def set(self, text: str, zone: tzinfo = UTC) -> None:
        """Set it to a local time, written as in ISO 8601."""
        self.instant = datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


@contextlib.contextmanager
def hand_moved(instant: datetime) -> Iterator[HandMoved]:
    """Have the gateway take its time from such a clock."""
    mine = HandMoved(instant)
    before = clock.use(mine)
    try:
        yield mine
    finally:
        clock.use(before)
