"""Records that no honest PC writes, and the hour that comes twice: nothing of them stops or misleads the poll."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from camlytics_pages import CHANNEL, HALL, LISBON, NOW, answer, following, record

from gateway.errors import Unreadable
from gateway.reading.json_body import marks
from gateway.source import MOST_ASIDE, Post
from gateway.sources.camlytics import Camlytics, CamlyticsPoll, Instance
from gateway.sources.camlytics.steps import newest, next_ask
from gateway.sources.camlytics_cloud.values import cloud_ms, moment, ms_of

POLL = CamlyticsPoll(HALL)
IMPOSSIBLE = (
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59",
)


@pytest.mark.parametrize("time", IMPOSSIBLE)
def test_a_time_that_is_no_instant_is_set_aside(time):
    """One record at the end of the calendar costs itself and none of those around it."""
    page = following(POLL, [record(1), record(2, time), record(3)])
    assert (2, 1) == (len(page.reading.events), len(page.aside))


@pytest.mark.parametrize("time", IMPOSSIBLE)
def test_the_cloud_has_no_such_instant_either(time):
    """A time from which nothing can be taken away is read as no time, instead of failing later."""
    assert moment(time) is None


def test_a_date_at_the_end_of_the_calendar_is_not_believed():
    """The gateway's own clock stands in for a Date with which nothing can be reckoned."""

    class Said:
        headers = {"date": "Fri, 31 Dec 9999 23:00:00 GMT"}  # noqa: RUF012 - only read
        received_at = NOW

    assert ms_of(NOW) == cloud_ms(Said())


def test_the_number_of_a_broken_record_does_not_carry_the_place_away():
    """A number that nobody can trust leads no further than a look back reaches."""
    broken = {"event_id": 2**53 - 1, "channel_id": "1", "time": "x"}
    far = following(POLL, [record(1), record(2), broken])
    assert (2, 1) == (far.cursor["last"], len(far.aside))
    near = following(POLL, [record(1), record(2), {**broken, "event_id": 3}])
    assert 3 == near.cursor["last"], "one that is next in the row is passed"
    again = following(POLL, [record(4), record(5)], near.cursor)
    assert 5 == again.cursor["last"]


def test_hours_of_a_wrong_clock_do_not_push_out_those_that_are_compared():
    """Four records of the far future leave the sums of the running hour as they are."""
    ahead = [record(10 + at, f"9998-01-01T0{at}:00:00") for at in range(4)]
    cursor = {"hours_from": "2026-01-01T00"}
    page = following(POLL, [record(1, "2026-06-17T10:58:02"), *ahead], cursor)
    page = following(POLL, [record(20, "2026-06-17T10:59:02")], page.cursor)
    assert {"TripwireCrossed"} == {
        key.partition("|")[2] for key in page.cursor["hours"]["2026-06-17T10"]["type"]
    }
    assert [2] == list(page.cursor["hours"]["2026-06-17T10"]["type"].values())


def test_what_webhooks_have_counted_is_not_counted_again():
    """A poll that takes over begins behind the newest instant that webhooks of its own PC counted."""
    device = HALL.device("c1")
    until = ms_of(datetime(2026, 6, 17, 9, 30, tzinfo=UTC))
    counted = {device: (until, {}), "camlytics-hall-2-c1": (until + 3_600_000, {})}
    poll = CamlyticsPoll(Instance(name="hall", endpoint=HALL.endpoint, zone=LISBON, peers=("hall-2",)))
    place = poll.taken_over({}, counted, NOW)
    assert until == place["after"]
    page = following(poll, [record(1, "2026-06-17T10:30:00"), record(2, "2026-06-17T10:30:01")], place)
    assert [2] == [event.data["event_id"] for event in page.reading.events]
    later = page.cursor["newest"] + 60_000
    assert page.cursor == poll.taken_over(page.cursor, {device: (later, {"event_id": 3})}, NOW), (
        "it was polled"
    )
    back = poll.taken_over(page.cursor, {device: (later, {})}, NOW)
    assert later == back["after"], "webhooks counted in between"


def _pushed(mode, body, at):
    source = Camlytics(
        [Instance(name="pc", endpoint="http://192.0.2.5", mode=mode, zone=LISBON, rules=HALL.rules)]
    )
    raw = json.dumps(body).encode()
    return source.parse(
        Post(method="POST", path="/", query="", headers={}, body=raw, address="192.0.2.5", received_at=at)
    ).events


