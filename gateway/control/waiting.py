"""Who waits to be adopted and who is ignored, read from the store: the same with the daemon up or down."""

import json
import sqlite3
from typing import Any

from gateway.outbox import decided, rfc3339

_DEVICES = (
    "SELECT device, source, min(received), max(received), count(*), count(DISTINCT push), sum(bytes), max(number)"
    " FROM held GROUP BY device ORDER BY min(number)"
)
_LAST = "SELECT address, path, event FROM held WHERE number = ?"
_SAMPLE_MAX = 160


def waiting(conn: sqlite3.Connection) -> list[dict[str, object]]:
    """List the devices that wait, in the order in which they came."""
    rows = []
    for device, source, first, last, events, pushes, size, number in conn.execute(_DEVICES).fetchall():
        address, path, event = conn.execute(_LAST, (number,)).fetchone()
        said = _read(event)
        stated = said.get("device", {})
        rows.append(
            {
                "device": device,
                "source": source,
                "address": address,
                "path": path,
                "serial": stated.get("serial"),
                "name": stated.get("label"),
                "first": rfc3339(first),
                "last": rfc3339(last),
                "pushes": pushes,
                "events": events,
                "bytes": size,
                "sample": _sample(said),
            }
        )
    return rows


def ignored(conn: sqlite3.Connection) -> list[dict[str, object]]:
    """List the devices and addresses that a person does not want."""
    return [
        {"name": name, "since": rfc3339(at)}
        for name, at in conn.execute(
            "SELECT name, at FROM verdicts WHERE verdict = ? ORDER BY at, name", (decided.IGNORED,)
        )
    ]


def lobby(conn: sqlite3.Connection) -> dict[str, object]:
    """Give all that `gateway adopt` shows and that is on disk."""
    return {"waiting": waiting(conn), "ignored": ignored(conn)}


def named(rows: list[dict[str, object]], name: str) -> list[str]:
    """Find the devices that a person means: by id, else by serial number or name, else by address."""
    for keys in (("device",), ("serial", "name"), ("address",)):
        found = [str(row["device"]) for row in rows if name in [row[key] for key in keys]]
        if found:
            return found
    return []


def _read(event: str) -> dict[str, Any]:
    try:
        said = json.loads(event)
    except ValueError:
        said = None
    return said if isinstance(said, dict) else {}


def _sample(said: dict[str, Any]) -> str:
    """Show in one line what it says, without anything personal."""
    data = said.get("data")
    plain = data if isinstance(data, dict) else {}
    facts = [f"{name} {value}" for name, value in plain.items() if not isinstance(value, dict | list)]
    return f"{said.get('kind')} {said.get('time')}: {', '.join(facts)}"[:_SAMPLE_MAX]
