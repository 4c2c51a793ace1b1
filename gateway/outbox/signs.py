"""When each device was last heard, and how regularly it speaks: what the silence of a device is measured by.

All of it in steady seconds: a clock that jumps makes nobody silent. Pushes that come whether people pass or not
have a rhythm; those that come with people have none. Written on the writer's thread, read on the event loop.
"""

import sqlite3
import statistics
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_MAX_SIGNS = 10_000
_BURST_S = 10.0  # what comes closer together is one sign: the events of a push, or a replay
_SHORT = 4  # gaps below this part of the rhythm are a burst, until they have lasted
_LASTED_S = 300.0
_LONGEST_S = 86_400.0  # a gap beyond this is an outage and teaches nothing
_FIRST_SPAN_S = 100.0  # a rhythm is not told by less
_GAPS = 5
_ALIKE = 0.2
_OTHER = 1.5
_UNSTEADY_RHYTHMS, _UNSTEADY_S = 9, 1_800.0
_REAL_TIME = ("running_minute", "increment")


@dataclass(slots=True)
class Sign:
    """What one device lets us know about its life."""

    device: str
    source: str
    last_seen: int  # ms, by our clock
    rhythm_ms: int | None = None
    state: str | None = None  # what was last said about it: event.Liveness
    counts: str | None = None  # which kind of count it sends
    # Of this life only, in steady seconds:
    first: float | None = None
    heard: float | None = None
    beat: float | None = None  # when the last of what comes by itself came
    _unsteady_since: float | None = None
    _gaps: deque[float] = field(default_factory=lambda: deque(maxlen=_GAPS))
    _shorts: list[float] = field(default_factory=list)

    @property
    def rhythm_s(self) -> float | None:
        """How far apart its steady pushes come."""
        return None if self.rhythm_ms is None else self.rhythm_ms / 1000

    @property
    def real_time(self) -> bool:
        """It counts when people pass and says nothing when nobody does."""
        return self.counts in _REAL_TIME

    def hear(self, at: float, *, steady: bool, live: bool) -> None:
        """Note a push. Only a live one that comes by itself tells of the rhythm."""
        self.first = at if self.first is None else self.first
        self.heard = max(at, self.heard or at)
        if not live:
            return
        if steady:
            self._unsteady_since = None
            self._note_beat(at)
            return
        if self._unsteady_since is None:
            self._unsteady_since = at
        if self.rhythm_ms is not None and at - self._unsteady_since > max(
            _UNSTEADY_RHYTHMS * self.rhythm_ms / 1000, _UNSTEADY_S
        ):  # it goes on without what came by itself: its heartbeat was taken away
            self.rhythm_ms = self.beat = None
            self._gaps.clear()

    def _note_beat(self, at: float) -> None:
        if self.beat is None:
            self.beat = at
            return
        gap = at - self.beat
        if gap < _BURST_S:
            return
        self.beat = at
        if gap <= _LONGEST_S:
            self._learn(gap)

    def _learn(self, gap: float) -> None:
        known = self.rhythm_s
        if known is not None and gap * _SHORT < known:
            self._shorts.append(gap)
            if sum(self._shorts) < _LASTED_S:
                return
            self._gaps.extend(self._shorts)
            self._shorts.clear()
            self._set(statistics.median(self._gaps))
            return
        self._shorts.clear()
        self._gaps.append(gap)
        if known is None:
            if len(self._gaps) == _GAPS or (len(self._gaps) > 1 and sum(self._gaps) >= _FIRST_SPAN_S):
                self._set(statistics.median(self._gaps))
            return
        last = list(self._gaps)[-2:]
        pair = sum(last) / len(last)
        alike = len(last) > 1 and max(last) - min(last) <= _ALIKE * max(last)
        if alike and not known / _OTHER < pair < known * _OTHER:
            self._gaps = deque(last, maxlen=_GAPS)  # its interval was changed: what came before tells nothing
            self._set(pair)
        elif len(self._gaps) > 2:
            self._set(statistics.median(self._gaps))

    def _set(self, rhythm_s: float) -> None:
        self.rhythm_ms = round(rhythm_s * 1000)


class Signs:
    """The signs of all devices; bounded, the one that was heard longest ago goes first."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._lock = threading.Lock()
        self._signs: dict[str, Sign] = {}
        rows = conn.execute(_BOOK, (_MAX_SIGNS,)).fetchall()
        for device, source, last_seen, rhythm_ms, state, counts in reversed(rows):
            self._signs[device] = Sign(device, source, last_seen, rhythm_ms, state, counts)

    def all(self) -> list[Sign]:
        """Give every sign."""
        with self._lock:
            return list(self._signs.values())

    def of(self, device: str) -> Sign | None:
        """Find the sign of a device."""
        with self._lock:
            return self._signs.get(device)

    def drop(self, device: str) -> None:
        """Forget a device that is in no book."""
        with self._lock:
            self._signs.pop(device, None)

    def pushed(self, device: str, source: str, at: float, *, steady: bool, live: bool) -> Sign:
        """Note that a device pushed."""
        with self._lock:
            sign = self._signs.pop(device, None)
            if sign is None:
                if len(self._signs) >= _MAX_SIGNS:
                    del self._signs[next(iter(self._signs))]
                sign = Sign(device, source, 0)
            self._signs[device] = sign  # behind all that were heard longer ago
            sign.hear(at, steady=steady, live=live)
            return sign

    def answered(self, speaks_for: Callable[[Sign], bool], at: float) -> None:
        """Note that a polled system answered: a sign of life, as steady as the asking, of all that it speaks for."""
        with self._lock:
            for sign in list(self._signs.values()):
                if sign.heard != at and speaks_for(sign):
                    self._signs[sign.device] = self._signs.pop(sign.device)
                    sign.hear(at, steady=True, live=True)


# What counted last says how it counts; a page that was damaged says nothing.
_BOOK = (
    "SELECT id, source, last_seen, rhythm_ms, liveness,"
    " CASE WHEN json_valid(newest_data) THEN json_extract(newest_data, '$.count') END"
    " FROM devices WHERE source <> 'gateway' ORDER BY last_seen DESC LIMIT ?"
)
