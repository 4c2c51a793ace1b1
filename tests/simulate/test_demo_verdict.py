"""The account at the end of the demo: it must not be fine when a far end, a device or the gateway lies."""

import copy
from datetime import UTC, datetime

import pytest

from gateway.simulate.demo.verdict import FarEnd, as_json, as_text, settle, tally_problems
from gateway.simulate.facts import count_key
from gateway.simulate.ledger import Ledger

START = 1_761_991_200
OURS = frozenset({"counter-c1"})


def ledger(*numbers, acknowledged=True):
    """A counter that stated one window for each number."""
    said = Ledger()
    for place, number in enumerate(numbers):
        start = START + 60 * place
        key = count_key("c1", "0", "total", "count", (start, start + 60))
        statement = said.state(key, {"enters": number, "exits": 0})
        statement.sent, statement.acknowledged = True, acknowledged
    return said


def stamp(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def event(place, number, *, device="counter-c1", revision=1):
    start = START + 60 * place
    return {
        "id": f"{device}:{start}",
        "revision": revision,
        "kind": "count",
        "device": device,
        "time": stamp(start),
        "end": stamp(start + 60),
        "data": {"object": "0", "view": "total", "name": "count", "enters": number, "exits": 0},
    }


def row(name="broker", **amounts):
    told = {"received": 2, "delivered": 2, "waiting": 0, "lettered": 0, "expired": 0, "lost": 0}
    return {"name": name, **told, "balanced": True} | amounts


def settled(events, *, said=None, sinks=None, complaints=()):
    ends = [FarEnd("broker", "MQTT subscriber", events, complaints)]
    return settle(said or ledger(4, 5), OURS, [row()] if sinks is None else sinks, ends)


def test_everything_where_it_should_be_is_fine():
    """Two facts that were acknowledged and arrived make an account without a problem."""
    account = settled([event(0, 4), event(1, 5)])
    assert [] == account.problems
    assert account.ok
    assert 2 == account.facts


def test_a_double_is_shown_and_is_no_problem():
    """An event that came twice with the same content is counted and allowed: delivery is at least once."""
    account = settled([event(0, 4), event(0, 4), event(1, 5)])
    assert account.ok
    assert (2, 1) == (account.arrived["broker"].distinct, len(account.arrived["broker"].verdict.duplicates))


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ([event(0, 4)], "missing"),
        ([event(0, 4), event(1, 6)], "other content"),
        ([event(0, 4), event(1, 5), event(2, 1)], "never said"),
        ([event(0, 4), event(1, 5), event(1, 6)], "other content"),
    ],
    ids=["a fact is missing", "a number is wrong", "an event was made up", "a double differs"],
)
def test_a_far_end_that_has_something_else_is_a_problem(events, word):
    """What the far end lacks, makes up or changes is named, and the account is not fine."""
    account = settled(events)
    assert not account.ok
    assert any(word in problem for problem in account.problems)


@pytest.mark.parametrize(
    ("amounts", "word"),
    [
        ({"received": 3}, "does not balance"),
        ({"waiting": 1}, "does not balance"),
        ({"balanced": False}, "does not balance"),
        ({"received": 3, "delivered": 3}, "the MQTT subscriber has 2"),
    ],
)
def test_an_account_that_does_not_add_up_is_a_problem(amounts, word):
    """The gateway's own figures have to balance, and to claim no more than what arrived."""
    (problem,) = settled([event(0, 4), event(1, 5)], sinks=[row(**amounts)]).problems
    assert word in problem


def test_a_sink_without_an_account_is_a_problem():
    """A sink that the gateway does not know any more is named."""
    (problem,) = settled([event(0, 4), event(1, 5)], sinks=[]).problems
    assert "no account of the sink broker" in problem


def test_a_complaint_of_the_far_end_is_a_problem():
    """A wrong signature at the upstream spoils the account."""
    account = settled([event(0, 4), event(1, 5)], complaints=["3 requests had a wrong signature."])
    assert ["3 requests had a wrong signature."] == account.problems


def test_what_others_push_is_counted_and_not_judged():
    """An event of a device that is not the demo's is no spurious one: somebody tried curl."""
    foreign = event(7, 1, device="counter-by-hand")
    account = settled([event(0, 4), event(1, 5), foreign], sinks=[row(received=3, delivered=3)])
    assert account.ok
    assert (3, 1) == (account.arrived["broker"].distinct, account.arrived["broker"].foreign)


def test_what_was_sent_and_not_acknowledged_may_be_there_or_not():
    """A push whose answer got lost is no obligation, and no spurious event either."""
    said = ledger(4, acknowledged=False)
    sinks = [row(received=1, delivered=1)]
    assert settled([event(0, 4)], said=said, sinks=sinks).ok
    assert settled([], said=said, sinks=[row(received=0, delivered=0)]).ok


def today(**amounts):
    return {"device": "counter-c1", "day": datetime.fromtimestamp(START, UTC).date().isoformat(), **amounts}


def test_a_tally_that_the_gateway_shows_must_be_the_counters_own():
    """A sum of the day that differs from what the counter counted is named with both numbers."""
    serials = {"counter-c1": "c1"}
    assert [] == tally_problems(ledger(4, 5), serials, [today(enters_today=9)])
    (problem,) = tally_problems(ledger(4, 5), serials, [today(enters_today=8)])
    assert "counted 9 enters" in problem
    assert "shows 8" in problem


def test_a_tally_with_an_open_push_is_not_judged():
    """Where the answer to a push is not known, the sum may hold it or not."""
    open_ended = ledger(4, acknowledged=False)
    assert [] == tally_problems(open_ended, {"counter-c1": "c1"}, [today(enters_today=99)])


@pytest.mark.parametrize("columns", [80, 40, 20])
def test_the_text_fits_the_terminal(columns):
    """No line of a fine account is wider than the terminal that it is for."""
    text = as_text(settled([event(0, 4), event(1, 5)]), columns)
    assert columns >= max(len(line) for line in text)
    assert any("It balances" in line for line in text)


def test_problems_are_in_the_text_and_in_the_json():
    """A person and a program see the same problems."""
    account = settled([event(0, 4)])
    assert any(line.startswith("! ") for line in as_text(account))
    told = as_json(copy.deepcopy(account))
    assert told["ok"] is False
    assert told["problems"] == account.problems
    assert 1 == told["far_ends"]["broker"]["missing"]
