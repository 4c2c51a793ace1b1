"""What the store says of itself, read without disturbing anybody: tables, how many rows, how large the files are."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gateway import clock
from gateway.config import Config
from gateway.control import views
from gateway.control.accounts import audit
from gateway.control.client import Client, DaemonDown
from gateway.outbox import schema, site_zone
from gateway.outbox.reading import looking

_COUNT_S = 3.0  # of one table: a card reads a large one in minutes
_STEPS = 100_000  # of SQLite's machine, between two looks at the clock
_LETTER = "SELECT stage, count(*), coalesce(sum(length(body)), 0) FROM letters GROUP BY stage"
T = TypeVar("T")


def asked(config: Config, path: str, from_store: Callable[[sqlite3.Connection], T]) -> object:
    """Ask the running gateway, else read what it left on disk; raises `GatewayError` when neither can be had."""
    try:
        told = Client(config.socket, timeout_s=_COUNT_S).get(path)
    except DaemonDown:
        with looking(config.store.path) as conn:
            return from_store(conn)
    return told.get("done", told)


def account(config: Config) -> object:
    """Give the account of each sink and device, held against the log."""
    return asked(config, "/read/account", audit)


def sinks(config: Config) -> object:
    """Give each sink's account; without counting the log, which may take minutes."""
    with looking(config.store.path) as conn:
        return views.sink_accounts(conn)


def devices(config: Config) -> object:
    """Give the state of every device."""
    zone = site_zone(config.site.zone)
    return asked(config, "/read/devices", lambda conn: views.device_states(conn, zone))


def letters(config: Config) -> object:
    """Give what could not be read or delivered: when, from where and why, and nothing of what it was."""
    return asked(config, "/read/letters", views.letter_rows)


def store(config: Config) -> dict[str, object]:
    """Give the tables, as far as they can be counted in time."""
    with looking(config.store.path) as conn:
        tables = conn.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        ours = [(kind, name, sql) for kind, name, sql in tables if name in schema.NAMES]
        return {
            "pragmas": {name: conn.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS},
            "tables": {
                name: {"rows": _count(conn, name), "sql": sql} for kind, name, sql in ours if kind == "table"
            },
            "indexes": {name: sql for kind, name, sql in ours if kind == "index"},
            "letters": [
                {"stage": stage, "count": count, "bytes": size}
                for stage, count, size in conn.execute(_LETTER)
            ],
            "polls": [{"name": name, "at_ms": at} for name, at in conn.execute("SELECT name, at FROM polls")],
        }


_PRAGMAS = ("user_version", "page_size", "page_count", "freelist_count", "journal_mode", "auto_vacuum")


def _count(conn: sqlite3.Connection, table: str) -> int | None:
    """Count the rows; None when that takes too long."""
    end = clock.steady() + _COUNT_S
    conn.set_progress_handler(lambda: clock.steady() > end, _STEPS)
    try:
        return int(conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours
    except sqlite3.OperationalError:
        return None
    finally:
        conn.set_progress_handler(None, 0)


def files(folder: Path) -> list[dict[str, object]]:
    """List what lies in the folder of the store: of folders in it only how much."""
    rows: list[dict[str, object]] = []
    for path in sorted(folder.iterdir()):
        stat = path.lstat()
        row: dict[str, object] = {"name": path.name, "bytes": stat.st_size, "mode": f"{stat.st_mode:o}"}
        row |= {"uid": stat.st_uid, "gid": stat.st_gid, "changed_ms": int(stat.st_mtime * 1000)}
        if path.is_dir() and not path.is_symlink():
            inside = [one.stat().st_size for one in os.scandir(path) if one.is_file(follow_symlinks=False)]
            row |= {"files": len(inside), "bytes": sum(inside)}
        rows.append(row)
    return rows
