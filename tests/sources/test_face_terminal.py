"""The source of the face terminal: what its fixtures do not show, and what must hold for every body."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Unreadable
from gateway.event import event_id, tallies
from gateway.source import Post, Reading
from gateway.sources.face_terminal import FaceTerminal, values
from gateway.sources.face_terminal.records import PERSONAL

AT = datetime(2025, 11, 3, 8, 15, 2, tzinfo=UTC)
SOURCE = FaceTerminal()
RECORD_FIELDS = (
    *("deviceSN", "recognitionType", "uuid", "recognizeScore", "mask", "mode", "rgb_image", "pass"),
    *("timestamp", "bodyTemperature", "entry_mode", "abnormal_type", "user"),
)
USER_FIELDS = (
    *("name", "user_id", "type", "ic_number", "job_number", "id_number", "guest_time_start"),
    *("guest_time_end", "remark", "pin", "groups"),
)
ALARM_FIELDS = ("trace_id", "description", "code", "user_id", "event_time", "status", "alarm_photo")
ASKED = ("recognizeStatus", "qrcode_content")


def post(body: object, **known) -> Post:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    return Post(
        **{"method": "POST", "path": "/x", "body": raw, "address": "192.0.2.9", "received_at": AT} | known
    )


def record(**changed) -> dict:
    user = {"name": "Li", "user_id": "7", "type": 1, "pin": "4711", **changed.pop("user", {})}
    fields = {"deviceSN": "SN1", "recognitionType": 1, "entry_mode": 1, "uuid": "u-1", "pass": True}
    return {"type": 0, "data": {**fields, "timestamp": 1762157700, **changed, "user": user}}


def alarm(**changed) -> dict:
    fields = {"trace_id": "t-1", "code": 10001, "event_time": 1762157700123, "status": 1}
    return {"type": 1, "data": {**fields, **changed}}


def event_of(body: object, **known):
    (event,) = SOURCE.parse(post(body, **known)).events
    return event


# --- identity


def test_a_record_is_identified_by_its_uuid_alone():
    """The same uuid from the same terminal is the same fact, whatever else the resend says."""
    first = event_of(record())
    again = event_of(record(timestamp=1762157999, mode=3), address="192.0.2.77")
    assert event_id("terminal-sn1", "access", "u-1") == first.id == again.id
    assert 0 == first.revision == again.revision


def test_without_uuid_time_user_and_entry_identify_a_record():
    """Old firmware's records differ by second, by user and by way of entry; the id grows with the time."""
    ids = {
        event_of(record(uuid=None, **change)).id
        for change in ({}, {"timestamp": 1762157701}, {"user": {"user_id": "8"}}, {"entry_mode": 3})
    }
    assert 4 == len(ids)
    assert event_id("terminal-sn1", "access", 1762157700, "7", 1, order=1762157700) in ids


def test_a_firmware_that_changes_its_unit_changes_no_id():
    """The same record in seconds and in milliseconds, with integer or text ids, is the same fact."""
    spelled = (
        record(uuid="", timestamp=1762157700, user={"user_id": 7}),
        record(uuid=" ", timestamp=1762157700000),
        record(uuid=None, timestamp="1762157700.0", entry_mode="1") | {"type": "0"},
    )
    assert 1 == len({event_of(body).id for body in spelled[:2]})
    with pytest.raises(Unreadable):
        SOURCE.parse(post(spelled[2]))


def test_an_alarm_is_the_same_at_another_time_and_another_in_another_state():
    """(trace_id, status) identifies an alarm's fact; the time does not."""
    first, again = event_of(alarm()), event_of(alarm(event_time=1762157799999))
    assert event_id("terminal-at-192-0-2-9", "alarm", "t-1", 1) == first.id == again.id
    assert first.id != event_of(alarm(status=3)).id
    assert first.id != event_of(alarm(trace_id="t-2")).id


def test_what_the_gateway_remembers_names_the_device_but_not_the_fact():
    """An alarm sent again after its sender became known gets the device, and keeps its id."""
    unknown, known = event_of(alarm()), event_of(alarm(), known_device="terminal-sn1")
    assert unknown.id == known.id
    assert ("terminal-at-192-0-2-9", "terminal-sn1") == (unknown.device.id, known.device.id)


