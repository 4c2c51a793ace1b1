"""Refused requests: only the events that cause the refusal are given up, and never all of them at once."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import SinkUnavailable
from gateway.simulate.receiver import Outcome
from gateway.sink import Outgoing
from gateway.sinks.https import HttpsOptions, HttpsSink
from gateway.sinks.https.progress import Doubt
from gateway.sinks.https.verdict import Answer

pytestmark = pytest.mark.anyio


def refuse(*numbers, status=422):
    """Refuse a request that holds one of these events, as a whole."""
    wanted = {f"{number:016d}" for number in numbers}

    def decide(request):
        bad = [event["sequence"] for event in request.events if event["sequence"] in wanted]
        return Outcome(status=status, body=f"cannot read {int(bad[0])}".encode()) if bad else None

    return decide


def refuse_above(size):
    """Answer 413 to every body above so many bytes."""
    return lambda request: Outcome(status=413) if len(request.body) > size else None


def refuse_all(request):
    """Answer 400 to everything."""
    return Outcome(status=400, body=b"no such schema")


@pytest.mark.parametrize(("status", "batch"), [(422, 1), (400, 16), (415, 500), (422, 500)])
@pytest.mark.parametrize(
    "culprits", [(), (1,), (50,), (17,), (1, 50), (16, 17), (8, 9, 33), (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)]
)
async def test_only_the_culprits_are_refused(receiver, build_sink, make_events, status, batch, culprits):
    """Everything else arrives once and in order; each culprit has the receiver's own words as its reason."""
    receiver.decide = refuse(*culprits, status=status)
    events = make_events(50)
    refused = await build_sink(receiver, batch=batch).send(events)
    assert [number - 1 for number in culprits] == sorted(refused)
    assert [event.id for event in events if event.seq not in culprits] == receiver.ledger.ids
    assert all(str(status) in reason and f"cannot read {i + 1}" in reason for i, reason in refused.items())


async def test_a_whole_small_batch_of_culprits_is_refused(receiver, build_sink, make_events):
    """All three of three events may be refused."""
    receiver.decide = refuse(1, 2, 3)
    assert {0, 1, 2} == set(await build_sink(receiver, batch=10).send(make_events(3)))
    assert 0 == receiver.ledger.unique


async def test_a_batch_that_is_too_large_is_halved(receiver, build_sink, make_events):
    """A receiver with a limit gets everything in order; the limit is learned, and forgotten after a fault."""
    receiver.decide = refuse_above(20_000)
    sink = build_sink(receiver, batch=500)
    await sink.open()
    assert {} == await sink.send(make_events(60, filler=1000))
    first = receiver.requests
    assert {} == await sink.send(make_events(60, first=61, filler=1000))
    second = receiver.requests - first
    await sink.open()
    assert {} == await sink.send(make_events(60, first=121, filler=1000))
    assert list(range(1, 181)) == [one["data"]["enters"] for one in receiver.ledger.messages()]
    assert second < first == receiver.requests - first - second


async def test_one_event_that_is_too_large_is_refused_alone(receiver, build_sink, make_events):
    """Its neighbours arrive."""
    receiver.decide = refuse_above(5000)
    events = [*make_events(4), *make_events(1, first=5, filler=9000), *make_events(4, first=6)]
    refused = await build_sink(receiver, batch=9).send(events)
    assert [4] == list(refused)
    assert "too large" in refused[4]
    assert 8 == receiver.ledger.unique


@pytest.mark.parametrize("batch", [1, 500])
@pytest.mark.parametrize("decide", [refuse_all, lambda _: Outcome(status=413)])
async def test_a_receiver_that_refuses_everything_gives_no_letters(
    receiver, build_sink, make_events, batch, decide
):
    """However often it is tried, nothing is given up; when it is repaired, everything arrives."""
    receiver.decide = decide
    sink = build_sink(receiver, batch=batch)
    events = make_events(60)
    for _ in range(4):
        with pytest.raises(SinkUnavailable) as caught:
            await sink.send(events)
        assert ("https_rejects_all", 0) == (caught.value.fault, caught.value.delivered)
    receiver.decide = None
    assert {} == await sink.send(events)
    assert [event.id for event in events] == receiver.ledger.ids


