"""A capture shows how a device speaks and nothing of whom: canaries in every field that is not on the list."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.masking import masked, masked_words

CANARY = b"Canary"
FIXTURES = Path(__file__).parent / "fixtures"
RECORD = {
    "type": 0,
    "data": {
        "deviceSN": "SPT1",
        "recognitionType": 1,
        "uuid": "0b9f6c1e-5a43-4d2e-9c10-3f2a7d5b6e01",
        "pass": True,
        "mode": 1,
        "entry_mode": 1,
        "abnormal_type": 0,
        "timestamp": 1761991200,
        "rgb_image": "Canary" * 300,
        "recognizeScore": 0.987654321,
        "bodyTemperature": 36.987654321,
        "mask": 2987654321,
        "user": {
            "name": "Canary Jane",
            "user_id": "Canary-77",
            "type": 1,
            "ic_number": "Canary1",
            "job_number": 987654321,
            "id_number": "Canary2",
            "guest_time_start": 987654321000,
            "guest_time_end": 987654321001,
            "remark": "Canary\\u00e9",
            "pin": "Canary4",
            "groups": [{"id": "Canary5", "name": "Canary6", "Canary Key 7": [987654321]}],
            "nickname of Canary": "Canary8",
        },
        "newField": "Canary9",
        "friends": ["Canary10", {"deep": {"deeper": ["Canary11", 987654321]}}],
    },
}
ALARM = {
    "type": 1,
    "data": {
        "trace_id": "SPX-1",
        "code": 10003,
        "status": 1,
        "event_time": 1684381418208,
        "user_id": "Canary",
        "description": "opened by Canary",
        "alarm_photo": "Canary" * 100,
    },
}
XML = b"""<?xml version="1.0" encoding="utf-8"?>
<!-- Canary --><RTMetrics SiteId="s7" SiteName="Pier" DeviceId="door-2" DeviceName="Door 2" Owner="Canary1">
<Properties><Version>1</Version><TransmitTime>1761991245</TransmitTime><SerialNumber>2000</SerialNumber>
<WifiSSID>Canary2</WifiSSID><WifiPassword>Canary3</WifiPassword><Operator>Canary4</Operator>
<Unknown><![CDATA[Canary5]]></Unknown></Properties>
<ReportData Interval="1"><Report Date="2025-11-01"><Object Id="0" ObjectType="0" Name="count">
<Count StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="1761991200"
 Enters="3" Exits="1" Passings="0" Returns="0" Status="0"/>
<GenderCount maleNum="987654321" StartTime="18:00:00"/><Person Name="Canary6" Id="Canary7">Canary8</Person></Object>
</Report></ReportData></RTMetrics>"""


def leaks(shown: bytes) -> bool:
    return CANARY.lower() in shown.lower() or b"987654321" in shown


@pytest.mark.parametrize("record", [RECORD, ALARM])
@pytest.mark.parametrize("how", [{}, {"indent": 2}, {"ensure_ascii": False, "separators": (",", ":")}])
def test_nothing_of_a_person_is_left_of_a_record(record, how):
    """Names, ids, numbers, pictures, measures of a person and unknown fields are masked; how the terminal speaks stays."""
    shown = masked(json.dumps(record, **how).encode())
    assert not leaks(shown)
    assert record["type"] == json.loads(shown)["type"]
    said, told = record["data"], json.loads(shown)["data"]
    assert set(said) == set(told)
    kept = [
        name
        for name in said
        if name in ("deviceSN", "uuid", "pass", "timestamp", "trace_id", "event_time", "code")
    ]
    assert len(kept) >= 3
    assert [said[name] for name in kept] == [told[name] for name in kept]


def test_nothing_of_a_person_or_a_secret_is_left_of_a_counter():
    """What counts stays, and what nobody knows is masked."""
    shown = masked(XML)
    assert not leaks(shown)
    for part in (
        b'Enters="3"',
        b"<SerialNumber>2000<",
        b'UnixStartTime="1761991200"',
        b'Name="count"',
        b"<WifiSSID>***<",
    ):
        assert part in shown
    assert b'maleNum="0"' in shown


@pytest.mark.parametrize("body", [json.dumps(RECORD).encode(), json.dumps(ALARM).encode(), XML])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_a_broken_body_leaks_nothing_wherever_it_breaks(body, encoding):
    """Cut off anywhere, with quotes and brackets missing, what is left is masked as surely."""
    whole = body.decode().encode(encoding)
    step = max(len(whole) // 150, 1)
    broken = [whole[:end] for end in range(0, len(whole), step)] + [
        whole[start:] for start in range(0, len(whole), step)
    ]
    if encoding == "utf-8":
        spots = [spot.start() for spot in re.finditer(rb'["{}<>\[\],:]', body)]
        broken += [body[:spot] + body[spot + 1 :] for spot in spots[:: max(len(spots) // 150, 1)]]
    assert [] == [part for part in broken if leaks(masked(part))]


def test_a_name_and_a_value_in_a_list_are_no_list_of_harmless_words():
    """In a broken body a member may stand in a list of another name; its value goes all the same."""
    body = b'{"type":[["name":"Canary","x":1]], "status": 2}'
    assert not leaks(masked(body))
    assert b'"status": 2' in masked(body)


@pytest.mark.parametrize(
    "body",
    [
        b"name=Canary&user_id=987654321&pin=Canary",
        b'--x\r\nContent-Disposition: form-data; name="user"\r\n\r\n{"name": "Canary"}\r\n--x--',
        b"OPLOG 4\tCanary\t987654321\n",
        b'[{"name": "Canary"}, ["Canary", 987654321], "Canary"]',
        b'{"Canary": 1, "id987654321": {"x": 1}}'.replace(b'"Canary"', b'"Canary 1"'),
        b'{"type": "by Canary, with a slash /", "type": "Canary@example.org"}'.replace(
            b"by Canary, with a slash /", b"C/Canary"
        ),
        b'{"users": {"canary": {"type": 1}, "CANARY": 2}}',
        b"{'name': 'Canary', 'user_id': 987654321}",
        b'{"event_type" "Canary"}',
        b'{"a": "\\u0043anary Canary"}',
    ],
)
def test_other_bodies_leave_their_shape_only(body):
    """Forms, parts, lines and odd JSON have nothing in them that says who."""
    shown = masked(body)
    assert not leaks(shown)
    assert shown


@pytest.mark.parametrize(
    "case", sorted(path.parent for path in FIXTURES.glob("*/*/body")), ids=lambda path: path.name
)
def test_a_capture_of_every_known_request_is_readable_as_what_it_was(case):
    """Masking keeps the marks of each captured request: as many brackets of each sort as before."""
    body = (case / "body").read_bytes()
    if b"\0" in body or case.parent.name not in {"people_counter", "face_terminal"}:
        return
    shown = masked(body)
    for mark in (b"{", b"}", b"[", b"]") if body.lstrip()[:1] == b"{" else (b"<Count", b"</"):
        if b'"' not in mark and b"<!--" not in body and b"CDATA" not in body and b"\\" not in body:
            assert shown.count(mark) <= body.count(mark)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_masked(body):
    """Whatever a stranger sends is masked without an error, and does not grow without end."""
    assert len(masked(b"{" + body)) <= 12 * len(body) + 20
    masked(b"<" + body)
    masked(body)


def test_a_sentence_does_not_quote_the_device():
    """The reason of a letter may quote a value; a capture says the reason without it."""
    assert 'Enters is "***", which is no number.' == masked_words('Enters is "Canary", which is no number.')
