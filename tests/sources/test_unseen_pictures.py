"""A picture that is dropped is cut out of the body before it is read; what is read stays the same."""

import base64
import json
from datetime import UTC, datetime

import pytest

from gateway.errors import Unreadable
from gateway.source import Post
from gateway.sources.face_terminal import FaceTerminal
from gateway.sources.face_terminal.unseen import without_picture

PICTURE = base64.b64encode(bytes(range(256)) * 40).decode()


def record(picture=PICTURE, **more):
    data = {"deviceSN": "T1", "uuid": "u-1", "timestamp": 1_790_000_000, "rgb_image": picture, "pass": True}
    return {"type": 0, "data": {**data, **more}}


def post(body):
    now = datetime(2026, 11, 21, tzinfo=UTC)
    return Post(method="POST", path="/", body=body, address="192.0.2.1", received_at=now)


def read(body, **how):
    """Read a body; what it means, or why it means nothing."""
    try:
        return FaceTerminal(**how).parse(post(body)).events
    except Unreadable as reason:
        return str(reason)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_record_says_the_same_without_its_picture(indent):
    """The events of a record are the same whether its picture was read or cut out, and it is cut out."""
    body = json.dumps(record(), indent=indent, ensure_ascii=False).encode()
    assert len(without_picture(body)) < len(body) - 10_000
    assert read(body, keep_pictures=True) == read(body)
    assert "present" == read(body)[0].data["picture"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(record(PICTURE[:300] + "\\" + PICTURE)).encode(),
        json.dumps(record(PICTURE[:300] + "é" + PICTURE), ensure_ascii=False).encode(),
        json.dumps(record(PICTURE[:300] + "é" + PICTURE), ensure_ascii=False).encode("latin-1"),
        json.dumps(record()).replace('"pass"', f'"rgb_image": "{PICTURE}", "pass"').encode(),
        json.dumps(record()).replace('"pass"', f'"rgb_image": "{PICTURE[:300]}", "pass"').encode(),
        json.dumps(record()).encode("utf-16"),
        json.dumps(record("A" * 200 + " " + PICTURE)).encode(),
        json.dumps(record()).encode()[:9_000],
        b'"rgb_image":"' + PICTURE.encode(),
        json.dumps(record(user={"name": f'{{"rgb_image":"{PICTURE}"}}'})).replace(PICTURE, "x", 1).encode(),
    ],
)
def test_a_doubtful_picture_is_left_to_the_reader(body):
    """Where a picture ends, or whether it is one, is never guessed: such a body stays as it is, and means the same."""
    assert body == without_picture(body)


def test_a_name_that_only_ends_like_a_picture_is_kept():
    """What is cut is the value of the picture's own name: other long values are read to their end."""
    body = json.dumps(record(remark=PICTURE, rgb_image2=PICTURE)).encode()
    assert 2 == without_picture(body).count(PICTURE.encode())
    assert read(body, keep_pictures=True) == read(body)