@pytest.mark.parametrize(
    ("known", "changed", "device"),
    [
        ({"headers": {"sn": "HDR"}, "token": "lobby", "known_device": "terminal-k"}, {}, "terminal-hdr"),
        ({"headers": {"sn": "HDR"}}, {"deviceSN": "BODY"}, "terminal-hdr"),
        ({"token": "lobby", "known_device": "terminal-k"}, {"deviceSN": "BODY"}, "terminal-body"),
        ({"token": "lobby", "known_device": "terminal-k"}, {}, "terminal-path-lobby"),
        ({"known_device": "terminal-k"}, {}, "terminal-k"),
        ({}, {}, "terminal-at-192-0-2-9"),
    ],
)
def test_an_alarm_finds_its_terminal(known, changed, device):
    """Header, body, path token, known sender, address: the first that is there names the terminal."""
    assert device == event_of(alarm(**changed), **known).device.id


# --- truth of the numbers


def test_tallies_count_what_the_terminal_said():
    """An admitted person is one allowed, a refused stranger one denied and one stranger, a raise one alarm."""
    stranger = {"pass": False, "recognitionType": 3, "user": {"user_id": "", "name": None, "type": None}}
    counted = [
        dict(tallies(event.kind, event.data))
        for event in (
            event_of(record()),
            event_of(record(**stranger)),
            event_of(alarm()),
            event_of(alarm(status=3)),
        )
    ]
    assert [{"allowed": 1}, {"denied": 1, "strangers": 1}, {"alarms": 1}, {}] == counted


@pytest.mark.parametrize("stated", [None, "", "maybe", 2, 0.5, [], {"x": 1}])
def test_a_passage_is_never_guessed(stated):
    """A record that does not say whether the door opened is set aside, not counted as denied."""
    with pytest.raises(Unreadable, match="whether the door opened"):
        SOURCE.parse(post(record(**{"pass": stated})))


@pytest.mark.parametrize(
    ("recognition", "user_type", "person"),
    [
        (1, 1, "employee"),
        (2, 2, "visitor"),
        (3, None, "stranger"),
        (4, None, "not_live"),
        (5, 5, "blacklist"),
        (0, 1, "unknown"),
        (99, 1, "unknown"),
        (None, 1, "employee"),
        (None, 2, "visitor"),
        (None, 3, "blacklist"),
        (None, 5, "blacklist"),
        (None, None, "unknown"),
    ],
)
def test_who_it_was(recognition, user_type, person):
    """recognitionType decides; only where old firmware has none does the type of the user, whose 3 is no stranger."""
    event = event_of(record(recognitionType=recognition, user={"type": user_type}))
    assert (person, recognition) == (event.data["person"], event.data["recognition_type"])


@pytest.mark.parametrize(
    ("stated", "user_id"),
    [
        ("7", "7"),
        (7, "7"),
        (7.0, "7"),
        (7.5, "7.5"),
        (" a\tb\n", "a b"),
        ("", None),
        (None, None),
        (True, None),
        ([7], None),
    ],
)
def test_a_user_id_is_one_text_in_every_spelling(stated, user_id):
    """A user id that is an integer in one firmware and a text in the next is the same text; no id is none."""
    for body in (record(user={"user_id": stated}), alarm(user_id=stated)):
        assert ({"user_id": user_id} if user_id else {}) == event_of(body).personal


@pytest.mark.parametrize("user", [None, [], "", "x", 5])
def test_a_record_without_a_user_is_read(user):
    """A user that is null or no object gives an event without personal fields."""
    body = record()
    body["data"]["user"] = user
    assert {} == event_of(body).personal


# --- secrets, pictures, personal fields


def canary_record() -> dict:
    canaries = {name: f"CANARY-{name}" for name in USER_FIELDS if name not in ("user_id", "type")}
    body = record(
        rgb_image="/9j/CANARY" * 40, bodyTemperature="CANARY", mask="CANARY", newField="CANARY", user=canaries
    )
    body["data"]["user"]["groups"] = [{"id": "CANARY", "name": "CANARY"}]
    body["data"]["user"]["phone"] = {"CANARY value": "CANARY"}
    body["data"]["CANARY value"] = 1
    body["extra"] = "CANARY"
    return body


