"""The gateway's own clock: the one place that time is read from.

Instants come from `now`, durations from `steady`; nobody else reads the system's clocks for what is kept,
counted or shown. A box without a battery boots in 1970 or last month: `trusted` says whether the clock can be
believed. Tests drive another clock through `use`.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

import anyio

_EPOCH_MS = 1_000


class Clock(Protocol):
    """Where time comes from."""

    tick_s: float  # a sleeper looks at the clock again after so many seconds, because clocks jump

    def now(self) -> datetime:
        """Give the instant, aware, UTC."""

    def steady(self) -> float:
        """Give seconds that only grow, whatever happens to the instant."""

    def trusted(self) -> bool:
        """Say whether the instant can be believed."""


class SystemClock:
    """The clock of the box."""

    tick_s = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def steady(self) -> float:
        return time.monotonic()

    def trusted(self) -> bool:
        return True


_clock: Clock = SystemClock()


def use(clock: Clock) -> Clock:
    """Take time from another clock; give the one that was used before."""
    global _clock
    before, _clock = _clock, clock
    return before


def now() -> datetime:
    """Give the instant, aware, UTC."""
    return _clock.now()


def now_ms() -> int:
    """Give the instant as whole milliseconds since 1970."""
    return int(_clock.now().timestamp() * _EPOCH_MS)


def steady() -> float:
    """Give seconds that only grow, whatever happens to the instant."""
    return _clock.steady()


def trusted() -> bool:
    """Say whether the instant can be believed."""
    return _clock.trusted()


async def sleep_until(instant: datetime) -> None:
    """Sleep until the clock shows an instant, also when it jumps meanwhile."""
    while (left_s := (instant - now()).total_seconds()) > 0:  # noqa: ASYNC110 - a clock that jumps sets no event
        await anyio.sleep(min(left_s, _clock.tick_s))


async def sleep(seconds: float) -> None:
    """Sleep for so many seconds of this clock; a driven clock may be faster than the wall's."""
    end = steady() + seconds
    while (left_s := end - steady()) > 0:  # noqa: ASYNC110 - as above
        await anyio.sleep(min(left_s, _clock.tick_s))
