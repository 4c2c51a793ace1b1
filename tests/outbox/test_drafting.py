"""From an event to what the log keeps: texts, instants, and what is turned away before it can do harm."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import NOON, access, count, counter

from gateway.errors import Unreadable
from gateway.event import Kind
from gateway.outbox import Drafting, milliseconds, rfc3339

instants = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=14))])
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(instants)
def test_an_instant_is_written_so_that_it_can_be_read(instant):
    """Any datetime becomes an RFC 3339 text of one shape that names the same millisecond."""
    if not -62135596800_000 <= milliseconds(instant) <= 253402300799_999:
        return  # the first and last hours of the calendar lie outside of it in UTC
    text = rfc3339(milliseconds(instant))
    assert 24 == len(text)
    back = datetime.fromisoformat(text)
    assert timedelta(0) <= instant - back < timedelta(milliseconds=1)


@given(values)
def test_a_body_is_one_json_object_whatever_the_data(value):
    """Hostile texts and odd numbers come back from the body as they went in."""
    draft = Drafting().draft(count(enters=1, odd=value), NOON)
    body = json.loads(draft.body)
    assert value == body["data"]["odd"]
    assert {"enters": 1, "exits": 0} == draft.tallies
    assert json.loads(draft.data) == body["data"]


def test_a_body_says_only_what_was_stated():
    """End, time of sending and repair are in the body when there are any, and not otherwise."""
    body = json.loads(Drafting().draft(access(1), NOON).body)
    assert ["source", "zone_rule", "data"] == list(body)
    repaired = replace(count(0, sent_at=NOON), repaired=True)
    body = json.loads(Drafting().draft(repaired, NOON).body)
    assert ["source", "end", "sent_at", "repaired", "zone_rule", "data"] == list(body)
    assert ("2026-10-05T12:01:00.000Z", True) == (body["end"], body["repaired"])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (access(1, mode="\ud800"), "half a character"),
        (access(1, personal={"user_id": "\udfff"}), "half a character"),
        (count(device=counter(label="\ud83d")), "half a character"),
        (count(device=counter(site="\ud83d")), "half a character"),
        (count(enters=2**31), "no device counts"),
        (count(enters=-(2**31)), "no device counts"),
        (count(revision=2**53), "too large"),
        (count(device=counter(utc_offset_min=2**70)), "too large"),
        (access(1, mode=float("nan")), "cannot be kept"),
        (access(1, mode=float("inf")), "cannot be kept"),
    ],
)
def test_what_could_not_be_given_back_is_turned_away(event, said):
    """An event that SQLite or JSON could not hold exactly is unreadable, with a reason, and not a bug later."""
    with pytest.raises(Unreadable, match=said):
        Drafting().draft(event, NOON)


def test_the_last_hour_of_the_calendar_has_no_day_everywhere():
    """A date that does not exist on the clock of the site is turned away before the transaction."""
    from zoneinfo import ZoneInfo

    event = count(time=datetime(9999, 12, 31, 23, 30, tzinfo=UTC) - timedelta(minutes=5))
    assert "9999" in Drafting().draft(event, NOON).body
    with pytest.raises(Unreadable):
        Drafting(zone=ZoneInfo("Asia/Tokyo")).draft(event, NOON)


def test_what_an_event_adds_to_its_day_is_known_before_the_store():
    """Kinds without numbers add nothing; a refused stranger is one denied and one stranger."""
    assert {} == Drafting().draft(replace(count(0), kind=Kind.HEARTBEAT), NOON).tallies
    stranger = access(1, result="denied", person="stranger")
    assert {"denied": 1, "strangers": 1} == Drafting().draft(stranger, NOON).tallies
