"""Which minutes of a span are missing, by what a device told about (`coverage.py`).

A closed window tells about its minutes. A real-time counter with a heartbeat tells about the quiet minutes
too, as long as it is heard. One without a heartbeat cannot be told from an empty shop, and then that is what
is said. Before the first minute of a device nothing is missing; of days that it did not live in, and of those
that have not come, nothing is said.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from gateway.outbox.coverage import HOUR

_MINUTE_MS = 60_000
_HEARD_MIN = 5  # a counter is heard between two signs of life that are no further apart than this
_HEARD_RHYTHMS = 3  # or than so many times its own rhythm
_HEARD_MAX_MIN = 60
_PATIENCE_MIN = 30  # what is younger may still be on its way, when the device's rhythm is not known
_SLOW_MIN = 2
_AHEAD_MAX_MIN = 24 * 60  # a clock that seems to be off by more may only have slipped once
_EARLIER_MIN = (
    60 * 24 * 60
)  # a first minute from longer before the first push came from a clock that was not set
_SPAN = (
    "SELECT hour, minutes, live, beats FROM coverage WHERE device = ? AND hour BETWEEN ? AND ? ORDER BY hour"
)
_BEFORE = "SELECT minutes, live, beats FROM coverage WHERE device = ? AND hour < ? ORDER BY hour DESC LIMIT 1"
_FIRST = (
    "SELECT hour, minutes | live | beats FROM coverage WHERE device = ? AND hour >= ? ORDER BY hour LIMIT 1"
)
_LAST = "SELECT hour, minutes | live | beats FROM coverage WHERE device = ? AND hour <= ? ORDER BY hour DESC LIMIT 1"


class Why(Enum):
    """Why it cannot be told what is missing."""

    UNKNOWN_THEN = "unknown_then"  # the span lies before the device's first minute
    NOT_YET = "not_yet"  # the span has not begun
    SILENT = "silent"  # the device speaks only when somebody passes


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is known of a span of minutes."""

    start: int  # minutes since 1970
    length: int  # minutes
    known: int  # bits of the minutes that were told about
    missing: int | None  # bits of those that should have been; None: that cannot be told
    over: bool | None  # the span has passed; None while our clock cannot be believed
    why: Why | None = None  # it cannot be told

    @property
    def known_count(self) -> int:
        return self.known.bit_count()

    @property
    def missing_count(self) -> int | None:
        return None if self.missing is None else self.missing.bit_count()

    @property
    def complete(self) -> bool | None:
        """Every minute was told about, and it is over; None: that cannot be told."""
        if self.over and self.known_count == self.length:
            return True
        untold = self.why is not None and (self.over or self.why is not Why.SILENT)
        return None if self.over is None or untold else False

    def ranges(self) -> list[tuple[int, int]]:
        """Give the missing minutes as (first, end) in ms since 1970."""
        found, bits, at = [], self.missing or 0, self.start
        while bits:
            skip = (bits & -bits).bit_length() - 1
            bits >>= skip
            run = (~bits & (bits + 1)).bit_length() - 1
            bits >>= run
            found.append(((at + skip) * _MINUTE_MS, (at + skip + run) * _MINUTE_MS))
            at += skip + run
        return found


def gaps(
    conn: sqlite3.Connection, page: Mapping[str, object], start: datetime, end: datetime, now: datetime | None
) -> Gaps | None:
    """Find the gaps of a device in a span; ``now`` is None while the clock cannot be believed.

    None for a device that counts nothing: it never told about any minute.
    """
    device = str(page["id"])
    first = _first_minute(conn, page)
    if first is None:
        return None
    begin, finish = _minute(start), _minute(end)
    heard = _heard_min(page)
    wide = begin - heard, finish + heard
    told, live, beats = _masks(conn, device, *wide)
    full = (1 << (finish - begin)) - 1
    known = ((told | live | (_closed(live | beats, heard) if beats else 0)) >> heard) & full
    over = None if now is None else now >= end
    why = _why(conn, device, wide[0], told, live, beats)
    if now is not None and now < start:
        why = Why.NOT_YET
    elif finish <= first and not known:
        why = Why.UNKNOWN_THEN
    if why is not None:
        return Gaps(begin, finish - begin, known, None, over, why)
    due = min(max(_due(page, now), _last_minute(conn, page, now)), finish)
    expected = ((1 << max(due - begin, 0)) - 1) & ~((1 << max(first - begin, 0)) - 1)
    return Gaps(begin, finish - begin, known, expected & full & ~known, over)


