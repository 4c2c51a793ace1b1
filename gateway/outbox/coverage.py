"""Which minutes a counter has told about: three masks of 60 bits for each device and UTC hour.

``minutes`` are those of closed windows. A real-time counter pushes only when somebody passes, so its silence
says nothing by itself: ``live`` are the minutes in which it pushed counts, ``beats`` those of its heartbeats.
Setting bits is all that is ever done, so the order in which pushes come makes no difference. What the bits
mean for a day is found out when somebody asks (`gaps.py`).
"""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from gateway import clock
from gateway.event import Json, Kind

HOUR = 60
_MINUTE_MS = 60_000
_LONGEST = 49 * HOUR  # minutes; a window that claims more tells nothing
_PUT = (
    "INSERT INTO coverage (device, hour, minutes, live, beats) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (device, hour) DO UPDATE SET minutes = minutes | excluded.minutes,"
    " live = live | excluded.live, beats = beats | excluded.beats"
    " WHERE (minutes | excluded.minutes, live | excluded.live, beats | excluded.beats) <> (minutes, live, beats)"
)
MINUTES, LIVE, BEATS = range(3)


class Covered(NamedTuple):
    """What one event tells about minutes: from the first up to the one before ``end``, since 1970."""

    mask: int
    first: int
    end: int


def covered(kind: str, data: Mapping[str, Json], time: int, over: int, *, timed: bool) -> Covered | None:
    """Say which minutes an event tells about; None for those that tell about none."""
    if kind == Kind.HEARTBEAT:
        if data.get("mode") != "heartbeat" or not (timed or clock.trusted()):
            return None
        return Covered(BEATS, time // _MINUTE_MS, time // _MINUTE_MS + 1)
    if kind != Kind.COUNT:
        return None
    if data.get("count") in ("running_minute", "increment") or over - time < _MINUTE_MS:
        return Covered(LIVE, time // _MINUTE_MS, time // _MINUTE_MS + 1)
    # Windows that are not cut at full minutes lie side by side all the same: each bound is rounded as its neighbour's.
    first, end = (time + _MINUTE_MS // 2) // _MINUTE_MS, (over + _MINUTE_MS // 2) // _MINUTE_MS
    return Covered(MINUTES, first, end) if end - first <= _LONGEST else None


class Coverage:
    """Gathers the bits of one transaction."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, int], list[int]] = {}

    def add(self, device: str, told: Covered) -> None:
        """Note what an event tells about."""
        first, end = told.first, told.end
        while first < end:
            hour, minute = divmod(first, HOUR)
            count = min(end - first, HOUR - minute)
            bits = self._bits.get((device, hour))
            if bits is None:
                bits = self._bits[device, hour] = [0, 0, 0]
            bits[told.mask] |= ((1 << count) - 1) << minute
            first += count

    def write(self, conn: sqlite3.Connection) -> None:
        """Set the bits, inside the running transaction."""
        if self._bits:
            conn.executemany(_PUT, [(*key, *bits) for key, bits in self._bits.items()])
            self._bits.clear()

    def forget(self) -> None:
        """Drop what was gathered: the transaction was rolled back."""
        self._bits.clear()
