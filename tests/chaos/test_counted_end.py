"""The oracle of the scale experiments finds what is missing, what is not as it was said, what nobody said, and doubles."""

from datetime import UTC, datetime

import pytest
from counted_end import LIVE_SERIAL, Counted

from gateway.event import event_id

BASE = 1_700_000_000
CLEAN = {"missing": 0, "wrong": 0, "spurious": 0, "doubles": 0}


def record(number, turn, **other):
    name, uuid = f"terminal-scale{number:06d}", f"00{number:06d}-0000-4000-8000-{turn:012d}"
    data = {"uuid": uuid, "result": "allowed", "person": "employee"}
    return {"id": event_id(name, "access", uuid), "kind": "access", "device": name, "data": data} | other


def window(number, turn, **other):
    name, start = f"counter-9000000000000{number}", BASE + 60 * turn
    time = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    data = {"enters": turn % 10}
    return {
        "id": f"{name}:{start}:{turn:020x}",
        "kind": "count",
        "device": name,
        "time": time,
        "data": data,
    } | other


def live(turn, enters=1):
    name = f"counter-{LIVE_SERIAL}"
    return {
        "id": f"{name}:{BASE + turn}:{turn:020x}",
        "kind": "count",
        "device": name,
        "data": {"enters": enters},
    }


def counted(*events):
    far_end = Counted()
    far_end.base = BASE
    far_end.take(events)
    return far_end


def test_what_came_is_neither_missing_nor_spurious():
    """Records and windows that are all there leave nothing to say, also with one that was not answered yet."""
    far_end = counted(*(record(3, n) for n in range(20)), *(window(50_001, n) for n in range(9)))
    assert CLEAN | {"unique": 29} == far_end.judge({"3": 19, "50001": 9}, 1)


def test_each_kind_of_fault_is_found():
    """A lost record, one that nobody sent, one of a device that nobody has, and one that came twice are counted."""
    came = [record(3, n) for n in range(20) if n != 7]
    far_end = counted(*came, record(3, 4), record(3, 21), record(9, 0), window(50_001, 2))
    found = far_end.judge({"3": 20, "50001": 3}, 1)
    assert {"missing": 1 + 2, "wrong": 0, "spurious": 2, "doubles": 1, "unique": 22} == found


@pytest.mark.parametrize(
    "event",
    [
        record(3, 0, device="terminal-scale000004"),
        record(3, 0, id=record(3, 1)["id"]),
        record(3, 0, kind="alarm"),
        record(3, 0, data=record(3, 0)["data"] | {"result": "denied"}),
        window(50_001, 0, data={"enters": 1}),
        window(50_001, 0, data={}),
        window(50_001, 0, time=window(50_001, 1)["time"]),
        window(50_001, 0, device="counter-900000000000050002"),
    ],
)
def test_content_that_does_not_go_with_the_number_is_wrong(event):
    """Another device, id, kind, result, count or time than the number implies is found, though the number is owed."""
    found = counted(event).judge({"3": 1} if "uuid" in event["data"] else {"50001": 1}, 1)
    assert CLEAN | {"wrong": 1, "unique": 1} == found


def test_what_has_no_number_is_known_by_its_id():
    """A live count is known by its second, and twice is a double."""
    far_end = counted(live(60), live(60))
    assert CLEAN | {"doubles": 1, "unique": 0} == far_end.judge({}, 1, [BASE + 60])


def test_live_counts_are_owed_one_by_one():
    """A live count that is lost, one that nobody pushed, and one that says something else are each found."""
    found = counted(live(60), live(120), live(180, enters=2)).judge(
        {}, 1, [BASE + 60, BASE + 180, BASE + 240]
    )
    assert CLEAN | {"missing": 1, "wrong": 1, "spurious": 1, "unique": 0} == found


def test_a_live_count_is_owed_to_its_own_subscription_too():
    """Where live counts come by a second way, one that came by the first only is missing."""
    far_end = counted(live(60), live(120))
    far_end.beside = set()
    far_end.add_beside(live(60))
    assert 1 == far_end.judge({}, 1, [BASE + 60, BASE + 120])["missing"]


def test_an_invented_event_without_a_number_is_spurious():
    """What is neither owed by a number, nor a live count, nor the gateway's own word, was said by nobody."""
    word = {"id": "counter-3:1", "kind": "liveness", "data": {}}
    invented = {"id": "counter-3:2", "kind": "count", "data": {"enters": 1}}
    between = window(50_001, 0) | {"id": f"counter-900000000000050001:{BASE + 30}:{0:020x}"}
    assert CLEAN | {"spurious": 2, "unique": 0} == counted(word, invented, between).judge({}, 1)
