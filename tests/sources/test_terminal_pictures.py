"""What the face terminal's source hands on of pictures and persons, and what a masked letter gives when it is read again."""

import json
from datetime import UTC, datetime

import pytest

from gateway.redact import redact_body
from gateway.source import Post
from gateway.sources.face_terminal import FaceTerminal
from gateway.sources.face_terminal.records import PERSONAL

SHOT = "/9j/" + "A" * 2000
LISTING = FaceTerminal(frozenset({"description"}))
KEEPING = FaceTerminal(frozenset(PERSONAL), keep_pictures=True)


def post(body: bytes) -> Post:
    at = datetime(2025, 11, 3, 8, 15, 2, tzinfo=UTC)
    return Post(method="POST", path="/", body=body, address="192.0.2.9", received_at=at)


def record(picture: object = SHOT, **user: object) -> bytes:
    data = {
        "deviceSN": "S1",
        "uuid": "u",
        "pass": True,
        "timestamp": 1762157700,
        "rgb_image": picture,
        "mask": 2,
    }
    return json.dumps(
        {"type": 0, "data": {**data, "user": {"user_id": "7", "name": "Li", "remark": "x", **user}}}
    ).encode()


def alarm(picture: object = SHOT) -> bytes:
    data = {"trace_id": "t", "code": 10001, "event_time": 1762157700123, "status": 1, "alarm_photo": picture}
    return json.dumps({"type": 1, "data": data}).encode()


@pytest.mark.parametrize("make", [record, alarm])
def test_a_picture_goes_on_beside_its_event_only_when_wanted(make):
    """With the option the text of the picture comes under the id of its event, without it nothing does."""
    reading = KEEPING.parse(post(make()))
    (event,) = reading.events
    assert {event.id: SHOT} == reading.pictures
    assert "present" == event.data["picture"]
    assert SHOT not in json.dumps([event.data, event.personal])
    plain = FaceTerminal().parse(post(make()))
    assert ({}, reading.events[0].data) == (plain.pictures, plain.events[0].data)


@pytest.mark.parametrize("make", [record, alarm])
@pytest.mark.parametrize("stub", ["", " ", "/9k=", None, 7])
def test_a_stub_is_no_picture(make, stub):
    """What terminals send in the place of a picture that they did not take gives none."""
    reading = KEEPING.parse(post(make(stub)))
    assert ({}, "none") == (reading.pictures, reading.events[0].data.get("picture", "none"))


def test_a_masked_letter_that_is_read_again_names_nobody():
    """The masks of a letter are no user id, no name and no picture; the fact is the same."""
    whole = KEEPING.parse(post(record(groups=[{"id": 1, "name": "g"}], guest_time_start=1762157700123)))
    again = KEEPING.parse(
        post(redact_body(record(groups=[{"id": 1, "name": "g"}], guest_time_start=1762157700123)))
    )
    assert {} == again.events[0].personal
    assert {} == again.pictures
    assert (whole.events[0].id, whole.events[0].data) == (again.events[0].id, again.events[0].data)


def test_an_alarm_loses_the_login_in_its_words():
    """A description may quote the address of a camera; its login does not go into the event."""
    body = alarm().replace(b'"status"', b'"description": "lost rtsp://u:CaNaRy@10.0.0.9/1", "status"')
    assert "lost rtsp://***@10.0.0.9/1" == LISTING.parse(post(body)).events[0].personal["description"]