async def test_the_first_doubt_comes_after_few_requests(receiver, build_sink, make_events):
    """A receiver that refuses everything is not asked about every event of the backlog."""
    receiver.decide = refuse_all
    with pytest.raises(SinkUnavailable):
        await build_sink(receiver).send(make_events(500))
    assert Doubt.FEW == receiver.requests


async def test_few_letters_also_when_events_come_one_by_one(receiver, build_sink, make_events):
    """With one event in every call, fewer than FEW are given up before the sink stops believing."""
    receiver.decide = refuse_all
    sink = build_sink(receiver)
    given_up, faults = 0, []
    for event in make_events(40):
        try:
            given_up += len(await sink.send([event]))
        except SinkUnavailable as error:
            faults.append(error.fault)
    assert Doubt.FEW - 1 == given_up
    assert {"https_rejects_all"} == set(faults)


async def test_a_success_restores_belief(receiver, build_sink, make_events):
    """Every tenth event is taken, so all the refusals between are genuine."""
    events = make_events(100)
    receiver.decide = refuse(*(event.seq for event in events if event.seq % 10))
    assert 90 == len(await build_sink(receiver).send(events))


@pytest.mark.parametrize("batch", [1, 500])
async def test_a_long_row_of_genuine_refusals_ends(receiver, build_sink, make_events, batch):
    """After 100 events that the receiver rightly refuses, the ones it takes still get through, without a person."""
    receiver.decide = refuse(*range(1, 101))
    sink = build_sink(receiver, batch=batch)
    events = make_events(110)
    refused, faults = None, []
    while refused is None and len(faults) < 10:
        try:
            refused = await sink.send(events)
        except SinkUnavailable as error:
            faults.append((error.fault, error.delivered))
    assert {("https_rejects_all", 0)} == set(faults)
    assert set(range(100)) == set(refused)
    assert 10 == receiver.ledger.unique == len(receiver.ledger)


async def test_a_receiver_that_takes_few_requests_at_a_time_is_not_asked_twice(
    receiver, build_sink, make_events
):
    """A refused event at the head and 429 after every four requests: it still ends, and nothing comes twice."""
    budget = [4]
    genuine = refuse(1, 7)

    def decide(request):
        if budget[0] == 0:
            budget[0] = 4
            return Outcome(status=429)
        budget[0] -= 1
        return genuine(request)

    receiver.decide = decide
    sink = build_sink(receiver)
    events = make_events(20)
    given_up, faults = [], []
    while events and len(faults) < 20:
        try:
            given_up, events = [events[i].seq for i in await sink.send(events)], []
        except SinkUnavailable as error:
            faults.append(error.fault)
            events = events[error.delivered :]
    assert {"https_busy"} == set(faults)
    assert [1, 7] == given_up
    assert [n for n in range(1, 21) if n not in (1, 7)] == [
        m["data"]["enters"] for m in receiver.ledger.messages()
    ]


@pytest.fixture
async def interrupted(receiver, build_sink, make_events):
    """Give a sink that took 1, was refused 2, took 3, and was interrupted at 4; with its receiver and events."""
    sink = build_sink(receiver)
    receiver.decide = refuse(2)
    receiver.script.extend([Outcome(), Outcome(status=422), Outcome(), Outcome(status=503)])
    events = make_events(4)
    with pytest.raises(SinkUnavailable) as caught:
        await sink.send(events)
    assert 1 == caught.value.delivered
    return sink, receiver, events


def numbers(receiver):
    return [message["data"]["enters"] for message in receiver.ledger.messages()]