def test_webhooks_of_the_doubled_hour_go_where_they_were_received():
    """The same wall time an hour later is another instant, and another event."""
    body = {
        "channel_id": CHANNEL, "channel_name": "x", "event_type": "TripwireCrossed", "event_name": "x",
        "event_origin": "Pedestrian", "event_time": "2026-10-25T01:30:00", "object_id": "1",
        "rule_id": "r", "rule_name": "Enter",
    }  # fmt: skip
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    later = first + timedelta(hours=1)
    (one,) = _pushed("webhook", body, first + timedelta(seconds=1))
    (other,) = _pushed("webhook", body, later + timedelta(seconds=1))
    assert (first, later) == (one.time, other.time)
    assert one.id != other.id


def test_hourly_sums_of_the_doubled_hour_are_two_hours():
    """Both hours are told with the same two wall times, and both count, each for its own hour."""
    body = {
        "channel_id": CHANNEL, "channel_name": "x", "since_time": "2026-10-25T01:00:00",
        "until_time": "2026-10-25T02:00:00", "event_type_aggregate": [],
        "rule_id_aggregate": [{"rule_id": "r", "rule_name": "Enter", "event_count": 5}],
    }  # fmt: skip
    begin, hour = datetime(2026, 10, 25, 0, 0, tzinfo=UTC), timedelta(hours=1)
    one = _pushed("hourly", body, begin + hour + timedelta(seconds=5))[1]
    other = _pushed("hourly", body, begin + 2 * hour + timedelta(seconds=5))[1]
    assert [(begin, begin + hour), (begin + hour, begin + 2 * hour)] == [
        (one.time, one.end),
        (other.time, other.end),
    ]
    assert one.id != other.id


def test_a_page_of_more_records_than_were_asked_for_is_refused():
    """Forty thousand good records in answer to an ask for fifty are not made events, and the reason says it."""
    page = json.dumps([record(number) for number in range(1, HALL.limit + 2)]).encode()
    with pytest.raises(Unreadable, match="more than the 50 events that were asked for"):
        following(POLL, page)
    broken = b'[{"event_id": 1e999},' + page[1:]  # then its records are looked at one by one
    with pytest.raises(Unreadable, match="more than the 50 events that were asked for"):
        following(POLL, broken)
    assert HALL.limit == len(following(POLL, json.loads(page)[: HALL.limit]).reading.events)


@pytest.mark.parametrize("item", [b"0", b"{}", b"[]", b'""', b'{"event_id":1e999}'])
def test_a_page_of_more_parts_than_its_records_can_have_is_not_read(item, monkeypatch):
    """A megabyte of commas is refused by a count before anything of it is read, errands too."""
    read = []
    monkeypatch.setattr("gateway.sources.camlytics.pages.read_json", read.append)
    body = b"[" + (item + b",") * (1_000_000 // (len(item) + 1)) + b"0]"
    with pytest.raises(Unreadable, match="parts, and what was asked for has at most 12000"):
        following(POLL, body)
    errand = {"errand": {"do": "channels", "at": 0}}
    page = POLL.read(answer("/v1/json/channels", body), errand)
    assert ("labels" in page.cursor, "errand" in page.cursor) == (False, False)
    assert [] == read


def test_what_may_come_grows_with_what_is_asked_for():
    """The newest event alone may be some kilobytes, a page of five hundred two megabytes, and real events are far below."""
    asked = [next_ask(Instance(name="pc", limit=limit), {}, NOW).max_bytes for limit in (50, 500, 10_000)]
    assert newest().max_bytes < asked[0] < asked[1] < 2_200_000
    assert 16_000_000 == asked[2]
    page = json.dumps([record(number) for number in range(1, 51)]).encode()
    assert len(page) < asked[0] / 4
    assert marks(page) < 12_000 / 2


def test_of_many_broken_records_the_first_are_kept_and_the_rest_counted():
    """An answer in which hundreds cannot be read costs no more memory than the letters that somebody may look at."""
    poll = CamlyticsPoll(replace(HALL, limit=500))
    page = following(poll, [record(1), *({"event_id": number} for number in range(2, 400))])
    assert (1, MOST_ASIDE, 398 - MOST_ASIDE) == (len(page.reading.events), len(page.aside), page.left_out)
    few = following(poll, [record(1), {"event_id": 2}])
    assert (1, 0) == (len(few.aside), few.left_out)
