"""A clock that a test moves by hand: time passes, and the instant jumps, as the test says."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gateway import clock

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC)


class HandClock:
    """The clock of a box: ``synced`` is what the kernel says."""

    tick_s = 0.001

    def __init__(self, instant: datetime = NOW, *, synced: bool = True) -> None:
        self.instant, self.synced, self.gone_s = instant, synced, 1000.0

    def now(self) -> datetime:
        return self.instant

    def steady(self) -> float:
        return self.gone_s

    def trusted(self) -> bool:
        return self.synced

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.instant += timedelta(seconds=seconds)
        self.gone_s += seconds

    def set(self, instant: datetime, *, synced: bool = True) -> None:
        """Set the clock."""
        self.instant, self.synced = instant, synced


@contextlib.contextmanager
def in_use(by_hand: HandClock) -> Iterator[HandClock]:
    """Have everything go by this clock."""
    before = clock.use(by_hand)
    try:
        yield by_hand
    finally:
        clock.use(before)
