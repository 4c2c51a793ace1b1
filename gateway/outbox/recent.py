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
from gateway.outbox.windows import last_before, standing, statements_of
from gateway.outbox.zoning import SITE, Plans, Share, crossed

_MINUTE_MS = 60_000
_KEPT_MIN = 125  # an hour, for zones whose doors are up to another hour apart
_MAX_MINUTES = 190
_MAX_OWNERS = 5_000
_AHEAD_MIN = 60
_SLACK_MIN = 15  # a device's own clock, beyond what is known of it
_GIVER_MIN = 24 * 60  # for so long a device that counted in a zone by a rule is one of those that feed it
_LAG_MS = 3_600_000  # a door that is further behind no longer holds up the hour of its zone
_BOOK = "SELECT id, newest, clock_offset_ms FROM devices WHERE newest IS NOT NULL AND source <> 'gateway'"


class Pace(NamedTuple):
    """How far a device is, by the book."""

    newest: int | None  # ms: its newest fact
    offset: int | None  # ms: how far its clock is ahead of ours

    def limit(self) -> float:
        """Give the minute (ms / 60,000) beyond which a window of it must come from a slip of its clock."""
        return _limit(_SLACK_MIN) + max(self.offset or 0, 0) // _MINUTE_MS


class Move(NamedTuple):
    """What one statement adds to the sums of a device or zone, or takes back."""

    owner: str
    seq: int  # of the entry that made the move
    time: int  # ms: when the window began
    until: int  # ms: what it tells about ends here
    pace: Pace | None  # of the device by now; None for a zone
    steady: bool  # the device sends closed windows, also when nobody passes
    tallies: Mapping[str, int]
    sign: int = 1
    place: str | None = None  # the zone that a rule of the device itself names
    giver: str = ""  # the device, where the owner is the zone that its rule names


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
    givers: dict[str, int] = field(default_factory=dict)  # the last minute in which each fed the zone

    def add(self, move: Move) -> None:
        """Add what a statement says; nothing is taken from beyond a limit, where a clock must be wrong."""
        minute = move.time // _MINUTE_MS
        limit = _limit(_AHEAD_MIN) if move.pace is None else move.pace.limit()
        if minute > limit:
            return
        newest = None if move.pace is None else move.pace.newest
        if newest is not None and newest // _MINUTE_MS <= limit:
            self.newest = newest // _MINUTE_MS  # the book knows which clock slipped, and takes it back
        else:
            self.newest = minute if self.newest > limit else max(self.newest, minute)
        if move.giver and move.sign > 0:
            self._note_giver(move.giver, minute)
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

    def beats(self, move: Move) -> None:
        """Note a heartbeat."""
        if move.pace is None or move.time // _MINUTE_MS <= move.pace.limit():
            self.beat = move.until

    def _note_giver(self, giver: str, minute: int) -> None:
        self.givers[giver] = max(self.givers.get(giver, minute), minute)
        if self.givers[giver] <= self.newest - _GIVER_MIN:
            del self.givers[giver]

    def fed_by(self) -> set[str]:
        """Name the devices that fed the zone within a day."""
        return {giver for giver, minute in self.givers.items() if minute > self.newest - _GIVER_MIN}

    def _prune(self) -> None:
        self.givers = {giver: self.givers[giver] for giver in self.fed_by()}
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
        with closing(connection.open_reader(path)) as conn, connection.one_look(conn):
            head = opening.last_number(conn)
            paces = [(device, Pace(newest, offset)) for device, newest, offset in conn.execute(_BOOK)]
            moves = list(_from_log(conn, paces))
        with self._lock:
            waiting, self._waiting = self._waiting or [], None
            self._move(moves)
            self._move(move for move in waiting if move.seq > head)

    def _move(self, moves: Iterable[Move]) -> None:
        for move in moves:
            owner = self._owners.get(move.owner)
            if owner is None:
                if len(self._owners) >= _MAX_OWNERS:
                    self._owners.popitem(last=False)
                owner = self._owners[move.owner] = _Owner()
            if move.sign:
                owner.add(move)
            else:
                owner.beats(move)

    def of(self, device: str) -> Sums | None:
        """Give a device's sums; None when nothing is known."""
        with self._lock:
            owner = self._owners.get(device)
            return None if owner is None else owner.sums(owner.reach)

    def of_zone(self, zone: str, members: Iterable[str]) -> Sums | None:
        """Give a zone's sums, up to where all that feed it, and are not far behind, have told."""
        with self._lock:
            owner = self._owners.get(zone)
            if owner is None:
                return None
            feeders = {*members, *owner.fed_by()}
            doors = [door for door in map(self._owners.get, feeders) if door is not None and door.reach]
            newest = max((door.reach for door in doors), default=owner.reach)
            slow = [door.reach for door in doors if door.steady and door.reach > newest - _LAG_MS]
            return owner.sums(min(slow, default=newest))

    def givers(self, zone: str) -> set[str]:
        """Name the devices that counted in a zone within a day, by its doors or by a rule of their own."""
        with self._lock:
            owner = self._owners.get(zone)
            return owner.fed_by() if owner else set()