async def test_an_interrupted_call_goes_on_where_it_stopped(interrupted):
    """The refused event is reported by the next call, and what was taken behind it is not sent again."""
    sink, receiver, events = interrupted
    assert [0] == list(await sink.send(events[1:]))
    assert [1, 3, 4] == numbers(receiver)


async def test_another_part_of_the_log_does_not_disturb_an_interrupted_call(interrupted, make_events):
    """A sink that sends live events between loses nothing of what it knows."""
    sink, receiver, events = interrupted
    assert {} == await sink.send(make_events(2, first=50))
    assert [0] == list(await sink.send(events[1:]))
    assert [1, 3, 50, 51, 4] == numbers(receiver)


@pytest.mark.parametrize("first", [0, 2])
async def test_a_replay_after_an_interrupted_call_is_sent_in_full(interrupted, first):
    """A call that begins elsewhere in the same events sends all of them, and so does the one after it."""
    sink, receiver, events = interrupted
    await sink.send(events[first:])
    await sink.send(events[first:])
    replayed = [event.seq for event in events[first:] if event.seq != 2]
    assert [1, 3, *replayed, *replayed] == numbers(receiver)


def test_refusals_and_faults_in_any_mixture_lose_and_double_nothing():
    """Whatever is refused and whenever the receiver is away: each event is taken once or refused once, in order."""

    @settings(max_examples=150, deadline=None)
    @given(
        count=st.integers(1, 60),
        batch=st.sampled_from([1, 2, 7, 500]),
        bad=st.sets(st.integers(1, 60), max_size=12),
        seed=st.integers(0, 2**32),
        away=st.floats(0, 0.6),
    )
    def check(count, batch, bad, seed, away):
        taken, refused = asyncio.run(_drain(count, batch, bad, random.Random(seed), away))
        assert [n for n in range(1, count + 1) if n not in bad] == taken
        assert [n for n in range(1, count + 1) if n in bad] == refused

    check()


async def _drain(count, batch, bad, dice, away):
    """Drain a log as the core does, into a receiver that is away now and then."""
    options = HttpsOptions(name="u", endpoint="http://127.0.0.1:9/", gateway_id="g", batch=batch, gzip=False)
    sink = HttpsSink(options)
    taken, refused = [], []

    async def post(request_id, body):
        numbers = [int(part[:16]) for part in body.decode().split('"sequence":"')[1:]]
        if dice.random() < away:
            if dice.random() < 0.5:
                raise SinkUnavailable("away")
            return Answer(503, {}, "")
        if bad.intersection(numbers):
            return Answer(422, {}, "")
        taken.extend(numbers)
        return Answer(200, {}, "")

    sink._upstream.post = post
    left = [
        Outgoing(n, f"e{n}", 0, "count", "d", "2026-01-01T00:00:00.000Z", b"{}") for n in range(1, count + 1)
    ]
    while left:
        try:
            verdicts = await sink.send(left)
            refused += [left[i].seq for i in verdicts]
            break
        except SinkUnavailable as error:
            left = left[error.delivered :]
    return taken, refused


@pytest.mark.parametrize("batch", [1, 500])
async def test_a_receiver_that_is_repaired_in_the_middle_of_a_call_gives_no_letters(
    receiver, build_sink, make_events, batch
):
    """It refuses everything, and takes everything from one moment on: what it refused before is asked about again."""
    broken = [True]

    def decide(request):
        if any(event["sequence"] == f"{36:016d}" for event in request.events) and len(request.events) == 1:
            broken[0] = False
        return Outcome(status=400) if broken[0] else None

    receiver.decide = decide
    sink = build_sink(receiver, batch=batch)
    events, faults = make_events(60), 0
    left = events
    while left and faults < 10:
        try:
            assert {} == await sink.send(left)
            left = []
        except SinkUnavailable as error:
            faults += 1
            left = left[error.delivered :]
    assert {event.id for event in events} == set(receiver.ledger.ids)
