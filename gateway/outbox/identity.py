"""The id that this store was last spoken of by: it stays when the host gets another name, and goes along in a backup."""

import re
import sqlite3

from gateway.outbox import statements

META = "gateway_id"
_SLUG = re.compile(r"[a-z0-9_-]{1,64}")


def spoken(conn: sqlite3.Connection) -> str | None:
    """Give the id by which the far ends know this gateway; None when it has not spoken to any, or damage took it."""
    row = conn.execute(statements.GET_META, (META,)).fetchone()
    return str(row[0]) if row and _SLUG.fullmatch(str(row[0])) else None


def remember(conn: sqlite3.Connection, gateway: str) -> None:
    """Note the id by which it speaks from now on."""
    conn.execute(statements.PUT_META, (META, gateway))
