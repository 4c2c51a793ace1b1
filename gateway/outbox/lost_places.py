"""Remembers that a rescue lost places of sinks, until the log no longer reaches back to it.

A sink without a place is a new one, or one whose place was lost: nobody can tell. It may come back long after the
start that saved the store, so what it may be owed is kept for it, and sent: twice is better than never.
"""

import sqlite3

from gateway.outbox import statements

META = "places_lost"


def note(conn: sqlite3.Connection, first: int) -> None:
    """Remember the loss by the first number that is given out behind it."""
    conn.execute(statements.PUT_META, (META, str(first)))


def matter(conn: sqlite3.Connection) -> bool:
    """Say whether a sink without a place may be owed what the log holds, or will hold."""
    noted = conn.execute(statements.GET_META, (META,)).fetchone()
    if noted is None:
        return False
    oldest = conn.execute(statements.FIRST_SEQ).fetchone()[0]
    # What the disk has damaged still says that there was a loss.
    return oldest is None or not noted[0].isdecimal() or bool(oldest <= int(noted[0]))
