"""Take out of a restored store who was erased since its backup, as far as the store that it replaces tells."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.outbox import connection, damage, erasing


@dataclass(frozen=True, slots=True)
class Gone:
    """What was taken out again."""

    anybody: bool  # somebody was erased in the store that is replaced
    events: int = 0
    letters: int = 0
    held: int = 0
    pictures: Sequence[str] = ()


def erase_again(conn: sqlite3.Connection, replaced: Path) -> Gone:
    """Strip what is stripped in the store here, inside the running transaction."""
    try:
        with closing(connection.open_reader(replaced / connection.FILE_NAME)) as old:
            erased = erasing.erased_ids(old)
    except damage.READ_ERRORS:  # what is replaced tells nothing, and may have known somebody
        erased = set()
    if erased is None:
        return Gone(anybody=False)
    erasing.note(conn)
    events, pictures = erasing.erase_events(conn, erased)
    letters, held = erasing.erase_waiting(conn, erased)
    return Gone(anybody=True, events=events, letters=letters, held=held, pictures=pictures)
