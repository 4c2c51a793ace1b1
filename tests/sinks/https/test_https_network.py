"""Receivers that do not answer, answer too slowly, or go away in the middle."""

import socket

import anyio
import pytest

from gateway.errors import SinkUnavailable
from gateway.simulate.receiver import Fault, Outcome

pytestmark = pytest.mark.anyio


async def fault_of(sink, events):
    with pytest.raises(SinkUnavailable) as caught:
        await sink.send(events)
    return caught.value


async def test_nobody_listens(receiver, build_sink, make_events):
    """A stopped receiver is a refused connection; started again on the same port it gets everything."""
    sink = build_sink(receiver)
    receiver.stop()
    error = await fault_of(sink, make_events(3))
    assert ("https_refused", 0) == (error.fault, error.delivered)
    assert f"127.0.0.1:{receiver.port}" in str(error)
    receiver.start()
    await sink.open()
    assert {} == await sink.send(make_events(3))
    assert 3 == receiver.ledger.unique


async def test_an_unknown_host_name(receiver, build_sink, make_events, monkeypatch):
    """A name that does not resolve has its own fault."""

    def getaddrinfo(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    sink = build_sink(receiver, endpoint="https://receiver.invalid/events")
    error = await fault_of(sink, make_events(1))
    assert "https_name" == error.fault
    assert "receiver.invalid/events" in str(error)


async def test_an_unreachable_network(receiver, build_sink, make_events, monkeypatch):
    """A machine without a route to the receiver says so."""

    async def connect(*_args, **_options):
        raise OSError("All connection attempts failed") from OSError(101, "Network is unreachable")

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    error = await fault_of(build_sink(receiver), make_events(1))
    assert "https_unreachable" == error.fault
    assert "Network is unreachable" in str(error)


@pytest.mark.parametrize("take", [True, False])
async def test_a_hanging_receiver_meets_the_deadline(receiver, build_sink, make_events, take):
    """No answer ends at the deadline, and the events are sent again, whether they had been taken or not."""
    receiver.script.append(Outcome(fault=Fault.HANG, take=take))
    sink = build_sink(receiver, timeout_s=0.3)
    events = make_events(2)
    with anyio.fail_after(3):
        error = await fault_of(sink, events)
    assert ("https_timeout", 0) == (error.fault, error.delivered)
    await sink.open()
    assert {} == await sink.send(events)
    assert 2 == receiver.ledger.unique
    assert int(take) == len(receiver.ledger.duplicates)
    assert [] == receiver.ledger.conflicts


async def test_a_dripping_answer_meets_the_deadline(receiver, build_sink, make_events):
    """An answer that comes one byte at a time does not hold the sink, and is no success."""
    receiver.script.append(Outcome(fault=Fault.DRIP))
    with anyio.fail_after(3):
        error = await fault_of(build_sink(receiver, timeout_s=0.4), make_events(1))
    assert "https_timeout" == error.fault
    assert "200 OK" in str(error)


async def test_a_slow_answer_within_the_deadline_is_a_success(receiver, build_sink, make_events):
    """Slowness alone is no fault."""
    receiver.script.append(Outcome(delay_s=0.3))
    assert {} == await build_sink(receiver, timeout_s=3.0).send(make_events(1))


async def test_a_receiver_that_never_accepts_meets_the_deadline(receiver, build_sink, make_events):
    """A port that takes connections and never speaks TLS ends at the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with anyio.fail_after(3):
            error = await fault_of(build_sink(receiver, endpoint=endpoint, timeout_s=0.3), make_events(1))
    assert "https_timeout" == error.fault


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.NO_REPLY, Fault.CUT])
@pytest.mark.parametrize("batch", [1, 10])
async def test_a_broken_connection_is_tried_again(receiver, build_sink, make_events, fault, batch):
    """Whatever breaks, the same events come again with the same content, and only what was taken is a duplicate."""
    receiver.script.append(Outcome(fault=fault))
    sink = build_sink(receiver, batch=batch)
    events = make_events(10)
    error = await fault_of(sink, events)
    assert ("https_broken", 0) == (error.fault, error.delivered)
    await sink.open()
    assert {} == await sink.send(events)
    assert 10 == receiver.ledger.unique
    assert (0 if fault is Fault.RESET else batch) == len(receiver.ledger.duplicates)
    assert [] == receiver.ledger.conflicts


@pytest.mark.parametrize("outcome", [Outcome(fault=Fault.NO_REPLY), Outcome(status=504, take=True)])
async def test_a_request_of_unknown_fate_is_repeated_under_the_same_id(
    receiver, build_sink, make_events, outcome
):
    """A receiver that remembers only webhook ids can tell that it had the batch, though more has come since."""
    seen = []

    def decide(request):
        seen.append((request.headers["webhook-id"], len(request.events)))
        return outcome if len(seen) == 1 else None

    receiver.decide = decide
    sink = build_sink(receiver, batch=50)
    await fault_of(sink, make_events(5))
    await sink.open()
    await sink.send(make_events(8))
    assert [5, 5, 3] == [count for _, count in seen]
    assert seen[0] == seen[1]


async def test_a_connection_that_the_receiver_closed_is_replaced(receiver, build_sink, make_events):
    """A receiver that restarted between two calls is reached without a fault."""
    sink = build_sink(receiver)
    await sink.send(make_events(1))
    receiver.stop()
    receiver.start()
    assert {} == await sink.send(make_events(1, first=2))
    assert 2 == receiver.connections


async def test_too_much_for_the_uplink_is_sent_in_smaller_requests(receiver, build_sink, make_events):
    """A batch that never gets through in time is not tried for ever; afterwards requests grow again."""
    receiver.decide = lambda request: (
        Outcome(fault=Fault.HANG, take=False) if len(request.body) > 15_000 else None
    )
    sink = build_sink(receiver, batch=100, batch_bytes=100_000, timeout_s=0.15)
    events = make_events(60, filler=500)
    faults = []
    while events and len(faults) < 20:
        try:
            await sink.send(events)
            break
        except SinkUnavailable as error:
            faults.append(error.fault)
            events = events[error.delivered :]
            await sink.open()
    assert {"https_timeout"} == set(faults)
    assert list(range(1, 61)) == [message["data"]["enters"] for message in receiver.ledger.messages()]
    receiver.decide = None
    for first in range(100, 3000, 100):
        await sink.send(make_events(100, first=first, filler=500))
    assert 1 == len({delivery.request for delivery in receiver.ledger.deliveries[-100:]})


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.05, 0.2])
async def test_a_cancelled_call_leaves_the_sink_usable(receiver, build_sink, make_events, after_s):
    """Cancelled while connecting or while waiting for the answer, the next call works without `open`."""
    sink = build_sink(receiver)
    receiver.decide = lambda _: Outcome(delay_s=0.5)
    with anyio.move_on_after(after_s) as scope:
        await sink.send(make_events(1))
    assert scope.cancelled_caught
    receiver.decide = None
    with anyio.fail_after(3):
        assert {} == await sink.send(make_events(3))
    assert 3 == receiver.ledger.unique


async def test_many_cancelled_calls_do_not_use_up_the_connections(receiver, build_sink, make_events):
    """The client's one connection survives any number of cancellations."""
    sink = build_sink(receiver)
    receiver.decide = lambda _: Outcome(fault=Fault.HANG, take=False)
    for _ in range(10):
        with anyio.move_on_after(0.03):
            await sink.send(make_events(1))
    receiver.decide = None
    with anyio.fail_after(3):
        assert {} == await sink.send(make_events(1))


async def test_close_ends_the_connection(receiver, build_sink, make_events):
    """After close the receiver sees its connection end; a second close does nothing."""
    sink = build_sink(receiver)
    await sink.send(make_events(1))
    await sink.close()
    with anyio.fail_after(2):
        while receiver.open_connections:
            await anyio.sleep(0.01)
    await sink.close()


async def test_close_before_open(receiver, build_sink):
    """A sink that was never opened can be closed."""
    await build_sink(receiver).close()
    assert 0 == receiver.connections


async def test_close_does_not_raise_after_a_fault(receiver, build_sink, make_events):
    """A sink whose receiver broke off can be closed."""
    sink = build_sink(receiver)
    await sink.send(make_events(1))
    receiver.stop()
    await sink.close()
