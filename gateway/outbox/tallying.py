"""Everything that is summed when a statement is kept: days, lifetimes, zones, minutes, the last hour.

A statement that replaces another one takes that back first, on the device, the day and the zones on which it
had counted. All sums move in the transaction of the entry, so they are what the log says, whatever happens.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from gateway.event import Kind
from gateway.outbox import statements
from gateway.outbox.coverage import Coverage
from gateway.outbox.entry import Draft, day_of, earlier
from gateway.outbox.occupancy import Occupancy
from gateway.outbox.recent import Move, Pace, Recent, moves_of, shared
from gateway.outbox.zoning import Share, crossed

Newest = tuple[int, str, int, str, str, int, int, int, int, str, str | None]  # the columns of an `Entry`


class Tallying:
    """The sums of one transaction; used on the writer's thread, but for `hand_over`."""

    def __init__(self, occupancy: Occupancy, recent: Recent) -> None:
        self._occupancy = occupancy
        self._recent = recent
        self._coverage = Coverage()
        self._days: dict[tuple[str, str, str], int] = {}  # by device, day and measure
        self._moves: list[Move] = []

    def tell(self, draft: Draft, seq: int, pace: Pace) -> None:
        """Note which minutes a new entry tells about; ``pace`` is that of its device."""
        if draft.covered is not None:
            self._coverage.add(draft.device.id, draft.covered)
            if draft.kind == Kind.HEARTBEAT and (move := moves_of(draft, seq, pace)):
                self._moves.append(move)

    def add(self, draft: Draft, seq: int, replaced: Newest | None, pace: Pace) -> None:
        """Add a statement and take back the one that it replaces, each on its own device, day and zones."""
        zones = self._occupancy
        if replaced is not None:
            before, _, _, kind, device, _, time, _, _, body, _ = replaced
            said = earlier(kind, body)
            plan = zones.plan_at(before) if kind == Kind.COUNT else None
            shares = plan.shares(device, said.object, said.place) if plan else ()
            day = day_of(time, zones.zone_at(before, draft.zone))
            self._sum(device, day, said.tallies, -1)
            self._share(shares, time, day, said.tallies, -1)
            if kind == Kind.COUNT:
                back = Move(device, seq, time, 0, pace, steady=False, tallies=said.tallies, sign=-1)
                self._moves += shared(back, shares)
        counts = draft.kind == Kind.COUNT
        plan = zones.plan if counts else None
        shares = plan.shares(draft.device.id, draft.object, draft.place) if plan else ()
        day = day_of(draft.time, draft.zone)
        self._sum(draft.device.id, day, draft.tallies, 1)
        self._share(shares, draft.time, day, draft.tallies, 1)
        if counts and (move := moves_of(draft, seq, pace)):
            self._moves += shared(move, shares)

    def _sum(self, owner: str, day: str, tallies: Mapping[str, int], sign: int) -> None:
        days = self._days
        for measure, amount in tallies.items():
            key = (owner, day, measure)
            days[key] = days.get(key, 0) + sign * amount

    def _share(
        self, shares: Sequence[Share], time: int, day: str, tallies: Mapping[str, int], sign: int
    ) -> None:
        for zone, out in shares:
            turned = {crossed(name): amount for name, amount in tallies.items()} if out else tallies
            self._sum(zone, day, turned, sign)
            enters, exits = turned.get("enters"), turned.get("exits")
            if enters is not None or exits is not None:
                self._occupancy.count(zone, time, sign * (enters or 0), sign * (exits or 0))

    def write(self, conn: sqlite3.Connection) -> None:
        """Write the sums, inside the running transaction."""
        self._coverage.write(conn)
        self._occupancy.write()
        if self._days:
            # Zeros are written too: a day of zeros is not a day without data.
            ever: dict[tuple[str, str], int] = {}
            for (owner, _, measure), amount in self._days.items():
                ever[owner, measure] = ever.get((owner, measure), 0) + amount
            conn.executemany(statements.MOVE_TALLY, [(*key, amount) for key, amount in self._days.items()])
            lives = [(*key, amount, max(amount, 0)) for key, amount in ever.items()]
            conn.executemany(statements.MOVE_LIFETIME, lives)
            self._days.clear()

    def hand_over(self) -> None:
        """Move the sums of the last hour: what they were told of is on disk."""
        if self._moves:
            moves, self._moves = self._moves, []
            self._recent.add(moves)

    def forget(self) -> None:
        """Drop what was gathered: the transaction was rolled back."""
        self._days.clear()
        self._moves.clear()
        self._coverage.forget()
        self._occupancy.forget()