def _limit(slack_min: int) -> float:
    return clock.now_ms() // _MINUTE_MS + slack_min if clock.plausible() else math.inf


def moves_of(draft: Draft, seq: int, pace: Pace) -> Move | None:
    """Say what a counted window, or a heartbeat, adds to its device."""
    if draft.covered is None:
        return None
    until = draft.over if draft.sent is None else min(draft.over, max(draft.sent, draft.time))
    if draft.kind != Kind.COUNT:
        return Move(draft.device.id, seq, draft.time, draft.time, pace, False, {}, 0)
    steady = draft.covered.mask == MINUTES
    return Move(draft.device.id, seq, draft.time, until, pace, steady, draft.tallies, place=draft.place)


def shared(move: Move, shares: Iterable[Share]) -> list[Move]:
    """Give a device's move and the same move of each zone that it counts in."""
    moves = [move]
    ruled = SITE if move.place == SITE else f"zone-{move.place}"
    for zone, out in shares:
        tallies = {crossed(name): amount for name, amount in move.tallies.items()} if out else move.tallies
        giver = move.owner if zone == ruled else ""
        moves.append(move._replace(owner=zone, pace=None, tallies=tallies, giver=giver))
    return moves


def from_log(
    conn: sqlite3.Connection, device: str, newest: int | None, offset: int | None = None
) -> Sums | None:
    """Give a device's sums by its windows in the log, for those who have no memory of them."""
    owner = _Owner()
    for move in _from_log(conn, [(device, Pace(newest, offset))] if newest is not None else []):
        if move.owner == device:
            owner.add(move)
    return owner.sums(owner.reach)


def _from_log(conn: sqlite3.Connection, devices: Iterable[tuple[str, Pace]]) -> Iterable[Move]:
    plans = Plans.load(conn)
    for device, pace in devices:
        newest, limit = pace.newest or 0, pace.limit()
        if newest // _MINUTE_MS > limit:  # a slip: what counts ends before it
            newest = last_before(conn, device, (int(limit) + 1) * _MINUTE_MS)
        for fact in statements_of(conn, device, newest - _KEPT_MIN * _MINUTE_MS, newest + 1):
            one = standing(fact)
            told = covered(Kind.COUNT, one.said.data, one.time, one.over, timed=True) if one else None
            if one is None or told is None:
                continue
            steady = told.mask == MINUTES
            move = Move(
                device, one.seq, one.time, one.until, pace, steady, one.said.tallies, place=one.said.place
            )
            plan = plans.at(one.seq)
            yield from shared(move, plan.shares(device, one.said.object, one.said.place) if plan else ())
