"""A store in which millions of events wait: few are made by the gateway itself, and these are multiplied in the file."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from gateway.outbox.sums import CHECKED_COLUMNS, of_event

_FILL = Path(__file__).parents[2] / "bench" / "fill.py"
DEVICES = 100
_SEED = 2_000  # events, twenty minutes of each device
_MINUTES = _SEED // DEVICES
# The next minutes of the same devices: every id, number and instant is another one, in the form that the source gives.
_MULTIPLY = (
    f"INSERT INTO events ({CHECKED_COLUMNS}) SELECT *, sum_of(seq, id, revision, kind, device, device_seq, time, received,"
    " flags, body, personal) FROM (SELECT seq + ?1 AS seq,"
    " substr(id, 1, length(id) - 31) || (CAST(substr(id, -31, 10) AS INTEGER) + ?2) || substr(id, -21)"
    " AS id, revision, kind, device, device_seq + ?3 AS device_seq,"
    " time + 1000 * ?2 AS time, received, flags, body, personal"
    " FROM events WHERE seq <= ?4 ORDER BY seq)"
)


def begin(store: Path) -> int:
    """Have the gateway's own code make the first events of an empty store; say when (Unix s) their windows begin."""
    subprocess.run([sys.executable, str(_FILL), str(store), str(_SEED)], check=True)
    with closing(sqlite3.connect(store / "gateway.db")) as conn:
        return int(conn.execute("SELECT min(time) / 1000 FROM events").fetchone()[0])


def multiply(store: Path, events: int) -> dict[int, int]:
    """Have so many wait, while no daemon runs; say how many of each device (its number) there are then."""
    with closing(sqlite3.connect(store / "gateway.db", isolation_level=None)) as conn:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-64000"):
            conn.execute(f"PRAGMA {setting}")  # nothing here has to survive a crash
        seed = conn.execute("SELECT count(*), max(seq) FROM events WHERE kind = 'count'").fetchone()
        assert (_SEED, _SEED) == seed, seed
        conn.create_function("sum_of", 11, of_event, deterministic=True)
        conn.execute("BEGIN")
        for turn in range(1, events // _SEED):
            conn.execute(_MULTIPLY, (turn * _SEED, turn * _MINUTES * 60, turn * _MINUTES, _SEED))
        of_each = conn.execute("SELECT max(seq) FROM events").fetchone()[0] // DEVICES
        conn.execute("UPDATE devices SET events = ?", (of_each,))
        conn.execute("COMMIT")
        conn.execute("PRAGMA journal_mode=WAL")
    return {50_000 + number: of_each for number in range(DEVICES)}
