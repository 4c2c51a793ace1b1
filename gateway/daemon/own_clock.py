"""Watch the clock of the box: tell a person when nobody sets it, and those who go by it when it was set."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from gateway import clock
from gateway.config import Config
from gateway.doctor import timekeeping
from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.outbox import reading
from gateway.outbox.entry import EPOCH

log = structlog.get_logger()

_ROUND_S = 1.0
_JUMP_S = 2.0


def anchor_clock(config: Config) -> None:
    """Have the clock go on from what the store knows, before anything is received by it."""
    try:
        with reading.looking(config.store.path) as conn:
            newest = reading.newest_receipt(conn)
    except StoreUnavailable:
        newest = None
    instant = None if newest is None else EPOCH + timedelta(milliseconds=newest)
    clock.anchor(instant, believe=config.clock.trust == "plausible")


class OwnClock:
    """Looks at the clock once a second."""

    def __init__(self, faults: Faults, on_set: Callable[[], None]) -> None:
        self._faults = faults
        self._on_set = on_set
        self._since = clock.steady()  # the standing is what it is
        self._standing = clock.standing()
        self._ahead_s = self._ahead()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await clock.sleep(_ROUND_S)

    def look(self) -> None:
        """Look once."""
        ahead_s = self._ahead()
        jump_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        if abs(jump_s) > _JUMP_S:
            log.warning("clock_jumped", by_s=round(jump_s), standing=clock.standing())
            self._faults.shift(timedelta(seconds=jump_s))
        before, self._standing = self._standing, clock.standing()
        if before != self._standing:
            self._since = clock.steady()
            log.info("clock_standing", standing=self._standing, before=before)
        if clock.trusted() and (before != self._standing or abs(jump_s) > _JUMP_S):
            self._on_set()
        self._tell()

    def _tell(self) -> None:
        found = timekeeping.finding(self._standing, clock.steady() - self._since)
        if found.well:
            self._faults.clear(timekeeping.CODE)
        else:
            self._faults.report(found.code, "", found.sentence, again=False)

    def _ahead(self) -> float:
        return clock.now().timestamp() - clock.steady()
