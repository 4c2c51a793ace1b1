"""Backoff and pace are arithmetic, so they are tested as arithmetic: no clock runs here."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.retry import Backoff, Pacer

attempts = st.integers(min_value=-5, max_value=10**9)
seeds = st.integers(0, 2**32)


@given(attempts, seeds)
def test_a_wait_never_exceeds_its_ceiling(attempt, seed):
    """Whatever the number of attempts, the wait is between nothing and the cap."""
    backoff = Backoff(base_s=0.5, cap_s=300)
    delay = backoff.delay(attempt, random.Random(seed))
    assert 0 <= delay <= backoff.ceiling_s(attempt) <= 300


def test_the_ceiling_doubles_up_to_the_cap():
    """The longest waits are base, twice base, and so on, and then the cap for ever."""
    backoff = Backoff(base_s=1, cap_s=10)
    assert [1, 1, 2, 4, 8, 10, 10] == [backoff.ceiling_s(attempt) for attempt in (0, 1, 2, 3, 4, 5, 5000)]


def test_the_jitter_is_full():
    """Waits of many gateways spread over the whole range: no tenth of it stays empty."""
    rng = random.Random(7)
    waits = [Backoff(base_s=1, cap_s=100).delay(20, rng) for _ in range(500)]
    assert set(range(10)) == {int(wait // 10) for wait in waits}


def test_the_same_chance_gives_the_same_wait():
    """Chance is handed in, so a wait can be repeated."""
    assert Backoff().delay(5, random.Random(3)) == Backoff().delay(5, random.Random(3))


@given(st.floats(min_value=0.001, max_value=1e9), seeds)
def test_the_far_ends_wish_wins_up_to_its_cap(asked, seed):
    """Never sooner than asked, at most a tenth later, and never longer than the cap for wishes allows."""
    delay = Backoff(cap_s=5).delay(1, random.Random(seed), retry_after_s=asked, retry_after_cap_s=600)
    wish = min(asked, 600)
    assert wish <= delay <= wish * 1.1 + 1e-9


@pytest.mark.parametrize("wish", [0, -3, math.nan, math.inf, -math.inf, None])
def test_a_wish_that_asks_for_nothing_leaves_the_backoff(wish):
    """A far end that always says "0 seconds" does not make us hammer it."""
    expected = Backoff().delay(8, random.Random(1))
    assert expected == Backoff().delay(8, random.Random(1), retry_after_s=wish)


def test_a_pacer_without_a_rate_lets_everything_through():
    """A rate of 0 is no limit."""
    assert (500, 0.0) == Pacer(0).take(500, 1.0)


def test_a_pacer_begins_with_its_burst_and_then_keeps_the_rate():
    """The first second's worth goes at once; then it takes time."""
    pacer = Pacer(100)
    assert (80, 0.0) == pacer.take(80, 10.0)
    assert (20, 0.0) == pacer.take(80, 10.0)
    allowed, wait_s = pacer.take(80, 10.0)
    assert allowed == 0
    assert wait_s == pytest.approx(0.05)
    assert (5, 0.0) == pacer.take(80, 10.0 + wait_s)
    assert (80, 0.0) == pacer.take(80, 11.5)


def test_after_the_promised_wait_something_is_allowed():
    """Who waits as long as told never waits in vain, at any rate."""
    for rate in (0.1, 1, 3, 7.7, 2000, 1e6):
        pacer, now = Pacer(rate), 0.0
        for _ in range(200):
            allowed, wait_s = pacer.take(500, now)
            if not allowed:
                now += wait_s
                allowed, wait_s = pacer.take(500, now)
            assert allowed > 0


@given(
    st.floats(min_value=0.5, max_value=5000),
    st.lists(st.tuples(st.integers(1, 1000), st.floats(min_value=0, max_value=5)), max_size=60),
)
def test_no_pattern_of_asking_gets_more_than_rate_and_burst(rate, asks):
    """Over any time, no more than the rate times the time and one burst goes out."""
    pacer, now, total = Pacer(rate), 0.0, 0
    for wanted, pause in asks:
        now += pause
        allowed, wait_s = pacer.take(wanted, now)
        assert 0 <= allowed <= wanted
        assert (allowed == 0) == (wait_s > 0)
        total += allowed
        assert total <= rate * now + max(1, rate) + 1e-3


def test_a_clock_that_goes_back_gives_nothing():
    """A monotonic clock does not go back, but if it did, nothing would be given twice."""
    pacer = Pacer(10)
    pacer.take(10, 100.0)
    assert pacer.take(10, 50.0)[0] == 0
