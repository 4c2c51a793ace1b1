"""How much room the store and its disk have left."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from gateway.outbox import ballast, disk

# Kept free below the hard bound for cursors, letters and removals: they must work when appending must not.
RESERVE_SHARE = 0.05
# Housekeeping begins this much earlier, so that a store which is full of settled events never refuses one.
EARLY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Space:
    """One look at the store and its disk, in bytes."""

    used: int  # pages of the database that hold something
    max_bytes: int
    disk_free: int
    disk_reserve: int
    ballast_given_back: bool = False  # the disk was full, and has had no room for a ballast since

    @property
    def limit(self) -> int:
        """Where appending stops."""
        return int(self.max_bytes * (1 - RESERVE_SHARE))

    @property
    def pressure(self) -> int:
        """Bytes that housekeeping should free, while there is still room."""
        return max(self.used - int(self.max_bytes * (1 - RESERVE_SHARE - EARLY_SHARE)), 0)

    @property
    def shortage(self) -> int:
        """Bytes that must be freed before appending is safe again; 0 when there is room."""
        return max(self.used - self.limit, self.disk_reserve - self.disk_free, 0)

    @property
    def disk_short(self) -> bool:
        """The disk is short, not the store: removing entries gives pages back to the store only."""
        return self.disk_free < self.disk_reserve


def look(
    conn: sqlite3.Connection,
    directory: Path,
    *,
    max_bytes: int,
    min_free_bytes: int,
    ballast_bytes: int = 0,
) -> Space:
    """Measure the room; cheap enough for once a second."""
    pages = (
        conn.execute("PRAGMA page_count").fetchone()[0] - conn.execute("PRAGMA freelist_count").fetchone()[0]
    )
    given_back = ballast_bytes > 0 and ballast.is_given_back(directory)
    return Space(
        used=pages * conn.execute("PRAGMA page_size").fetchone()[0],
        max_bytes=max_bytes,
        disk_free=disk.free(directory),
        # What was given back is for places, removals and erasures: events must not eat it up.
        disk_reserve=max(min_free_bytes, 2 * ballast_bytes) if given_back else min_free_bytes,
        ballast_given_back=given_back,
    )
