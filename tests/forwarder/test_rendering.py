"""The JSON object that one sink gets of a log entry."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import NOON, access, count, counter

from gateway.forwarder import Rendering
from gateway.outbox import Drafting, Entry, Flag, milliseconds

NOW = milliseconds(NOON)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def entry_of(event, *, flags=0, received=NOON, seq=7, device_seq=3):
    draft = Drafting().draft(event, received)
    return Entry(
        seq,
        draft.id,
        draft.revision,
        str(draft.kind),
        draft.device.id,
        device_seq,
        draft.time,
        draft.received,
        flags,
        draft.body,
        draft.personal,
    )


def rendering(sink="out", personal=(), key=b"k" * 32, gateway_id="gw"):
    return Rendering(
        gateway_id=gateway_id,
        sink=sink,
        pseudonym_key=key,
        personal=frozenset(personal),
        late_after_ms=300_000,
    )


def rendered(event, now=NOW, **how):
    entry = entry_of(event, **{name: how.pop(name) for name in ("flags", "received") if name in how})
    return json.loads(rendering(**how).render(entry, now).payload)


def test_a_count_is_written_with_everything_that_is_known():
    """Identity, place, instants and data of an event are in its object under their documented names."""
    found = rendered(count(5, 3, revision=2, sent_at=NOON))
    assert {
        "id": found["id"],
        "revision": 2,
        "kind": "count",
        "device": "counter-a",
        "device_seq": 3,
        "seq": 7,
        "gateway": "gw",
        "time": "2026-10-05T12:05:00.000Z",
        "received_at": "2026-10-05T12:00:00.000Z",
        "late": False,
        "source": "people_counter",
        "end": "2026-10-05T12:06:00.000Z",
        "sent_at": "2026-10-05T12:00:00.000Z",
        "zone_rule": "unix",
        "data": {"view": "total", "enters": 3, "exits": 0},
    } == found


def test_what_the_sink_needs_is_beside_the_payload():
    """The outgoing event repeats what topics and headers are made of."""
    entry = entry_of(count(5, revision=2))
    outgoing = rendering().render(entry, NOW)
    assert (7, entry.id, 2, "count", "counter-a", "2026-10-05T12:05:00.000Z") == (
        outgoing.seq,
        outgoing.id,
        outgoing.revision,
        outgoing.kind,
        outgoing.device,
        outgoing.time,
    )


@pytest.mark.parametrize(
    ("flags", "waited_ms", "late"),
    [(0, 0, False), (0, 300_000, False), (0, 300_001, True), (Flag.LATE, 0, True), (0, -(10**9), False)],
)
def test_late_is_what_came_late_or_left_late(flags, waited_ms, late):
    """An event is late when it came to us late, or when it waited here for longer than the limit."""
    assert late is rendered(count(0), NOW + waited_ms, flags=flags)["late"]


def test_history_says_that_it_is_history():
    """A statement that a newer one had overtaken carries `superseded`; others do not have the name at all."""
    assert True is rendered(count(0), flags=Flag.SUPERSEDED)["superseded"]
    assert "superseded" not in rendered(count(0), flags=Flag.TIED | Flag.UNTALLIED)


def test_a_date_that_cannot_be_is_marked():
    """What is in no sum for its date carries `misdated`; others do not have the name at all."""
    assert True is rendered(count(0), flags=Flag.MISDATED | Flag.UNTALLIED)["misdated"]
    assert "misdated" not in rendered(count(0), flags=Flag.UNTALLIED)


def test_personal_fields_leave_only_through_a_sink_that_lists_them():
    """A sink without the field gets a pseudonym for the person and nothing of what was stated about it."""
    event = access(1, personal={"user_id": "4711", "name": "Ada", "card": "99"})
    plain = rendered(event)
    assert "personal" not in plain
    assert not {"4711", "Ada", "99"} & set(json.dumps(plain).replace('"', " ").split())
    assert 24 == len(plain["person"])
    listed = rendered(event, personal=("user_id", "name"))
    assert {"user_id": "4711", "name": "Ada"} == listed["personal"]
    assert "person" not in listed
    partly = rendered(event, personal=("name",))
    assert ({"name": "Ada"}, plain["person"]) == (partly["personal"], partly["person"])


def test_a_pseudonym_means_something_to_one_sink_only():
    """The same person has the same pseudonym at one sink, another at another sink and under another key."""
    one, two = (access(n, personal={"user_id": "4711"}) for n in (1, 2))
    same = {rendered(event)["person"] for event in (one, two)}
    other = {rendered(one, sink="else")["person"], rendered(one, key=b"x" * 32)["person"]}
    somebody = rendered(access(3, personal={"user_id": "4712"}))["person"]
    assert 1 == len(same)
    assert 4 == len(same | other | {somebody})
    assert "person" not in rendered(access(4, personal={"name": "nobody's id"}))


@given(name=texts, value=texts, personal=texts, device=texts, gateway=texts)
def test_hostile_texts_stay_texts(name, value, personal, device, gateway):
    """Whatever a device or a person puts into a name, the object can be read and says exactly that."""
    event = access(
        1, device=counter(device or "x"), **{f"x{name}": value}, personal={"user_id": personal, "note": value}
    )
    payload = rendering(personal=("note",), gateway_id=gateway).render(entry_of(event), NOW).payload
    found = json.loads(payload)
    assert value == found["data"][f"x{name}"]
    assert {"note": value} == found["personal"]
    assert (device or "x", gateway) == (found["device"], found["gateway"])
    names = json.loads(payload, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    assert len(names) == len(set(names)), "a name comes twice"


def test_two_deliveries_differ_in_nothing_but_late():
    """The same entry rendered an hour later is the same but for `late`."""
    event = access(1, personal={"user_id": "1"})
    first, second = rendered(event), rendered(event, NOW + 3_600_000)
    assert (False, True) == (first.pop("late"), second.pop("late"))
    assert first == second