def test_by_default_nothing_personal_leaves_but_the_user_id():
    """PIN, picture, names, numbers, temperature and unknown values are nowhere in what is read."""
    reading = SOURCE.parse(post(canary_record()))
    assert "CANARY" not in repr(reading)
    assert {"user_id": "7"} == reading.events[0].personal
    assert "CANARY" not in repr(SOURCE.parse(post(alarm(alarm_photo="CANARY", new="CANARY"))))


def test_names_of_new_fields_are_told_and_bounded():
    """A vendor's new field is listed by name; a hundred of them, or one with an odd name, are not."""
    told = event_of(canary_record()).data["extra_fields"]
    assert ["extra", "newField", "user.phone"] == told
    many = {f"new{n}": n for n in range(100)} | {"x" * 41: 1, "<b>": 1}
    assert 20 == len(event_of(record(**many)).data["extra_fields"])


def test_what_the_configuration_lists_is_kept_and_no_more():
    """Each personal field is kept exactly when it is listed."""
    body = record(bodyTemperature=36.5, mask=1, recognizeScore=0.5)
    body["data"]["user"] |= {
        "job_number": "J1",
        "ic_number": "I1",
        "id_number": "D1",
        "remark": "R1",
        "groups": [{"id": 1, "name": "G"}],
        "guest_time_start": 1762157700000,
        "guest_time_end": 0,
    }
    for name in PERSONAL:
        (event,) = FaceTerminal(frozenset({name})).parse(post(body)).events
        assert {"user_id", name} == event.personal.keys()
    assert {"start": "2025-11-03T08:15:00.000Z", "end": None} == event.personal["guest_time"]


def test_pin_and_pictures_cannot_be_switched_on():
    """Listing them as personal fields to keep changes nothing."""
    keep = frozenset({"pin", "rgb_image", "alarm_photo", "user", "phone", "newField"})
    assert "CANARY" not in repr(FaceTerminal(keep).parse(post(canary_record())))
    assert "CANARY" not in repr(FaceTerminal(keep).parse(post(alarm(alarm_photo="CANARY"))))


def test_long_texts_are_bounded():
    """A terminal cannot blow up an event by long texts; ids still tell long texts apart."""
    long = event_of(record(uuid="u" * 1000, deviceSN="S" * 1000, user={"user_id": "7" * 1000}))
    assert (128, 128, 256) == (len(long.data["uuid"]), len(long.device.serial), len(long.personal["user_id"]))
    assert long.id != event_of(record(uuid="u" * 1001, deviceSN="S" * 1000)).id
    told = alarm(trace_id="t" * 1000, description="d" * 1000)
    (alarming,) = FaceTerminal(frozenset({"description"})).parse(post(told)).events
    assert (128, 256) == (len(alarming.data["trace_id"]), len(alarming.personal["description"]))


def test_the_words_of_an_alarm_are_personal():
    """What a terminal writes about an alarm may name its user: it stays behind until "description" is listed."""
    told = post(alarm(description="forced by CaNaRy"))
    (unlisted,) = FaceTerminal().parse(told).events
    assert "CaNaRy" not in repr(unlisted)
    (listed,) = FaceTerminal(frozenset({"description"})).parse(told).events
    assert "forced by CaNaRy" == listed.personal["description"]
    assert unlisted.data == listed.data


# --- replies


def test_the_replies_are_those_of_the_document():
    """Accepted is 200 with code 200, msg and message success, data {}; refused is silence."""
    accepted = SOURCE.accepted(post(record()))
    assert (200, "application/json") == (accepted.status, accepted.content_type)
    assert {"code": 200, "msg": "success", "message": "success", "data": {}} == json.loads(accepted.body)
    assert SOURCE.refused(post(record())).status is None


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("marks", [("recognizeStatus",), ("qrcode_content",), ASKED])
def test_a_terminal_that_asks_is_told_no(marks, broken):
    """A question about a door gives no event, no success, no "pass", and a notice that names the setting."""
    raw = json.dumps(
        {"deviceSN": "SN1", "entry_mode": 2, "user": {"name": "CANARY"}, **dict.fromkeys(marks, "x")}
    )
    asked = post(raw[:-1].encode() if broken else raw.encode())
    assert SOURCE.recognises(asked)
    reading = SOURCE.parse(asked)
    assert 0 == len(reading.events)
    assert reading.reply is not None and reading.reply.status == 403
    assert b"pass" not in reading.reply.body.lower()
    (notice,) = reading.notices
    assert "terminal_asks_to_open_door" == notice.code
    assert "remote_authentication_address" in notice.sentence and "event_dest" in notice.action
    assert "CANARY" not in repr(reading)


