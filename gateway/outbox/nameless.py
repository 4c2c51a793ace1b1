"""Take out of what an event states everything that a person can be known by."""

import json
from dataclasses import replace
from typing import Any

from gateway.outbox.entry import Entry, Flag, dumps


def entry_without_person(entry: Entry) -> Entry:
    """Give an entry as it is once its person was erased."""
    return replace(
        entry, personal=None, body=body_without_person(entry.body), flags=entry.flags | Flag.ERASED
    )


def body_without_person(body: str) -> str:
    """Take out of a body the reference to a picture and the device's own words."""
    fields = json.loads(body)
    return dumps(fields | {"data": data_without_person(fields["data"])})


def data_without_person(data: dict[str, Any]) -> dict[str, Any]:
    """Do the same with the data of an event."""
    left = {name: value for name, value in data.items() if name != "picture_sha256"}
    if len(left) < len(data):
        left["picture"] = "erased"
    if "description" in left:
        left["description"] = ""
    return left
