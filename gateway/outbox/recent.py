"""What was counted in the last minute and the last hour, by the time of the windows, for each device and zone.

Kept in memory beside the tallies and moved by the same statements, a correction taking back what it replaces;
rebuilt from the log at the start. The hour ends where the counts end: a counter that sends its minutes a
quarter of an hour later has a last hour that ended then, and it says so.
"""

import math
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import anyio

from gateway import clock
from gateway.event import Kind
from gateway.outbox import connection, opening
from gateway.outbox.coverage import MINUTES, covered
from gateway.outbox.entry import Draft
from gateway.outbox.windows import standing, statements_of
from gateway.outbox.zoning import Plans, Share, crossed

_MINUTE_MS = 60_000
_KEPT_MIN = 125  # an hour, for zones whose doors are up to another hour apart
_MAX_MINUTES = 190
_MAX_OWNERS = 5_000
_AHEAD_MIN = 60
_LAG_MS = 3_600_000  # a door that is further behind no longer holds up the hour of its zone
_BOOK = "SELECT id, newest FROM devices WHERE newest IS NOT NULL AND source <> 'gateway'"


class Move(NamedTuple):
    """What one statement adds to the sums of a device or zone, or takes back."""

    owner: str
    seq: int  # of the entry that made the move
    time: int  # ms: when the window began
    until: int  # ms: what it tells about ends here
    newest: int | None  # ms: the device's newest fact by now; None for a zone
    steady: bool  # the device sends closed windows, also when nobody passes
    tallies: Mapping[str, int]
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Sums:
    """The newest sums of one device or zone; None where nothing is known."""

    until: int  # ms: the instant that they reach to
    hour: Mapping[str, int]
    minute: Mapping[str, int] | None


