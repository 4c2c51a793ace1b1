"""The JSON that Camio calls back with, all eleven types; every person, number and place in it is invented.

The vendor documents two payloads; the other nine are made up here in the shape of these two.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from gateway.event import Json

INCIDENT, DOORS = "incident.created", "pacs.events.created"
TYPES = (
    *("camera.created", "camera.updated", "camera.deleted", "device.deleted", "hook.created", "hook.deleted"),
    *(INCIDENT, DOORS, "zone.created", "zone.updated", "zone.deleted"),
)
# Counter: the value up to which all is well, the value from which Camio speaks of it, and its words.
COUNTERS: Mapping[str, tuple[int, int, str]] = {
    "stream_changed_offline_count": (0, 1, "the stream went offline {value} times."),
    "movies_discarded_count": (0, 1, "{value} movies were thrown away before they were looked at."),
    "events_purged_count": (0, 1, "{value} events were gone before their upload."),
    "movies_purged_count": (0, 1, "{value} movies were gone when they were wanted."),
    "segmentation_process_restart_count": (1, 16, "the stream was fetched anew {value} times in 15 minutes."),
    "upload_queue_length": (99, 100, "{value} movies wait for their upload."),
}
_LABELS = ("entry.ajar.started", "entry.ajar.ended", "entry.forced", "entry.unlocked", "entry.locked")
_PERSONAL = ("email", "user_id", "badge_id", "cardholder_key", "owner", "authorization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """One customer of Camio, and how its callbacks are written."""

    name: str = "pier.example"
    cameras: int = 4
    trailing_comma: bool = False  # as in the sample of the vendor's own document
    canary: str | None = None  # letters and digits that stand in every personal field, to be searched for

    def canaries(self) -> tuple[str, ...]:
        """Give the texts that must appear nowhere unless a person asked for the field."""
        return tuple(self._marked(name, "") for name in _PERSONAL) if self.canary else ()

    def camera(self, number: int) -> str:
        return f"Pier camera {number + 1}"

    def write(self, number: str, kind: str, inner: Mapping[str, Json]) -> bytes:
        """Write a callback with its envelope."""
        user = {
            "email": self._marked("email", "wardens@pier.example"),
            "user_id": self._marked("user_id", "31X7000042"),
        }
        text = json.dumps({"id": number, "type": kind, "data": {"object": {"user": user, **inner}}})
        return (f"{text[:-3]},}}}}}}" if self.trailing_comma else text).encode()

    def incident(self, camera: str, moment: float, values: Mapping[str, int]) -> dict[str, Json]:
        """Write what is wrong with a camera; its sentences are escaped twice, as Camio's are."""
        counters: dict[str, Json] = {
            name: {
                "counter": name,
                "description": sentence(name, value).replace(">", "\\u003e"),
                "value": value,
            }
            for name, value in values.items()
        }
        incident: dict[str, Json] = {
            "camera_name": camera, "counter_events": counters, "date": stamp(moment), "type": "incident",
        }  # fmt: skip
        return {"incident": incident}

    def doors(self, entries: Sequence[Json]) -> dict[str, Json]:
        """Write what an access-control system said."""
        return {"domain": self.name, "source_server": f"doors.{self.name}:443", "events": list(entries)}

    def entry(self, luck: Random, moment: float) -> tuple[dict[str, Json], dict[str, Json]]:
        """Make one entry of an access-control system; give it whole, and the part that is nobody's secret."""
        reader = luck.randint(1, 9)
        what = luck.choice(_LABELS)
        fields: dict[str, Json] = {
            "controller_id": 1,
            "device_id": reader,
            "device_name": f"Roof Reader {reader}",
            "event_type": luck.randint(0, 9),
            "event_subtype": luck.randint(0, 30),
            "serial_number": luck.getrandbits(31),
            "timestamp": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "camio_metadata": {
                "entry_id": f"1_{reader}", "date": stamp(moment), "labels": [what, "integration:onguard"],
            },
        }  # fmt: skip
        if luck.random() < 0.3:
            fields["new_in_this_version"] = {"depth": luck.randint(0, 3), "of": [1, None, True]}
        personal: dict[str, Json] = {
            "badge_id": self._marked("badge_id", "") or luck.randint(1, 9999),
            "cardholder_key": self._marked("cardholder_key", "") or luck.randint(1, 9999),
        }
        return {**personal, **fields}, fields

    def news(self, kind: str, camera: str, luck: Random) -> tuple[dict[str, Json], dict[str, Json]]:
        """Make a callback that the vendor does not document; give it whole, and the part that is kept."""
        topic = kind.partition(".")[0]
        kept: dict[str, Json] = {"name": camera if topic == "camera" else f"{topic} {luck.randint(1, 9)}"}
        whole: dict[str, Json] = {**kept, "owner": self._marked("owner", "Jo Moreau")}
        if topic == "hook":
            whole["headers"] = {"Authorization": self._marked("authorization", "token of nobody")}
        if topic == "zone":
            kept["camera_name"] = whole["camera_name"] = camera
        return {topic: whole}, {topic: kept}

    def _marked(self, name: str, plain: str) -> str:
        if not self.canary:
            return plain
        mark = f"{self.canary}{name.replace('_', '')}"
        return f"{mark}@pier.example" if name == "email" else mark


def sentence(counter: str, value: int) -> str:
    """Say in Camio's manner what a counter means."""
    return f"{value} > {COUNTERS[counter][1] - 1} means that {COUNTERS[counter][2].format(value=value)}"


def stamp(moment: float) -> str:
    """Write an instant as Camio does."""
    seconds, rest = divmod(round(moment * 1000), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}-0000"
