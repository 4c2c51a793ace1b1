"""Take out of a restored store who was erased since its backup, as far as the store that it replaces tells."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.outbox import connection, erasing
from gateway.outbox.entry import Flag

_ERASED = "SELECT DISTINCT id FROM events WHERE flags & ?"


@dataclass(frozen=True, slots=True)
class Gone:
    """What was taken out again."""

    events: int
    pictures: list[str]


def erase_again(conn: sqlite3.Connection, replaced: Path) -> Gone:
    """Strip the entries that are stripped in the store here, inside the running transaction."""
    with closing(connection.open_reader(replaced / connection.FILE_NAME)) as old:
        erased = {row[0] for row in old.execute(_ERASED, (Flag.ERASED,))}
    if not erased:
        return Gone(0, [])
    return Gone(*erasing.erase_events(conn, erased))
