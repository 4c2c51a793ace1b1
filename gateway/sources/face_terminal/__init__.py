"""The face terminal (SenseTime SenseNebula Pass): records of recognition and passage, and device alarms, as JSON.

No reply of this source holds the letters "pass": a terminal whose settings are mixed up would open its door.
"""

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.reading.json_body import read_json
from gateway.source import Post, Reading, Reply
from gateway.sources.face_terminal.alarms import DESCRIPTION, alarm_event
from gateway.sources.face_terminal.door_request import is_door_request, looks_like_door_request, refusal
from gateway.sources.face_terminal.recognition import is_ours
from gateway.sources.face_terminal.records import PERSONAL, access_event
from gateway.sources.face_terminal.sender import FAMILY, SOURCE
from gateway.sources.face_terminal.unseen import without_picture
from gateway.sources.face_terminal.values import integer, is_blank, is_picture, unknown_names

__all__ = ["FaceTerminal"]

_WRAPPER = frozenset({"type", "data"})
# The document's table says `message`, its example says `msg`: both are sent.
_ACCEPTED = Reply(200, b'{"code":200,"msg":"success","message":"success","data":{}}', "application/json")
# Silence is the only documented reason for a terminal to keep a record and send it again.
_REFUSED = Reply(None)


class FaceTerminal:
    """Reads the pushes of face terminals.

    ``keep_personal`` names the personal fields that stay; with ``keep_pictures`` a picture goes on beside its event.
    """

    name = SOURCE
    family = FAMILY
    max_body_bytes = 2_000_000

    def __init__(self, keep_personal: frozenset[str] = frozenset(), *, keep_pictures: bool = False) -> None:
        self._keep = keep_personal & {*PERSONAL, DESCRIPTION}
        self._keep_pictures = keep_pictures

    def recognises(self, post: Post) -> bool:
        return is_ours(post.body)

    def parse(self, post: Post) -> Reading:
        asked = looks_like_door_request(post.body)
        try:
            body, repaired = self._read(post.body)
        except Unreadable:
            if asked:
                return refusal(post, {})
            raise
        if isinstance(body, dict) and is_door_request(body):
            return refusal(post, body)
        if asked:
            return refusal(post, {})
        if not isinstance(body, dict):
            raise Unreadable("the push is not a JSON object")
        return self._reading(post, body, repaired=repaired)

    def accepted(self, post: Post) -> Reply:  # noqa: ARG002 - the contract of a source
        return _ACCEPTED

    def refused(self, post: Post) -> Reply:  # noqa: ARG002 - the contract of a source
        return _REFUSED

    def _read(self, body: bytes) -> tuple[Json, bool]:
        short = body if self._keep_pictures else without_picture(body)
        try:
            return read_json(short)
        except Unreadable:
            if short is body:
                raise
            return read_json(body)  # so that the reason names the right place

    def _reading(self, post: Post, body: dict[str, Json], *, repaired: bool) -> Reading:
        kind, data = body.get("type"), body.get("data")
        if is_blank(kind):
            raise Unreadable('the push has no "type"')
        number = integer(kind)
        if number is None:
            raise Unreadable('the "type" of the push is not a number')
        if number not in (0, 1):
            raise Unreadable(f"type {number} is unknown")
        if not isinstance(data, dict):
            raise Unreadable('the "data" of the push is missing or is not an object')
        extra = unknown_names(body.keys(), _WRAPPER)
        if number == 1:
            event = alarm_event(post, data, repaired=repaired, keep=self._keep, extra=extra)
        else:
            event = access_event(post, data, repaired=repaired, keep=self._keep, extra=extra)
        stated = data.get("alarm_photo" if number == 1 else "rgb_image")
        masked = str(stated).startswith("<")  # in a letter that is read again; Base64 has no such letter
        if self._keep_pictures and is_picture(stated) and not masked:
            return Reading((event,), pictures={event.id: str(stated)})
        return Reading((event,))
