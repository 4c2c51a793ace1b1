"""What a letter keeps of a push beside its body, so that the push can be read again."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.outbox import Letter
from gateway.receiver.lettering import head_of, push_of
from gateway.redact import redact_body
from gateway.source import Post
from gateway.sources.face_terminal import FaceTerminal

ALARM = Path(__file__).parent / "fixtures" / "face_terminal" / "alarm_tamper"


def _alarm(**headers: str) -> Post:
    return Post(
        method="POST",
        path="/e",
        headers={"content-type": "application/json", "host": "192.0.2.1", **headers},
        body=(ALARM / "body").read_bytes(),
        address="192.0.2.50",
        received_at=datetime(2025, 11, 3, 8, 15, 2, tzinfo=UTC),
    )


def _letter_of(post: Post) -> Letter:
    return Letter(
        number=1,
        stage="parse",
        sink="",
        sender=post.address,
        reason="the gateway failed on it (KeyError)",
        received=int(post.received_at.timestamp() * 1000),
        retry=False,
        head=json.loads(json.dumps(head_of(post, "face_terminal", "devices"))),
        body=redact_body(post.body),
    )


@pytest.mark.parametrize("serial", ["PSC70000000000042", "PSC7" * 100, "psc7\x85 42"])
def test_an_alarm_that_is_read_again_is_the_same_fact(serial):
    """The serial number of an alarm stands in a header alone: a letter keeps it, with the model and the time of sending."""
    pushed = _alarm(sn=serial, model="SN-7", timestamp="1762157701000")
    (event,) = FaceTerminal().parse(pushed).events
    (again,) = FaceTerminal().parse(push_of(_letter_of(pushed), None, ())).events
    assert event == again
    assert "SN-7" == again.device.hardware
    assert again.sent_at is not None


def test_a_letter_keeps_few_headers_and_little_of_them():
    """Other headers may hold secrets, and nothing of a stranger's stands in a letter without a bound."""
    headers = head_of(_alarm(sn="x" * 5000, model="a\x07b", cookie="CaNaRy"), None, "devices")["headers"]
    assert {"sn": "x" * 128, "model": "a b"} == headers


@pytest.mark.parametrize("headers", [None, [], "sn", {"sn": 7, "cookie": "x"}])
def test_a_letter_of_an_older_version_goes_on_without_headers(headers):
    """Where a letter holds no headers, or none that can be, the push is made without them."""
    letter = _letter_of(_alarm(sn="PSC70000000000042"))
    older = replace(letter, head={**letter.head, "headers": headers})
    assert {"content-type": "application/json"} == push_of(older, None, ()).headers
