"""Keep the store within its bounds: removes what is old, and makes room under pressure."""

import asyncio
import contextlib
import sqlite3

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.outbox import history, retention, undated
from gateway.outbox.retention import Removed, Retained
from gateway.outbox.store import Outbox

_ROUND_S = 30.0
_PAUSE_S = 1.0  # when nothing can be removed, asking more often does not help
_DAYS_S = 86_400.0
# By a clock that was set wrong and is believed, days cannot be made again once they are gone. So long it must have gone on
# without a jump: somebody notices until then, and a box that is started every night is not kept from removing.
_CALM_S = 6 * 3600.0
_JUMP_S = 3600.0
_OLD_S = 600.0  # each removal is a commit, which costs a card far more than the few rows in it
_DAY_MS = 86_400_000
_ROOM_STEP_ROWS = 500  # under pressure no more than is needed, nearly


class Housekeeper:
    """Removes entries by age and, when room runs short, by meaning. Every removal is counted."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._dated = False  # what came in while nobody knew the time has got a date by which it ages
        self._old_at: float | None = None  # when what is old was removed last, in steady seconds
        self._days_at: float | None = None  # when days were removed last, in steady seconds
        self._began = 0.0  # when the clock would have shown 1970 in steady seconds, as it is set now
        self._calm_from = 0.0  # since when nobody has set it otherwise, in steady seconds
        self.removed_settled = 0
        self.removed_owed = 0  # no sink will get these; each sink's account says how many of them it misses

    async def run(self) -> None:
        """Tidy up for ever, soon when the store is short of room."""
        await self._outbox.check_whole()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.room.pressed.wait(), _ROUND_S)
            self._outbox.room.pressed.clear()
            # When the disk is in trouble the writer says so, and the next round tries again.
            with contextlib.suppress(StoreUnavailable):
                if self._old_are_due():
                    await self.tidy()
                    self._old_at = clock.steady() if clock.trusted() else None
                else:
                    await self._make_room()
            if self._outbox.room.space.pressure:
                await asyncio.sleep(_PAUSE_S)

    async def tidy(self) -> None:
        """Do one round."""
        if clock.trusted():
            await self._remove_old()
        else:
            self._dated = False  # by a clock that may be wrong nothing is old
        await self._make_room()

    def _old_are_due(self) -> bool:
        if not clock.trusted():  # as soon as somebody sets it, all of it is done
            self._dated, self._old_at = False, None
        return self._old_at is None or clock.steady() - self._old_at >= _OLD_S

    def _days_are_due(self) -> bool:
        steady = clock.steady()
        began = steady - clock.now().timestamp()
        if abs(began - self._began) > _JUMP_S:
            self._began, self._calm_from = began, steady
        if steady - self._calm_from < _CALM_S:
            return False
        return self._days_at is None or steady - self._days_at >= _DAYS_S

    async def _remove_old(self) -> None:
        now = clock.now_ms()
        if self._days_are_due():
            while await self._outbox.write(lambda conn: history.remove_old_days(conn, clock.now())):
                pass  # step by step, so that receiving goes on beside it
            self._days_at = clock.steady()
        cutoff = now - int(self._outbox.settings.keep_days * _DAY_MS)
        if not self._dated:
            await self._outbox.write(lambda conn: undated.date(conn, now, cutoff))
            self._dated = True

        def old(conn: sqlite3.Connection, retained: Retained) -> Removed:
            return retention.remove_old(
                conn,
                settled_up_to=retained.settled_up_to,
                received_before=cutoff,
                now=now,
                unsynced_up_to=undated.older_than(conn, cutoff),
            )

        while (rows := (await self._outbox.rewriting.remove(old)).rows) == retention.STEP_ROWS:
            self.removed_settled += rows
        self.removed_settled += rows

    async def _make_room(self) -> None:
        """Remove step by step until there is room again. A full disk is not helped: pages stay the store's."""

        def settled(conn: sqlite3.Connection, retained: Retained) -> Removed:
            return retention.remove_settled(conn, settled_up_to=retained.settled_up_to, limit=_ROOM_STEP_ROWS)

        def owed(conn: sqlite3.Connection, retained: Retained) -> Removed:
            return retention.remove_owed(conn, keep=retained.on_their_way, limit=_ROOM_STEP_ROWS)

        while self._outbox.room.look().pressure:
            rows = (await self._outbox.rewriting.remove(settled)).rows
            self.removed_settled += rows
            if not rows:
                if self._outbox.settings.when_full != "drop_oldest":
                    return
                rows = (await self._outbox.rewriting.remove(owed)).rows
                self.removed_owed += rows
                if not rows:
                    return
