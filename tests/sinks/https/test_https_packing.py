"""How many events go into one request, and how that changes."""

import pytest

from gateway.sinks.https.packing import Packing


@pytest.fixture
def log(make_events):
    """Give 100 events, and bodies of 99 bytes, so that each takes 100 with its comma."""
    return make_events(100), [b"x" * 99] * 100


def test_the_number_of_events_is_a_limit(log):
    """No request has more events than the receiver asked for, and the last has what is left."""
    packing = Packing(events=40, size=1_000_000)
    assert [40, 80, 100] == [packing.end_of_next(*log, start) for start in (0, 40, 80)]


def test_the_size_is_a_limit(log):
    """No request is larger than the limit, but one event always goes."""
    assert 10 == Packing(events=40, size=1000).end_of_next(*log, 0)
    assert 8 == Packing(events=40, size=1).end_of_next(*log, 7)


def test_a_size_that_is_too_large_is_learned_and_forgotten(log):
    """After a 413 requests are half as large, until the next fault."""
    packing = Packing(events=100, size=100_000)
    packing.too_large(8000)
    assert 40 == packing.end_of_next(*log, 0)
    packing.forget()
    assert 100 == packing.end_of_next(*log, 0)


def test_an_unanswered_request_is_repeated_once_as_it_was(log):
    """The first repetition has the same events even if more have come; only the second is smaller."""
    events, _ = log
    packing = Packing(events=100, size=100_000)
    packing.failed(events[:80], 8000)
    assert 80 == packing.end_of_next(*log, 0)
    assert 100 == packing.end_of_next(*log, 80)
    packing.failed(events[:80], 8000)
    assert 40 == packing.end_of_next(*log, 0)
    packing.failed(events[:40], 4000)
    assert 40 == packing.end_of_next(*log, 0)


def test_a_small_request_never_becomes_nothing(log):
    """However often nothing is answered, one event is tried."""
    events, _ = log
    packing = Packing(events=100, size=100_000)
    for _ in range(60):
        stop = packing.end_of_next(*log, 0)
        packing.failed(events[:stop], stop * 100)
    assert 10 == packing.end_of_next(*log, 0)


def test_requests_grow_again_slowly(log):
    """After some settled requests in a row the size doubles, up to the configured one."""
    events, _ = log
    packing = Packing(events=100, size=8000)
    packing.failed(events[:80], 8000)
    packing.failed(events[:80], 8000)
    sizes = []
    for _ in range(40):
        packing.settled()
        sizes.append(packing.end_of_next(*log, 0))
    assert [40] * 15 + [80] * 25 == sizes


def test_a_request_that_was_put_off_is_repeated_as_it_was(log):
    """An answer that means later keeps the request together."""
    events, _ = log
    packing = Packing(events=100, size=100_000)
    packing.put_off(events[:30])
    assert 30 == packing.end_of_next(*log, 0)
    packing.settled()
    assert 100 == packing.end_of_next(*log, 0)
