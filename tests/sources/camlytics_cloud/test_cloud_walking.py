"""The windows of a reading by time: nothing between them, nothing behind them, and no end of halving."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.sources.camlytics_cloud.walking import Walk, may_be_cut, shown_by

_NOW = 1_777_000_000_000
_HOUR = 3_600_000


def test_the_place_never_passes_the_newest_record():
    """A PC whose clock is behind pulls the place back, and one that is ahead does not push it forward."""
    walk = Walk.starting(_NOW - _HOUR, _NOW)
    behind, more = walk.reached(records=3, newest=_NOW - 1_200_000, now=_NOW, overlap=600_000)
    assert (_NOW - 1_800_000, None, False) == (behind.since, behind.until, more)
    ahead, _ = walk.reached(records=3, newest=_NOW + _HOUR, now=_NOW, overlap=600_000)
    assert _NOW - 600_000 == ahead.since


def test_an_empty_account_stays_where_it_began():
    """While nothing came nobody knows how late a first record will be."""
    walk = Walk.starting(_NOW - _HOUR, _NOW)
    after, more = walk.reached(records=0, newest=None, now=_NOW + _HOUR, overlap=600_000)
    assert (walk.since, False) == (after.since, more)


def test_a_page_that_may_be_cut_is_halved_until_it_cannot():
    """A page of a round size is read again in halves, down to two seconds, and then taken as it is."""
    walk, halvings = Walk.starting(_NOW - 4 * _HOUR, _NOW), 0
    while True:
        after, more = walk.reached(records=100, newest=_NOW, now=_NOW, overlap=0)
        if after.since != walk.since:
            break
        assert more
        walk, halvings = after, halvings + 1
    assert 10 < halvings < 20
    assert walk.until is not None
    assert walk.until - walk.since == 2_000


def test_it_survives_the_way_to_disk():
    """What is stored is what is read; anything else is no place."""
    walk = Walk.starting(_NOW - 100 * _HOUR, _NOW)
    assert walk == Walk.read(walk.as_json())
    for broken in (None, [], {}, {"since": "1", "span": 2}, {"since": True, "span": 3}):
        assert Walk.read(broken) is None


@given(st.lists(st.integers(0, 5_000), max_size=40), st.integers(0, 30 * 24))
def test_windows_leave_no_gap(sizes, hours):
    """Whatever the pages hold, each window begins within the one before, until the now is reached."""
    walk, covered = Walk.starting(_NOW - hours * _HOUR, _NOW), _NOW - hours * _HOUR
    for size in [*sizes, *[1] * 60]:
        assert walk.since <= covered
        after, more = walk.reached(records=size, newest=_NOW, now=_NOW, overlap=0)
        if after.since != walk.since:
            covered = max(covered, _NOW if walk.until is None else walk.until)
        if not more:
            break
        walk = after
    assert covered == _NOW


def test_round_numbers_look_like_a_limit():
    """A limit is a number that a person or a machine finds round; small numbers are just few events."""
    assert [True, True, True, True] == [may_be_cut(number) for number in (50, 100, 1000, 1024)]
    assert not any(may_be_cut(number) for number in (0, 10, 49, 51, 99, 101, 1023))


def test_a_record_of_the_far_future_leads_no_nearer_than_a_day():
    """Of a camera whose clock is wrong by hours nobody knows when it was: what comes late is still asked for."""
    assert [_NOW - 5, _NOW, _NOW - 24 * _HOUR] == [
        shown_by(when, _NOW) for when in (_NOW - 5, _NOW + _HOUR, _NOW + 10_000 * _HOUR)
    ]


def test_a_walk_that_a_wrong_clock_has_begun_is_known_by_it():
    """A place where the cloud's clock has not come yet is ahead; one within the overlap is not."""
    walk = Walk.starting(_NOW + 30 * _HOUR, _NOW + 40 * _HOUR)
    assert walk.is_ahead(_NOW, 600_000)
    assert not walk.is_ahead(walk.since - 1_000, 600_000)