def test_a_terminal_that_asks_is_named_in_letters_that_can_be_shown():
    """A serial number in odd bytes stays out of what a person is told."""
    (notice,) = SOURCE.parse(
        post(b'{"deviceSN":"P\xa1\x8fin42","user":{"pin":""},"qrcode_content":"x"}')
    ).notices
    assert notice.sentence.isprintable()


def test_an_old_record_is_no_question():
    """recognizeStatus inside `data`, as firmware before 1.1.0 sends it, or beside it, is a record."""
    assert 1 == len(SOURCE.parse(post(record() | {"recognizeStatus": 1})).events)
    assert 1 == len(SOURCE.parse(post(record(recognizeStatus=1))).events)


# --- recognising


@pytest.mark.parametrize(
    "body",
    [
        {"id": "1", "type": "incident.created", "data": {"object": {"incident": {"type": "incident"}}}},
        {"id": "1", "type": "pacs.events.created", "data": {"object": {"events": [{"type": 1}]}}},
        {"channel_id": "1", "event_type": "TripwireCrossed", "event_name": "Line crossed", "object_id": 5},
        {"channel_id": "1", "event_type_aggregate": [{"event_type": "Loitering", "event_count": 1}]},
        [{"event_id": 1, "type": "TripwireCrossed", "channel_id": "1"}],
        [record()],
        {"device_info": {"device_sn": "1"}, "line_trigger_data": []},
        {"type": 1},
        {"data": {}},
        {},
        b"",
        b"<Metrics/>",
        b"\xff\xfe<\x00",
        b"deviceSN",
    ],
)
def test_what_others_send_is_not_claimed(body):
    """Camio, Camlytics, lists, XML and nothing at all are somebody else's."""
    assert not SOURCE.recognises(post(body))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":0,"data":{}}',
        b'\xef\xbb\xbf \r\n{ "data" : {"user":{"type":1}}, "type" : "1" }',
        b'{"type":2,"data":null}',
        b'{"type":-1,"data":"x"}',
        '{"type":0,"data":{"a":"王"}}'.encode("utf-16"),
        b'{"type":0,"data":{"deviceSN":"SN1","rgb_im',
        b'{"deviceSN":"SN1"}',
        b'{"type":"x","data":{"deviceSN":"SN1"}}',
    ],
)
def test_our_wrapper_is_claimed_by_its_bytes(raw):
    """The wrapper is ours whatever its header, path, spelling or end; so is a body with the vendor's own names."""
    assert SOURCE.recognises(post(raw, headers={"content-type": "text/xml"}))


