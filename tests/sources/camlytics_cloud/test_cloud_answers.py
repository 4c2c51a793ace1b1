"""What an answer that holds nothing means: each way to be wrong has its own fault and sentence."""

import json

import pytest
from cloud_asking import KEYS, NOON

from gateway.errors import PollUnavailable, Unreadable
from gateway.source import Answer
from gateway.sources.camlytics_cloud.answers import items_of


def answer(status=200, body=None, headers=None) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, headers=headers or {}, body=content, received_at=NOON)


def refusal(*args, **kwargs) -> PollUnavailable:
    with pytest.raises(PollUnavailable) as caught:
        items_of(answer(*args, **kwargs), KEYS)
    return caught.value


def said(msg: str, code=1) -> dict:
    return {"msg": msg, "result": None, "code": code}


@pytest.mark.parametrize(
    ("status", "body", "fault", "words"),
    [
        (200, said("Something broke", 17), "camlytics_cloud_error", 'code 17): "Something broke"'),
        (200, said("Nonce must be greater than previous one"), "camlytics_cloud_nonce", "same API key"),
        (400, said("Nonce must be greater than previous one"), "camlytics_cloud_nonce", "same API key"),
        (200, said("Wrong signature"), "camlytics_cloud_login", "secret key"),
        (401, b"", "camlytics_cloud_login", "does not accept the API key"),
        (403, said("no"), "camlytics_cloud_login", '"no"'),
        (429, b"", "camlytics_cloud_busy", "HTTP 429"),
        (503, b"<html>", "camlytics_cloud_busy", "HTTP 503"),
        (404, b"<html>", "camlytics_cloud_error", "no Camlytics cloud API"),
        (302, b"", "camlytics_cloud_error", "redirect"),
        (500, said("oops"), "camlytics_cloud_error", 'HTTP 500): "oops"'),
        (200, said("odd", "zero"), "camlytics_cloud_error", "code zero"),
        (200, said("odd", False), "camlytics_cloud_error", "code unknown"),
    ],
)
def test_each_refusal_has_its_fault(status, body, fault, words):
    """The fault and the vendor's own words tell the ways of being wrong apart."""
    error = refusal(status, body)
    assert fault == error.fault
    assert words in str(error)


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("7", 7.0),
        ("999999", 3600.0),
        ("Tue, 05 May 2026 12:00:30 GMT", 30.0),
        ("Tue, 05 May 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_honoured(wish, seconds):
    """Seconds and dates are understood, bounded by an hour; nonsense is no wish."""
    assert seconds == refusal(429, b"", {"retry-after": wish}).retry_after_s


def test_the_vendors_text_is_masked_and_bounded():
    """Neither key, nor what looks like a signature or hash, nor control characters leave in a sentence."""
    text = f"key {KEYS.public} sign {'ab12' * 32} secret {KEYS.secret}\x1b[31m " + "x y " * 200
    error = str(refusal(200, said(text)))
    for hidden in (KEYS.public, KEYS.secret, "ab12ab12", "\x1b"):
        assert hidden not in error
    assert len(error) < 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"result": []}',
        b'{"code": 0}',
        b'{"code":0,"result":{}}',
        b'{"code":0,"result":[1]}',
    ],
)
def test_an_answer_of_something_else_is_unreadable(body):
    """A page of a hotel's login, an empty answer and another API are no empty list."""
    with pytest.raises(Unreadable):
        items_of(answer(200, body), KEYS)


def test_no_result_is_an_empty_list():
    """A result of null with code 0 is a list without items."""
    assert ([], False) == items_of(answer(200, {"msg": "success", "result": None, "code": 0}), KEYS)


def test_a_broken_answer_is_mended_and_marked():
    """A trailing comma changes no value: the items are read, and marked as repaired."""
    items, repaired = items_of(answer(200, b'{"code": 0, "result": [{"id": 1},]}'), KEYS)
    assert ([{"id": 1}], True) == (items, repaired)


def test_a_long_refusal_is_not_read(monkeypatch):
    """Megabytes that come with an error are not looked at for the cloud's own words."""
    monkeypatch.setattr(
        "gateway.sources.camlytics_cloud.answers.read_json", lambda _: pytest.fail("it is read")
    )
    error = refusal(500, b'{"msg":"oops","x":[' + b"0," * 100_000 + b"0]}")
    assert "HTTP 500)." in str(error)
