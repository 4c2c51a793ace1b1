"""Zones and their doors for tests, and what the store says about them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, time, tzinfo
from pathlib import Path
from typing import Any

from keeping import rows

from gateway import clock
from gateway.outbox import Drafting, occupancy
from gateway.outbox.connection import open_reader
from gateway.outbox.zoning import Door, Zone, Zoning

HALL = "zone-hall"


def zone(*doors: str, name_of: str = HALL, out: Sequence[str] = (), **more: Any) -> Zone:
    """Make a zone; a door may be "device" or "device/object"."""
    sides = [(door, False) for door in doors] + [(door, True) for door in out]
    made = tuple(
        Door(device, part or None, way) for door, way in sides for device, _, part in [door.partition("/")]
    )
    return Zone(id=name_of, doors=made, **more)


def zoned(*zones: Zone, tz: tzinfo = UTC) -> dict[str, Any]:
    """Give the settings of a store with these zones."""
    return {"zoning": Zoning(zones), "drafting": Drafting(zone=tz)}


def put(outbox: Any, *zones: Zone) -> None:
    """Reload with other zones."""
    outbox.settings = replace(outbox.settings, zoning=Zoning(zones))


def row(directory: Path, name: str = HALL) -> occupancy.Row:
    """Read a zone's row as it is on disk."""
    with closing(open_reader(directory / "gateway.db")) as conn:
        return occupancy.load(conn)[name]


def people(directory: Path, name: str = HALL) -> int:
    return row(directory, name).raw


def told(directory: Path, name: str = HALL) -> list[dict[str, Any]]:
    """Give the data of what was said about a zone, in order."""
    import json

    found = rows(directory, "SELECT body FROM events WHERE device = ? ORDER BY seq", name)
    return [json.loads(body)["data"] for (body,) in found]


FOUR = time(4, 0)
now = clock.now
