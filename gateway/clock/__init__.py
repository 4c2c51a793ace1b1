"""The gateway's own clock: the one place that time is read from.

Instants come from `now`, durations from `steady`; nobody else reads the system's clocks for what is kept,
counted or shown. A box without a battery boots in 1970 or last month: `anchor` has the clock go on from what the
store knows then, `trusted` says whether the instant can be believed, and `plausible` whether it can be true at
all. Tests drive another clock through `use`.
"""

from datetime import datetime

import anyio

from gateway.clock import kernel
from gateway.clock.anchored import Anchored, Standing
from gateway.clock.box import RELEASED, Clock, SystemClock

__all__ = [
    "RELEASED",
    "Clock",
    "Standing",
    "SystemClock",
    "anchor",
    "believe",
    "now",
    "now_ms",
    "plausible",
    "sleep",
    "sleep_until",
    "standing",
    "steady",
    "trusted",
    "use",
    "vouches",
]

_EPOCH_MS = 1_000


_clock: Clock = SystemClock()


def use(clock: Clock) -> Clock:
    """Take time from another clock; give the one that was used before."""
    global _clock
    before, _clock = _clock, clock
    return before


def anchor(newest: datetime | None, *, believe: bool) -> None:
    """Do not go back behind the newest instant that is known, until the box is told the time.

    From now on the clock of the box must be set by somebody to be trusted, unless the owner says ``believe``.
    """
    box = SystemClock(kernel.synced) if isinstance(_clock, SystemClock) else _clock
    use(Anchored(box, newest, believe=believe))


def believe(sure: bool) -> None:
    """Have a clock that nobody sets believed, or no longer, as the owner says."""
    if isinstance(_clock, Anchored):
        _clock.believe = sure


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


def plausible() -> bool:
    """Say whether the instant can be true: a battery keeps a clock right that nobody synchronises.

    What must go on at a site without any time server (days, resets) asks this; what would do harm by a clock
    that is wrong (removing by age, learning from it) asks `trusted`.
    """
    return _clock.plausible() if isinstance(_clock, Anchored) else _clock.trusted()


def vouches(instant: datetime) -> bool:
    """Say whether an instant that was read from this clock was right, also when the clock has been set since."""
    return _clock.vouches(instant) if isinstance(_clock, Anchored) else _clock.trusted()


def standing() -> Standing:
    """Say how far the instant can be believed, in a word."""
    if isinstance(_clock, Anchored):
        return _clock.standing()
    return Standing.SYNCED if _clock.trusted() else Standing.UNSYNCED


async def sleep_until(instant: datetime) -> None:
    """Sleep until the clock shows an instant, also when it jumps meanwhile."""
    while (left_s := (instant - now()).total_seconds()) > 0:  # noqa: ASYNC110 - a clock that jumps sets no event
        await anyio.sleep(min(left_s, _clock.tick_s))


async def sleep(seconds: float) -> None:
    """Sleep for so many seconds of this clock; a driven clock may be faster than the wall's."""
    end = steady() + seconds
    while (left_s := end - steady()) > 0:  # noqa: ASYNC110 - as above
        await anyio.sleep(min(left_s, _clock.tick_s))