@dataclass(slots=True)
class _Owner:
    newest: int = 0  # minute
    steady: bool = False
    beat: int = 0  # ms: its last heartbeat
    names: dict[str, int] = field(default_factory=dict)
    minutes: dict[int, list[int]] = field(default_factory=dict)
    untils: dict[int, int] = field(default_factory=dict)

    def add(self, move: Move, limit: float = math.inf) -> None:
        """Add what a statement says; a zone takes nothing from beyond a limit, where a clock must be wrong."""
        minute = move.time // _MINUTE_MS
        if move.newest is not None:
            self.newest = move.newest // _MINUTE_MS  # the book knows which clock slipped, and takes it back
        elif minute > limit:
            return
        else:
            self.newest = minute if self.newest > limit else max(self.newest, minute)
        if minute <= self.newest - _KEPT_MIN:
            return
        if move.sign > 0:
            self.steady = move.steady
            self.untils[minute] = max(self.untils.get(minute, 0), move.until)
        sums = self.minutes.setdefault(minute, [])
        for name, amount in move.tallies.items():
            at = self.names.setdefault(name, len(self.names))
            if at >= len(sums):
                sums.extend([0] * (at + 1 - len(sums)))
            sums[at] += move.sign * amount
        if len(self.minutes) > _MAX_MINUTES:
            self._prune()

    def _prune(self) -> None:
        first = self.newest - _KEPT_MIN
        keep = [minute for minute in self.minutes if first < minute <= self.newest]
        keep = keep or sorted(self.minutes)[-_KEPT_MIN:]
        self.minutes = {minute: self.minutes[minute] for minute in keep}
        self.untils = {minute: self.untils[minute] for minute in keep if minute in self.untils}

    @property
    def reach(self) -> int:
        """Give the instant (ms) up to which something is known; 0 when nothing is."""
        return max(self.untils.get(self.newest, 0), self.beat)

    def sums(self, until: int) -> Sums | None:
        end = -(-until // _MINUTE_MS)
        hour = self._sum(end - 60, end)
        if not until or (hour is None and not self.beat):
            return None
        minute = self._sum(end - 1, end)
        if minute is None and self.beat >= until:
            minute = {}  # it is heard, and says that nobody passed
        return Sums(until, hour or {}, minute)

    def _sum(self, first: int, end: int) -> dict[str, int] | None:
        within = [sums for minute, sums in self.minutes.items() if first <= minute < end]
        if not within:
            return None
        return {name: sum(sums[at] for sums in within if at < len(sums)) for name, at in self.names.items()}


class Recent:
    """The sums of everybody. Written on the event loop, read in any thread."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, _Owner] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: list[Move] | None = []  # what came before the log was read
        self.ready = anyio.Event()

    def add(self, moves: Sequence[Move]) -> None:
        """Take over what a transaction moved."""
        with self._lock:
            if self._waiting is not None:
                self._waiting += moves
            else:
                self._move(moves)

    def rebuild(self, path: Path) -> None:
        """Read the last hours from the log, in a thread; what comes meanwhile is added after it."""
        with closing(connection.open_reader(path)) as conn:
            conn.execute("BEGIN")  # one look at everything, whatever is committed meanwhile
            head = opening.last_number(conn)
            moves = list(_from_log(conn, [(device, newest) for device, newest in conn.execute(_BOOK)]))
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            self._move(moves)
            self._move(move for move in waiting if move.seq > head)

    def _move(self, moves: Iterable[Move]) -> None:
        limit = clock.now_ms() // _MINUTE_MS + _AHEAD_MIN if clock.plausible() else math.inf
        for move in moves:
            owner = self._owners.get(move.owner)
            if owner is None:
                if len(self._owners) >= _MAX_OWNERS:
                    self._owners.popitem(last=False)
                owner = self._owners[move.owner] = _Owner()
            if move.sign:
                owner.add(move, limit)
            else:
                owner.beat = move.until

    def of(self, device: str) -> Sums | None:
        """Give a device's sums; None when nothing is known."""
        with self._lock:
            owner = self._owners.get(device)
            return None if owner is None else owner.sums(owner.reach)

    def of_zone(self, zone: str, members: Iterable[str]) -> Sums | None:
        """Give a zone's sums, up to where all its doors that are not far behind have told."""
        with self._lock:
            owner = self._owners.get(zone)
            doors = [door for door in map(self._owners.get, members) if door is not None and door.reach]
            if owner is None:
                return None
            newest = max((door.reach for door in doors), default=owner.reach)
            slow = [door.reach for door in doors if door.steady and door.reach > newest - _LAG_MS]
            return owner.sums(min(slow, default=newest))


def moves_of(draft: Draft, seq: int, newest: int | None) -> Move | None:
    """Say what a counted window, or a heartbeat, adds to its device."""
    if draft.covered is None:
        return None
    until = draft.over if draft.sent is None else min(draft.over, max(draft.sent, draft.time))
    if draft.kind != Kind.COUNT:
        return Move(draft.device.id, seq, draft.time, draft.time, None, False, {}, 0)
    return Move(draft.device.id, seq, draft.time, until, newest, draft.covered.mask == MINUTES, draft.tallies)


def shared(move: Move, shares: Iterable[Share]) -> list[Move]:
    """Give a device's move and the same move of each zone that it counts in."""
    moves = [move]
    for zone, out in shares:
        tallies = {crossed(name): amount for name, amount in move.tallies.items()} if out else move.tallies
        moves.append(move._replace(owner=zone, newest=None, tallies=tallies))
    return moves


def from_log(conn: sqlite3.Connection, device: str, newest: int | None) -> Sums | None:
    """Give a device's sums by its windows in the log, for those who have no memory of them."""
    owner = _Owner()
    for move in _from_log(conn, [(device, newest)] if newest is not None else []):
        if move.owner == device:
            owner.add(move)
    return owner.sums(owner.reach)


def _from_log(conn: sqlite3.Connection, devices: Iterable[tuple[str, int]]) -> Iterable[Move]:
    plans = Plans.load(conn)
    for device, newest in devices:
        for fact in statements_of(conn, device, newest - _KEPT_MIN * _MINUTE_MS, newest + 1):
            one = standing(fact)
            told = covered(Kind.COUNT, one.said.data, one.time, one.over, timed=True) if one else None
            if one is None or told is None:
                continue
            steady = told.mask == MINUTES
            move = Move(device, one.seq, one.time, one.until, newest, steady, one.said.tallies)
            plan = plans.at(one.seq)
            yield from shared(move, plan.shares(device, one.said.object, one.said.place) if plan else ())
