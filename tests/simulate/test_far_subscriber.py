"""The MQTT subscriber of the demo and the tests: it misses nothing that a broker kept for it."""

import json

import pytest
from mqtt_ends import PROGRAMS, send, until

from gateway.errors import GatewayError
from gateway.simulate.broker import Broker
from gateway.simulate.subscriber import Subscriber


@pytest.fixture(params=PROGRAMS)
def broker(request, tmp_path):
    with Broker(tmp_path, program=request.param) as running:
        yield running


@pytest.fixture
def subscriber(broker):
    one = Subscriber(broker.host, broker.port, topics=("site/#",), version=broker.version).start()
    yield one
    one.stop()


def event(number, revision=0, **more):
    return "site/event", json.dumps({"id": f"e{number}", "revision": revision, "kind": "count", **more})


def test_it_writes_down_every_message(broker, subscriber):
    """Topic, payload, id, revision and order of each message are those that were sent."""
    send(broker, *(event(number, 3) for number in range(50)), ("site/other", "no JSON"), ("elsewhere", "x"))
    assert subscriber.wait_for(50)
    assert until(lambda: len(subscriber.arrivals) == 51)
    assert [(f"e{number}", 3) for number in range(50)] == [
        (one.id, one.revision) for one in subscriber.arrivals[:50]
    ]
    assert list(range(51)) == [one.order for one in subscriber.arrivals]
    assert ("site/other", b"no JSON", None, None) == (
        subscriber.arrivals[50].topic,
        subscriber.arrivals[50].payload,
        subscriber.arrivals[50].event,
        subscriber.arrivals[50].digest,
    )


def test_repeats_are_kept_and_counted_once(broker, subscriber):
    """The same id and revision again is another arrival and no other event; `late` does not change the digest."""
    send(broker, event(1, late=False), event(1, late=True), event(1, 1), event(1, enters=2))
    assert until(lambda: len(subscriber.arrivals) == 4)
    assert (2, 4) == (subscriber.distinct, len(subscriber.events))
    digests = [one.digest for one in subscriber.arrivals]
    assert digests[0] == digests[1]
    assert 3 == len(set(digests))


def test_waiting_in_vain_ends(broker, subscriber):
    """Waiting for more events than came returns False after its time."""
    send(broker, event(1))
    assert subscriber.wait_for(1)
    assert not subscriber.wait_for(2, timeout_s=0.1)


def test_a_state_is_no_event_and_known_as_retained(broker):
    """A retained message that was there before is marked as retained and is not taken for an event."""
    send(broker, ("site/state", '{"id": "door", "people": 3}'), retain=True)
    subscriber = Subscriber(broker.host, broker.port, version=broker.version).start()
    assert until(lambda: subscriber.arrivals)
    send(broker, event(1))
    assert subscriber.wait_for(1)
    subscriber.stop()
    assert [True, False] == [one.retained for one in subscriber.arrivals]
    assert [None, "e1"] == [one.id for one in subscriber.arrivals]


def test_what_came_while_it_was_away_is_kept_for_it(broker, subscriber):
    """All of 1,500 messages that are published while the subscriber is away arrive when it is back, in order."""
    subscriber.stop()
    send(broker, *(event(number) for number in range(1500)))
    subscriber.start()
    assert subscriber.wait_for(1500)
    ids = list(dict.fromkeys(one.id for one in subscriber.arrivals))
    assert [f"e{number}" for number in range(1500)] == ids


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_survives_its_broker(broker, subscriber, how):
    """After the broker was stopped or killed and started again, messages arrive again without any help."""
    send(broker, event(1))
    assert subscriber.wait_for(1)
    getattr(broker, how)()
    assert until(lambda: not subscriber.connected)
    broker.start()
    assert until(lambda: subscriber.connected)
    send(broker, event(2))
    assert subscriber.wait_for(2)
    assert 2 == subscriber.connects


def test_a_broker_that_is_not_there_is_reported(broker):
    """Starting without a broker fails with its address."""
    broker.stop()
    with pytest.raises(GatewayError, match=str(broker.port)):
        Subscriber(broker.host, broker.port).start(timeout_s=0.3)
