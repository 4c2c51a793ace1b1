"""The JSON that face terminals push, by firmware; every person, number and picture in it is invented.

A picture is random bytes between the marks of a JPEG: like a real one it cannot be compressed.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from gateway.event import Json

FIRMWARES = ("0.0.8", "1.1.0", "1.2.1", "1.3.0")  # by the version of the interface guide
EMPLOYEE, VISITOR, STRANGER, NOT_LIVE, BLACKLIST = 1, 2, 3, 4, 5
PERSONS: Mapping[int, str] = {
    EMPLOYEE: "employee",
    VISITOR: "visitor",
    STRANGER: "stranger",
    NOT_LIVE: "not_live",
    BLACKLIST: "blacklist",
}
_JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_NAMES = (
    "Ana Prado",
    "Zoë Lindqvist",
    "Jürgen Öz",
    "陈小雨",
    "Íris Maçã",
    'O\'Neil "Bo" Tan',
    "Ваня",
    "サキ",
)
_PERSONAL = ("name", "user_id", "ic_number", "job_number", "id_number", "remark", "pin", "group", "picture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """What one terminal writes, and how."""

    version: str = "1.3.0"
    trailing_comma: bool = False  # as in the sample of the vendor's own document
    picture_bytes: int = 45_000
    canary: str | None = None  # letters and digits that stand in every personal field, to be searched for

    @property
    def has_uuid(self) -> bool:
        return self.version >= "1.2.1"

    def canaries(self) -> tuple[str, ...]:
        """Give the texts that must appear nowhere unless a person asked for the field."""
        return tuple(self._marked(name, "") for name in _PERSONAL) if self.canary else ()

    def headers(self, serial: str, moment: float) -> dict[str, str]:
        """Give the headers of a push; the oldest firmware does not even say that it sends JSON."""
        known = {} if self.version < "1.1.0" else {"Content-Type": "application/json"}
        if self.version >= "1.2.1":
            known |= {"sn": serial, "model": "SIM-7", "timestamp": str(int(moment)), "account": "admin"}
        return known

    def record(self, person: "Passage") -> bytes:
        """Write a recognition (type 0)."""
        data: dict[str, Json] = {
            "deviceSN": person.serial,
            "recognizeScore": person.score,
            "mask": 1,
            "mode": 0,
            "rgb_image": self._picture(person.seed),
            "pass": person.allowed,
            "timestamp": person.time,
            "user": self._user(person),
        }
        if self.version >= "1.1.0":
            data |= {"recognitionType": person.kind, "bodyTemperature": 36.4}
        if self.has_uuid:
            data["uuid"] = person.uuid
        if self.version >= "1.3.0":
            data |= {"entry_mode": 1, "abnormal_type": person.abnormal}
        return self._push(0, data)

    def alarm(self, step: "AlarmStep") -> bytes:
        """Write one step of an alarm (type 1); only a raised alarm states its code."""
        data: dict[str, Json] = {"trace_id": step.trace_id, "description": " "}
        if step.status == 1:
            data["code"] = step.code
        else:
            data["user_id"] = 1_000_000_000_001  # a long here, a string in records
        data |= {
            "event_time": step.time_ms,
            "status": step.status,
            "alarm_photo": self._picture(step.trace_id),
        }
        return self._push(1, data)

    def _user(self, person: "Passage") -> Json:
        if person.kind in (STRANGER, NOT_LIVE):
            nobody: Json = {"name": None, "type": None, "user_id": "", "groups": []}
            return nobody if Random(person.seed).random() < 0.8 else None
        number, visitor = person.number, person.kind == VISITOR
        blacklisted = BLACKLIST if self.version >= "1.3.0" else 3
        user: dict[str, Json] = {
            "name": self._marked("name", _NAMES[number % len(_NAMES)]),
            "user_id": self._marked("user_id", str(number)) if self.has_uuid else number,
            "type": blacklisted if person.kind == BLACKLIST else person.kind,
            "guest_time_start": person.time * 1000 - 3_600_000 if visitor else 0,
            "guest_time_end": person.time * 1000 + 3_600_000 if visitor else 0,
            "remark": self._marked("remark", ""),
        }
        if self.has_uuid:
            group = self._marked("group", "staff")
            user |= {
                "ic_number": self._marked("ic_number", f"{number:08}"),
                "groups": [{"id": "3", "name": group}],
            }
            user |= {
                "job_number": self._marked("job_number", f"J{number}"),
                "id_number": self._marked("id_number", ""),
            }
        if self.version >= "1.3.0":
            user["pin"] = self._marked("pin", "")
        return user

    def _marked(self, name: str, plain: str) -> str:
        return f"{self.canary}{name.replace('_', '')}" if self.canary else plain

    def _picture(self, seed: str) -> str:
        if not self.picture_bytes:
            return " "
        size = max(self.picture_bytes // 3 * 3, 21)  # whole groups of base64, so that more can follow
        noise = Random(f"picture {seed}").randbytes(size - len(_JPEG_HEAD))
        coded = base64.b64encode(_JPEG_HEAD + noise).decode()
        mark = self._marked("picture", "")
        return coded + mark + "A" * (-len(mark) % 4) + "/9k="

    def _push(self, kind: int, data: Mapping[str, Json]) -> bytes:
        text = json.dumps({"type": kind, "data": data}, ensure_ascii=False)
        return (f"{text[:-2]},\n}}\n}}" if self.trailing_comma else text).encode()


@dataclass(frozen=True, slots=True)
class Passage:
    """Somebody in front of a terminal."""

    serial: str
    time: int  # Unix seconds
    kind: int
    number: int  # of the user
    allowed: bool
    abnormal: int
    score: float
    uuid: str

    @property
    def seed(self) -> str:
        return self.uuid


@dataclass(frozen=True, slots=True)
class AlarmStep:
    """An alarm that is raised (1), could not be cleared (2), or is cleared (3)."""

    trace_id: str
    time_ms: int
    status: int
    code: int