@pytest.mark.parametrize("piece", [b" ", b'"type" ', b'"data":', b'"type":"  '])
def test_recognising_a_hostile_body_ends(piece):
    """Two megabytes of what the look searches for are looked at once; a slow look meets the test's limit."""
    assert not SOURCE.recognises(post(b'{"data":{"type":' + piece * (2_000_000 // len(piece))))


# --- every body

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 2, 3, 1762157700, 1762157700123, 10**11, 10**14, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["", " ", "0", "1", "true", "/9k=", "1762157700", "u-1"])
)
ANY = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*RECORD_FIELDS, *USER_FIELDS, *ALARM_FIELDS, "type", "data"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


def some(fields, values):
    return st.dictionaries(st.sampled_from(fields), values, max_size=len(fields))


BODIES = st.one_of(
    ANY,
    st.builds(
        lambda change, user: record(**change, user=user),
        some(RECORD_FIELDS[:-1], ANY),
        some(USER_FIELDS, ANY),
    ),
    st.builds(lambda change: {"type": 0, "data": record()["data"] | change}, some(RECORD_FIELDS, ANY)),
    st.builds(lambda change: alarm(**change), some(ALARM_FIELDS, ANY)),
    some([*RECORD_FIELDS, *ASKED], ANY),
)


def read(source: FaceTerminal, request: Post) -> Reading | None:
    """Do what the gateway does with a body; the contract of a source must hold on the way."""
    source.recognises(request)
    replies = [source.accepted(request), source.refused(request)]
    reason = "none"
    try:
        reading = source.parse(request)
    except Unreadable as error:
        reading, reason = None, str(error)
    else:
        assert source.parse(request) == reading
        replies += [reading.reply] if reading.reply else []
        for event in reading.events:
            json.dumps([event.data, event.personal], allow_nan=False).encode()
            assert event.time.tzinfo is not None
            assert event.device.id.startswith("terminal-")
    assert reason
    assert all(b"pass" not in reply.body.lower() for reply in replies)
    return reading


@given(BODIES)
@settings(max_examples=400, deadline=None)
def test_any_json_is_read_or_set_aside(body):
    """Whatever the JSON says, there is a reading of JSON values or a reason, and no reply holds "pass"."""
    read(FaceTerminal(frozenset(PERSONAL)), post(body))


@given(st.binary(max_size=200), st.sampled_from([b"", b'{"type":0,"data":{', b"\xff\xfe", b'{"deviceSN":"']))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_set_aside(tail, head):
    """Whatever the bytes, there is a reading or a reason."""
    read(SOURCE, post(head + tail))


SECRET = st.sampled_from(
    [
        "CANARY",
        ["CANARY"],
        {"name": "CANARY", "pin": "CANARY"},
        [{"id": "CANARY", "name": "CANARY"}],
        "  CANARY\n",
    ]
)
PLAIN = st.none() | st.integers(0, 6) | st.just("x")


@given(
    some([*(set(USER_FIELDS) - {"user_id"}), "phone", "email"], SECRET | PLAIN),
    some(
        [*("rgb_image", "bodyTemperature", "mask", "recognizeScore", "alarm_photo", "plate", "pin", "name")],
        SECRET,
    ),
    st.sampled_from(["", '"', ",}", "}"]),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_a_canary_in_a_personal_field_never_gets_out(user, data, tail, keep_pin):
    """Wherever and in whatever shape a secret stands, it is in no event, notice, reply or reason."""
    source = FaceTerminal(frozenset({"pin", "rgb_image"}) if keep_pin else frozenset())
    raw = json.dumps(record(user=user, **data)).encode() + tail.encode()
    try:
        outcome = repr(source.parse(post(raw)))
    except Unreadable as error:
        outcome = str(error)
    assert "CANARY" not in outcome


class Cleaning:
    """Stands for the pattern that cleans texts, and notes how long they are."""

    def __init__(self) -> None:
        self.pattern, self.longest = values._CONTROL, 0

    def search(self, text: str) -> re.Match[str] | None:
        self.longest = max(self.longest, len(text))
        return self.pattern.search(text)

    def sub(self, by: str, text: str) -> str:
        return self.pattern.sub(by, text)


def test_a_long_text_is_cut_before_it_is_cleaned(monkeypatch):
    """A megabyte of line ends in any text of a record or an alarm is no more work than a line."""
    monkeypatch.setattr(values, "_CONTROL", cleaning := Cleaning())
    long = " " + "a\n" * 500_000
    source = FaceTerminal(frozenset(PERSONAL) | {"description"})
    for name in ("deviceSN", "name", "user_id", "ic_number", "job_number", "id_number", "remark"):
        user = {} if name == "deviceSN" else {name: long}
        reading = source.parse(post(record(user=user, **({name: long} if not user else {}))))
        assert len(repr(reading.events)) < 3_000
    source.parse(post(alarm(description=long, user_id=long)))
    assert 0 < cleaning.longest <= 1_024
    assert len(values.text("a" * 2_000)) == len(values.text("a" * 1_024)) == 1_024


@pytest.mark.parametrize("body", [record(uuid="a\n" * 900_000), alarm(trace_id="b" * 1_025)])
def test_an_id_that_would_have_to_be_cut_is_refused(body):
    """Two facts with one beginning must not become one, so such a push is a letter with the reason."""
    with pytest.raises(Unreadable, match=r"the (uuid|trace_id) is longer than 1024 letters"):
        SOURCE.parse(post(body))
    assert event_of(alarm(trace_id="b" * 1_024)).id != event_of(alarm(trace_id="b" * 1_023)).id
