"""The places of all sinks: what is settled in memory, what of it is on disk, and what must stay in the log.

A forwarder settles often and a disk is slow, so a place is written with the next commit that happens
anyway, or after a short while. Every note has a number: an older one never replaces a newer one on disk,
whatever way they took.
"""

import asyncio
import itertools
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.outbox import accounts, lost_places, positions
from gateway.outbox.positions import Position
from gateway.outbox.reading import Survey
from gateway.outbox.retention import Retained

_SOON_S = 0.25  # a settled place reaches the disk no later than this
_AGAIN_S = 1.0  # … or when the disk takes writes again
_RARELY_S = 0.05  # commits in quick succession take it along no more often than this
_SHARE = 4  # … unless as much as this part of the sink's window was settled meanwhile


@dataclass(frozen=True, slots=True)
class Note:
    """A snapshot of a place, to be written."""

    number: int
    position: Position


class Places:
    """The event loop settles, the writer's thread saves; each method says whose it is by its place below."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._nudge = nudge
        self._numbers = itertools.count(1)
        self._waiting: dict[str, Note] = {}  # settled, not yet known to be on disk
        self._saving: dict[str, int] = {}  # numbers of the notes in the running transaction
        self._saved: dict[str, int] = {}
        self._live: dict[str, Position] = {}  # what the forwarders work with
        self._windows: dict[str, int] = {}  # of the sinks that are configured
        self._timer: asyncio.TimerHandle | None = None
        self._since: dict[str, float] = {}  # since when a place waits, monotonic
        self._noted: dict[str, int] = {}  # how much was settled in the place that was written last
        self._at_once = False

    # On the event loop

    def expect(self, sink: str, window: int) -> None:
        """Have retention wait for a sink, also when it cannot be used at the moment."""
        self._windows[sink] = window

    def dismiss(self, sink: str) -> None:
        """Have retention no longer wait for a sink."""
        self._windows.pop(sink, None)

    def hand_out(self, position: Position) -> None:
        """Remember the position that a forwarder works with from now on."""
        self._live[position.name] = position

    @property
    def live(self) -> Mapping[str, Position]:
        """The positions that forwarders work with."""
        return self._live

    def note(self, position: Position) -> Note:
        """Take a snapshot."""
        number = next(self._numbers)
        position.seal(number)
        return Note(number, position.copy())

    def settle(self, position: Position) -> None:
        """Have a place on disk soon."""
        self._since.setdefault(position.name, time.monotonic())
        self._waiting[position.name] = self.note(position)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SOON_S, self._due)

    def is_settled(self, sink: str) -> bool:
        """Say whether everything that `settle` was told is on disk."""
        return sink not in self._waiting

    @property
    def all_settled(self) -> bool:
        """Say whether no place waits for the disk."""
        return not self._waiting

    def committed(self, expired: dict[str, int]) -> None:
        """Note that the transaction is on disk; ``expired`` are the accounts that a removal changed."""
        self._saved.update(self._saving)
        for sink, number in self._saving.items():
            if sink in self._live:
                self._live[sink].on_disk(number)
        saving = set(self._saving)
        self._saving.clear()
        for sink, note in list(self._waiting.items()):
            if note.number <= self._saved.get(sink, 0):
                del self._waiting[sink]
                self._since.pop(sink, None)
            elif sink in saving:
                self._since[sink] = time.monotonic()
        for sink, count in expired.items():
            if sink in self._live:
                self._live[sink].expired = count
        if not self._waiting and self._timer is not None:
            # The next place to be settled waits a quarter of a second again, and not for this timer.
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        """Have no more timers; the next commit takes along what waits."""
        self._at_once = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(_AGAIN_S, self._due)
            self._nudge()

    # In the writer's thread

    def save(self, conn: sqlite3.Connection, note: Note) -> None:
        """Write a snapshot, unless a newer one is there."""
        sink = note.position.name
        known = max(self._saving.get(sink, 0), self._saved.get(sink, 0))
        if note.number > known:
            positions.save(conn, note.position)
            # Each batch once: what an older note has put there, in this transaction or before, stays away.
            accounts.move(conn, sink, [moves for number, moves in note.position.sealed if number > known])
            self._saving[sink] = note.number
            self._noted[sink] = _settled(note.position)

    def save_waiting(self, conn: sqlite3.Connection) -> None:
        """Write every place that has waited for a moment, or for a good part of its sink's window."""
        for note in list(self._waiting.values()):
            if self._at_once or self._is_due(note.position):
                self.save(conn, note)

    def _is_due(self, position: Position) -> bool:
        """Say whether a place is worth its pages: in a replay there is a commit every few milliseconds."""
        sink = position.name
        if time.monotonic() - self._since.get(sink, 0.0) >= _RARELY_S:
            return True
        return _settled(position) - self._noted.get(sink, 0) >= self._windows.get(sink, 0) // _SHARE

    def enlist(self, conn: sqlite3.Connection, sink: str, survey: Survey, head: int) -> Position:
        """Find a sink's place with all that was settled, or give it one."""
        waiting = self._waiting.get(sink)
        if waiting is not None:
            self.save(conn, waiting)
        known = positions.load(conn, sink)
        if known is not None:
            return known
        owed: Counter[str] = Counter()
        if survey.after is not None:
            owed.update(survey.owed)
            owed.update(accounts.count(conn, survey.head, head))
        lettered = accounts.begin(conn, sink, owed)
        after = head if survey.after is None else survey.after
        return positions.enlist(conn, sink, after=after, owed=owed.total(), lettered=lettered, head=head)

    def rolled_back(self) -> None:
        """Forget what the transaction would have written, and have the next one take it along however soon it comes."""
        for sink in self._saving:
            self._since[sink] = -math.inf
        self._saving.clear()

    def retained(self, conn: sqlite3.Connection, head: int) -> Retained:
        """Say what a removal must respect."""
        settled, places = head, []
        for sink, window in list(self._windows.items()):
            position = positions.load(conn, sink)
            if position is not None:
                settled = min(settled, position.settled_up_to())
                # One window may be settled and not on disk, another one read or in flight.
                at_hand = (position.cursor, *(owed.first for owed in position.arrears))
                places += [(place, 2 * window) for place in at_hand]
            elif lost_places.matter(conn):
                settled = 0  # it gets all there is, as soon as it has its place again
        return Retained(conn, settled, places)


def _settled(position: Position) -> int:
    return position.delivered + position.lettered + position.replayed
