"""The oracle of the scale experiments finds what is missing, what nobody said, and what came twice."""

from counted_end import Counted

BASE = 1_700_000_000


def record(device, turn):
    return {"id": f"face:{device}{turn}", "data": {"uuid": f"00{device:06d}-0000-4000-8000-{turn:012d}"}}


def window(device, turn):
    return {"id": f"counter-9000000000000{device}:{BASE + 60 * turn}:{turn:020x}", "data": {}}


def counted(*events):
    far_end = Counted()
    far_end.base = BASE
    far_end.take(events)
    return far_end


def test_what_came_is_neither_missing_nor_spurious():
    """Records and windows that are all there leave nothing to say, also with one that was not answered yet."""
    far_end = counted(*(record(3, n) for n in range(20)), *(window(50_001, n) for n in range(9)))
    found = far_end.judge({"3": 19, "50001": 9}, 1)
    assert {"missing": 0, "spurious": 0, "doubles": 0, "unique": 29} == found


def test_each_kind_of_fault_is_found():
    """A lost record, one that nobody sent, one of a device that nobody has, and one that came twice are counted."""
    came = [record(3, n) for n in range(20) if n != 7]
    far_end = counted(*came, record(3, 4), record(3, 21), record(9, 0), window(50_001, 2))
    found = far_end.judge({"3": 20, "50001": 3}, 1)
    assert {"missing": 1 + 2, "spurious": 2, "doubles": 1, "unique": 22} == found


def test_what_has_no_number_is_known_by_its_id():
    """A count beside the backlog is found by its id, and twice is a double."""
    far_end = counted({"id": "counter-3:1:ab", "data": {}}, {"id": "counter-3:1:ab", "data": {}})
    assert (0, 1, {"counter-3:1:ab"}) == (far_end.unique, far_end.doubles, far_end.others)
