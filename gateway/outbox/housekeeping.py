"""Keep the store within its bounds: removes what is old, and makes room under pressure."""

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime

from gateway.errors import StoreUnavailable
from gateway.outbox import retention
from gateway.outbox.entry import milliseconds
from gateway.outbox.retention import Removed, Retained
from gateway.outbox.store import Outbox

_ROUND_S = 30.0
_DAY_MS = 86_400_000


class Housekeeper:
    """Removes entries by age and, when room runs short, by meaning. Every removal is counted."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.removed_settled = 0
        self.removed_owed = 0  # no sink will get these; each sink's account says how many of them it misses

    async def run(self) -> None:
        """Tidy up for ever, at once when the store is short of room."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._outbox.pressed.wait(), _ROUND_S)
            self._outbox.pressed.clear()
            try:
                await self.tidy()
            except StoreUnavailable:
                # The disk is in trouble; the writer says so, and the next round tries again.
                await asyncio.sleep(1)

    async def tidy(self) -> None:
        """Do one round."""
        cutoff = milliseconds(datetime.now(UTC)) - int(self._outbox.settings.keep_days * _DAY_MS)

        def old(conn: sqlite3.Connection, retained: Retained) -> Removed:
            return retention.remove_old(conn, settled_up_to=retained.settled_up_to, received_before=cutoff)

        removed = retention.STEP_ROWS
        while removed == retention.STEP_ROWS:
            removed = (await self._outbox.remove(old)).settled
            self.removed_settled += removed
        await self._make_room()

    async def _make_room(self) -> None:
        """Remove step by step until there is room. A full disk is not helped: pages go back to the store only."""
        after: int | None = 0
        while self._outbox.look().shortage and not self._outbox.space.disk_short:

            def settled(
                conn: sqlite3.Connection, retained: Retained, at: int = after or 0
            ) -> tuple[Removed, int | None]:
                return retention.remove_settled(
                    conn, settled_up_to=retained.settled_up_to, heartbeats_from=at
                )

            removed, goes_on = await self._outbox.remove(settled)
            self.removed_settled += removed.settled
            if goes_on is None and not removed.settled and not await self._give_up_owed():
                return
            after = 2**62 if goes_on is None else goes_on  # the search for heartbeats is done once a round

    async def _give_up_owed(self) -> bool:
        if self._outbox.settings.when_full != "drop_oldest":
            return False
        removed = await self._outbox.remove(
            lambda conn, retained: retention.remove_owed(conn, keep=retained.on_their_way)
        )
        self.removed_owed += removed.owed
        return removed.owed > 0
