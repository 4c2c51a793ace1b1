"""What a clock is, and the clock of the box."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

# No clock that is right shows less than the day on which this was released.
RELEASED = datetime(2026, 10, 1, tzinfo=UTC)
_LOOK_S = 1.0
_STEP_S, _STEP_SHARE = 1.0, 0.001  # a clock that is only corrected drifts by less than a thousandth
_KEEPS_S = (
    7 * 86_400.0
)  # without its time server a clock loses some seconds in so long, and stays good enough


class Clock(Protocol):
    """Where time comes from."""

    tick_s: float  # a sleeper looks at the clock again after so many seconds, because clocks jump

    def now(self) -> datetime:
        """Give the instant, aware, UTC."""

    def steady(self) -> float:
        """Give seconds that only grow, whatever happens to the instant."""

    def trusted(self) -> bool:
        """Say whether the instant can be believed, because somebody who knows the time has set it."""


class SystemClock:
    """The clock of the box. ``synced`` asks who sets it; without that it is simply believed."""

    tick_s = 1.0

    def __init__(self, synced: Callable[[], bool] | None = None) -> None:
        self._synced = synced
        self._looked = -_LOOK_S
        self._ahead = 0.0  # of the wall's clock before the steady one
        self._synced_at: float | None = None
        self._verdict = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def steady(self) -> float:
        return time.monotonic()

    def trusted(self) -> bool:
        if self._synced is None:
            return True
        steady = self.steady()
        if steady - self._looked >= _LOOK_S:
            self._verdict = self._look(self._synced, steady)
            self._looked = steady
        return self._verdict

    def _look(self, synced: Callable[[], bool], steady: float) -> bool:
        now = self.now()
        before, self._ahead = self._ahead, now.timestamp() - steady
        if synced():
            self._synced_at = steady
        elif is_step(self._ahead - before, steady - self._looked):
            self._synced_at = None  # it was set by nobody knows whom
        kept = self._synced_at is not None and steady - self._synced_at < _KEEPS_S
        return kept and now >= RELEASED


def is_step(change_s: float, while_s: float) -> bool:
    """Say whether a clock that moved so much against the steady one in so long was set."""
    return abs(change_s) > _STEP_S + _STEP_SHARE * while_s
