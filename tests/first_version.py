"""A store as the first version of its tables had it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from keeping import FILE_NAME
from sqlite_utils import Database, Migrations

from gateway.outbox import versions

_SHARED = ("events", "sinks", "arrears", "letters", "devices", "tallies", "meta")


def as_first_version(directory: Path) -> None:
    """Write the same store with the tables of the first migration alone."""
    path = directory / FILE_NAME
    new = path.rename(path.with_suffix(".new"))
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        migrations = Migrations("gateway")
        migrations(name="0001_first")(versions.first)
        migrations.apply(Database(conn, execute_plugins=False))
        conn.execute("PRAGMA user_version=1")
        conn.execute("ATTACH ? AS new", (str(new),))
        for table in _SHARED:
            names = ", ".join(column[1] for column in conn.execute(f"PRAGMA main.table_info({table})"))
            conn.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
        conn.execute("DELETE FROM main.meta WHERE key = 'schema'")  # what later versions remember
    new.unlink()