def _minute(instant: datetime) -> int:
    return int(instant.timestamp()) // 60


def _masks(conn: sqlite3.Connection, device: str, begin: int, end: int) -> tuple[int, int, int]:
    """Read the bits of a span of minutes; bit 0 is its first minute."""
    masks = [0, 0, 0]
    for hour, *bits in conn.execute(_SPAN, (device, begin // HOUR, (end - 1) // HOUR)):
        shift = hour * HOUR - begin
        for at, mask in enumerate(bits):
            masks[at] |= mask << shift if shift >= 0 else mask >> -shift
    full = (1 << (end - begin)) - 1
    told, live, beats = (mask & full for mask in masks)
    return told, live, beats


def _closed(bits: int, reach: int) -> int:
    """Fill the gaps between bits that are at most ``reach`` apart."""
    wide = bits
    for step in range(1, reach):
        wide |= bits << step
    narrow = wide
    for step in range(1, reach):
        narrow &= wide >> step
    return narrow | bits


def _why(conn: sqlite3.Connection, device: str, begin: int, told: int, live: int, beats: int) -> Why | None:
    """Say why nothing can be told: it counts in real time and has no heartbeat, so its silence means nothing."""
    if not (told or live or beats):
        before = conn.execute(_BEFORE, (device, begin // HOUR)).fetchone()
        if before is not None:
            told, live, beats = before
    return Why.SILENT if live and not beats and not told else None


def _first_minute(conn: sqlite3.Connection, page: Mapping[str, object]) -> int | None:
    seen = int(str(page["first_seen"])) // _MINUTE_MS
    row = conn.execute(_FIRST, (page["id"], (seen - _EARLIER_MIN) // HOUR)).fetchone()
    row = row or conn.execute(_FIRST, (page["id"], -(2**40))).fetchone()
    return None if row is None else row[0] * HOUR + (row[1] & -row[1]).bit_length() - 1


def _last_minute(conn: sqlite3.Connection, page: Mapping[str, object], now: datetime | None) -> int:
    """Give the end of what was told about: whatever lies before and was not told is missing."""
    limit = 2**40 if now is None else (_minute(now) + _ahead_min(page)) // HOUR
    row = conn.execute(_LAST, (page["id"], limit)).fetchone()
    return 0 if row is None else int(row[0] * HOUR + row[1].bit_length())


def _due(page: Mapping[str, object], now: datetime | None) -> int:
    """Give the minute up to which a device must have told by now, by its own clock and rhythm."""
    if now is None:
        return 0
    rhythm = page["rhythm_ms"]
    patience = _PATIENCE_MIN if not isinstance(rhythm, int) else _SLOW_MIN + 2 * -(-rhythm // _MINUTE_MS)
    return _minute(now) + _ahead_min(page) - patience


def _ahead_min(page: Mapping[str, object]) -> int:
    offset = page["clock_offset_ms"]
    ahead = offset // _MINUTE_MS if isinstance(offset, int) else 0
    return ahead if abs(ahead) <= _AHEAD_MAX_MIN else 0


def _heard_min(page: Mapping[str, object]) -> int:
    rhythm = page["rhythm_ms"]
    rhythms = _HEARD_RHYTHMS * -(-rhythm // _MINUTE_MS) if isinstance(rhythm, int) else 0
    return min(max(_HEARD_MIN, rhythms), _HEARD_MAX_MIN)
