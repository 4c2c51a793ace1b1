"""The minutes in which unknown devices are taken up as they come: opened by a person, closed by themselves.

A clock that jumps must not leave it open, so it is the steady clock that closes it. That clock begins anew
with each boot of the box; then the clock on the wall decides, if it can be believed.
"""

import json
import math
import sqlite3
from pathlib import Path

from gateway import clock
from gateway.outbox import statements

_KEY = "adoption_window"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
LONGEST_S = 86_400.0


class AdoptionWindow:
    """Whether unknown devices are taken up now because a person said so."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._until = -math.inf  # steady
        self.recall(conn)

    @property
    def left_s(self) -> float:
        """For how long it stays open; 0 when it is closed."""
        return max(self._until - clock.steady(), 0.0)

    def recall(self, conn: sqlite3.Connection) -> None:
        """Read how it stands on disk."""
        row = conn.execute(statements.GET_META, (_KEY,)).fetchone()
        try:
            left_s = _left_s(json.loads(row[0])) if row else 0.0
        except (ValueError, KeyError, TypeError):
            left_s = 0.0  # damaged: who wants it open opens it again
        self._until = clock.steady() + left_s if 0 < left_s <= LONGEST_S else -math.inf

    def put(self, conn: sqlite3.Connection, seconds: float) -> None:
        """Open it for so long from now; 0 closes it."""
        now = clock.now_ms()
        self._until = clock.steady() + seconds if seconds > 0 else -math.inf
        said = {
            "boot": _boot(),
            "steady_until": clock.steady() + seconds,
            "opened": now,
            "until": now + int(seconds * 1000),
        }
        conn.execute(statements.PUT_META, (_KEY, json.dumps(said)))


def _left_s(said: dict[str, float | str]) -> float:
    if said["boot"] and said["boot"] == _boot():
        return float(said["steady_until"]) - clock.steady()
    now, opened = clock.now_ms(), float(said["opened"])
    # A clock that stands before the opening, or that nobody set yet, knows nothing about the end.
    if not clock.trusted() or now < opened:
        return 0.0
    return (float(said["until"]) - now) / 1000


def _boot() -> str:
    """Name this boot of the box: the steady clock counts from it."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""
