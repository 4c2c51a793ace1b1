"""What is held of strangers comes back as it was, once."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import NOON, access, count, counter

from gateway.event import Device, Event, Kind, ZoneRule
from gateway.outbox import held
from gateway.outbox.entry import dumps

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe = st.none() | texts
instants = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11)), timezone(timedelta(minutes=345))])
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
devices = st.builds(
    Device,
    id=texts,
    source=texts,
    serial=maybe,
    mac=maybe,
    label=maybe,
    site=maybe,
    address=maybe,
    firmware=maybe,
    hardware=maybe,
    utc_offset_min=st.none() | st.integers(-900, 900),
)
events = st.builds(
    Event,
    id=texts,
    revision=st.integers(0, 2**53 - 1),
    kind=st.sampled_from(Kind),
    device=devices,
    time=instants,
    end=st.none() | instants,
    sent_at=st.none() | instants,
    zone_rule=st.sampled_from(ZoneRule),
    repaired=st.booleans(),
    data=st.dictionaries(texts, values, max_size=4),
    personal=st.dictionaries(texts, values, max_size=2),
)


@given(events)
def test_an_event_comes_back_exactly(event):
    """Every field of every event survives the way to the disk and back, to the microsecond and the last bit."""
    back = held.from_json(json.loads(dumps(held.as_json(event))))
    assert event == back
    assert [event.time.utcoffset(), type(event.kind)] == [back.time.utcoffset(), type(back.kind)]


def test_every_field_of_an_event_is_held():
    """A field that somebody adds to events or devices is not forgotten here."""
    known = held.as_json(count())
    assert set(Event.__dataclass_fields__) == set(known)
    assert set(Device.__dataclass_fields__) == set(known["device"])


def test_a_mark_tells_statements_apart_and_resends_not():
    """What was sent again has the mark of the first time; another number of people has another one."""
    said = count(1, 3, sent_at=NOON)
    again = replace(
        said, sent_at=NOON + timedelta(minutes=5), repaired=True, device=counter(address="10.0.0.9")
    )
    marks = {held.hold(event).mark for event in (said, again)}
    assert 1 == len(marks)
    others = [
        count(1, 4, sent_at=NOON),
        count(2, 3),
        count(1, 3, revision=1),
        replace(said, personal={"age": 1}),
    ]
    assert 5 == len(marks | {held.hold(event).mark for event in others})


def test_a_stranger_has_no_picture():
    """The picture of a device that is not adopted is not kept, so the event must not name its file."""
    event = access(1, picture="kept", picture_sha256="ab" * 32)
    assert ("present", False) == (
        (data := json.loads(held.hold(event).text)["data"])["picture"],
        "picture_sha256" in data,
    )


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": 1}', "null"])
def test_a_damaged_text_is_no_event(text):
    """What the disk made of a row is told apart from an event, whatever it is."""
    assert held._read(text) is None


def test_the_time_is_a_time():
    """A text in the place of an instant is not taken for one."""
    fields = held.as_json(count()) | {"time": "yesterday"}
    with pytest.raises(ValueError, match="yesterday"):
        held.from_json(fields)
    assert datetime.fromisoformat(held.as_json(count())["time"]) == NOON
