"""The store on disk: can it be read, is a damaged one left, how old is what waits in it."""

import os
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path

from gateway import foreign
from gateway.control import views
from gateway.doctor.box import Box, Check, hindered, there, untold, well, wrong
from gateway.doctor.finding import Finding
from gateway.errors import StoreUnavailable
from gateway.outbox import StoreDamaged, connection, damage, opening, reading, salvage
from gateway.outbox.damage import READ_ERRORS

NAME, BACKLOG, LEFT, PICTURES = "store", "backlog", "damaged store", "pictures"
NOTE = "salvaged.txt"  # the daemon writes down what became of a damaged store
_ROWS = 200
_OLD_S = 3600.0
_MIB = 1 << 20
# They say why a sink does not take what waits; that it waits is no second fault then.
_OF_SINKS = ("mqtt_", "https_", "sink_", "name_", "certificate_", "tls_", "config_")


def look_at_store(box: Box) -> Iterable[Finding]:
    """Read the head of the file and its last rows; the whole file is for the start after a crash."""
    folder = box.config.store.path
    path = folder / connection.FILE_NAME
    if not there(folder) or (_may_enter(folder) and not there(path)):
        yield untold(NAME, f"There is no store in {folder} yet: the gateway has not run here.")
        return
    if not _may_read(folder, path):
        yield hindered(NAME, f"This user may not read {path}: run the command with sudo.")
        return
    if (why := damage.marked(folder)) is not None:
        yield wrong(NAME, "store_damaged", f"The store is damaged ({why}).")
        return
    try:
        yield well(NAME, _read(folder))
    except (StoreUnavailable, *READ_ERRORS) as error:
        if isinstance(error, StoreDamaged) or _is_damage(error):
            yield wrong(NAME, "store_damaged", f"The store in {folder} cannot be read: {_reason(error)}.")
        else:
            yield wrong(NAME, "store_failed", f"The store in {folder} cannot be read now: {_reason(error)}.")


def _is_damage(error: BaseException) -> bool:
    return any(damage.is_unreadable(one) for one in (error, error.__cause__) if one is not None)


def _reason(error: BaseException) -> str:
    return str(error.__cause__ or error).rstrip(".")


def _read(folder: Path) -> str:
    with reading.looking(folder) as conn:
        head, received = reading.head(conn), reading.received(conn)
        conn.execute("PRAGMA schema_version").fetchone()
        reading.sinks(conn)  # each has a sum beside it, and is checked by it
        rows = reading.checked_entries(conn, head - _ROWS, head)
    return (
        f"It can be read; {received} events received so far, the last {len(rows)} are as they were written."
    )


def _may_enter(folder: Path) -> bool:
    return os.access(folder, os.X_OK)


def _may_read(folder: Path, path: Path) -> bool:
    return _may_enter(folder) and os.access(path, os.R_OK)


def look_at_damaged(box: Box) -> Iterable[Finding]:
    """Say whether a damaged store was set aside and lies there still."""
    yield left_behind(box.config.store.path)


def left_behind(directory: Path) -> Finding:
    """Say what is known of a damaged store that was set aside; also the daemon's fault."""
    try:
        kept = salvage.kept_beside(directory)
    except OSError:  # the disk is away
        return hindered(LEFT, f"{directory} cannot be looked into.")
    if not kept:
        return well(LEFT, "There is none: no store was ever damaged here, or what was is taken away.")
    try:
        said = foreign.note(directory / NOTE)
    except OSError:
        said = ""
    if kept[-1].name not in said:  # the note of an earlier one, or none
        said = f"The store was damaged, and was moved to {kept[-1].name}; how much was lost is not known any more."
    return wrong(LEFT, "store_salvaged", said)


def look_at_backlog(box: Box) -> Iterable[Finding]:
    """Say how old the oldest event is that each sink still has to get."""
    try:
        with reading.looking(box.config.store.path) as conn:
            accounts = views.sink_accounts(conn)
    except (StoreUnavailable, *READ_ERRORS):
        return  # the check of the store says why
    in_trouble = _in_trouble(box.told)
    for account in accounts:
        name = str(account["name"])
        section = box.config.sinks.get(name)
        if section is None or not section.enabled:
            continue
        waiting, oldest = account["waiting"], account["oldest_waiting_s"]
        if not isinstance(oldest, float) or oldest < _OLD_S:
            yield well(BACKLOG, f"{waiting} events wait for sink {name}.", name)
        elif name in in_trouble:
            yield well(BACKLOG, f"{waiting} events wait for sink {name}, because of its fault.", name)
        else:
            old = timedelta(seconds=round(oldest))
            yield wrong(
                BACKLOG, "sink_behind", f"{waiting} events wait for sink {name}, the oldest for {old}.", name
            )


def _in_trouble(told: Mapping[str, object] | None) -> set[str]:
    """Name the sinks that have a fault of their own, as the daemon tells."""
    faults = (told or {}).get("faults")
    rows = [fault for fault in faults if isinstance(fault, Mapping)] if isinstance(faults, list) else []
    return {str(row["subject"]) for row in rows if str(row.get("code", "")).startswith(_OF_SINKS)}


def look_at_pictures(box: Box) -> Iterable[Finding]:
    """Say how much of their room the pictures take."""
    section = box.config.pictures
    if not section.keep:
        yield well(PICTURES, "None are kept (pictures.keep).")
        return
    try:
        with reading.looking(box.config.store.path) as conn:
            count, size = conn.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM pictures").fetchone()
    except (StoreUnavailable, *READ_ERRORS):
        return
    most = section.max_bytes // _MIB
    yield well(
        PICTURES, f"{count} are kept, {size // _MIB} of {most} MiB; the oldest go after {section.days} days."
    )


def open_store(box: Box) -> sqlite3.Connection | None:
    """Give a connection that reads, or None where that cannot be: the check of the store says why."""
    path = box.config.store.path / connection.FILE_NAME
    if not there(path):
        return None
    try:
        return connection.open_reader(path)
    except sqlite3.Error:
        return None


def runs_as(box: Box) -> int | None:
    """Give the user who runs the gateway: of its process, else of the unit's directory."""
    process = opening.holder(box.config.store.path)
    text = None if process is None else box.read(f"proc/{process}/status")
    line = next((one for one in (text or "").splitlines() if one.startswith("Uid:")), None)
    return None if line is None else int(line.split()[2])  # the effective one


CHECK = Check(NAME, look_at_store, frozenset({"store_damaged", "store_failed"}))
DAMAGED = Check(LEFT, look_at_damaged, frozenset({"store_salvaged"}))
WAITING = Check(BACKLOG, look_at_backlog, frozenset({"sink_behind"}), cheap=True, looks=2)
KEPT = Check(PICTURES, look_at_pictures, frozenset())
