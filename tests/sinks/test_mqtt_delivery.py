"""Events through a real broker: order, acknowledgement, outages, and what is left behind after a call."""

import contextlib
import gc
import threading
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from brokers import Mosquitto, Subscriber, free_port, watch
from mqtt_sinks import BOTH_VERSIONS, event, events, make_sink, opened, seqs

from gateway.errors import SinkUnavailable
from gateway.sinks.mqtt.flight import Flight
from gateway.sinks.mqtt.suspects import Suspects
from gateway.sinks.mqtt.topics import LARGEST_PACKET, Topics
from gateway.sinks.mqtt.trouble import End, Loss
from gateway.sinks.mqtt.window import Window

pytestmark = pytest.mark.anyio


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as running:
        yield running


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_all_events_arrive_once_and_in_order(broker, version):
    """A batch several times as large as the window arrives complete, in order, and each event once."""
    async with opened(broker.port, version=version) as sink:
        with Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
            rejected = await sink.send(events(500))
            messages = await watch(subscriber, lambda got: len(got) >= 500)
    assert {} == rejected
    assert list(range(500)) == seqs(messages)


async def test_an_event_goes_to_its_device_and_is_not_retained(broker):
    """Events of a device are on its own topic, carry the payload as it is, and a late subscriber gets none."""
    sent = event(1, device="terminal-3f")
    async with opened(broker.port, base="site/north") as sink:
        with Subscriber(broker.port, "site/#") as subscriber:
            await sink.send([sent])
            messages = await watch(subscriber, lambda got: any(m.topic.endswith("/event") for m in got))
        with Subscriber(broker.port, "site/#", name="late") as late:
            await watch(late, lambda got: any(m.topic.endswith("/status") for m in got))
            assert [] == [m for m in late.messages if m.topic.endswith("/event")]
    arrived = [m for m in messages if m.topic.endswith("/event")]
    assert [("site/north/gw7/terminal-3f/event", sent.payload)] == [(m.topic, m.payload) for m in arrived]


async def test_an_empty_batch_is_done_at_once(broker):
    """Sending nothing succeeds and says nothing."""
    async with opened(broker.port) as sink:
        assert {} == await sink.send([])


async def test_sending_without_a_connection_is_later_and_not_never():
    """A sink that was never opened says `SinkUnavailable` with nothing delivered."""
    sink = make_sink(free_port())
    with pytest.raises(SinkUnavailable) as caught:
        await sink.send(events(3))
    assert 0 == caught.value.delivered
    await sink.close()


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_a_broker_killed_in_the_middle_leaves_a_true_prefix(broker, version):
    """After a kill in mid-batch and a resend from the prefix everything arrived, and only what follows it twice."""
    batch = events(2000)
    sink = make_sink(broker.port, version=version)
    await sink.open()
    with Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
        async with anyio.create_task_group() as group:

            async def kill_in_the_middle():
                while not (flight := sink._traffic.flight) or flight.taken < 300:
                    await anyio.sleep(0)
                broker.kill()

            group.start_soon(kill_in_the_middle)
            with pytest.raises(SinkUnavailable) as caught:
                await sink.send(batch)
        await anyio.to_thread.run_sync(subscriber.wait_lost)
        before = seqs(subscriber.messages)
        delivered = caught.value.delivered
        assert 0 < delivered < len(batch)
        assert not sink.connected
        broker.start()
        await anyio.to_thread.run_sync(subscriber.wait_connected)
        await sink.open()
        assert {} == await sink.send(batch[delivered:])
        messages = await watch(subscriber, lambda got: seqs(got[-1:]) == [len(batch) - 1])
    after = seqs(messages)[len(before) :]
    assert list(range(delivered, len(batch))) == after, "the resend is exact, and nothing stale is among it"
    assert before == sorted(set(before))
    await sink.close()


async def test_without_a_fault_the_acknowledged_number_is_the_number_sent(broker):
    """Batches one after the other, with reopening in between, give every event exactly once."""
    sink = make_sink(broker.port)
    with Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
        for first in range(0, 250, 50):
            await sink.open()
            assert {} == await sink.send(events(50, first=first))
            if first % 100:
                await sink.close()
        messages = await watch(subscriber, lambda got: len(got) >= 250)
        await anyio.sleep(0.1)
    assert list(range(250)) == seqs(messages)
    await sink.close()


@pytest.mark.parametrize("limit", [1, 3])
async def test_the_window_obeys_a_real_brokers_receive_maximum(tmp_path, limit):
    """A broker that takes few messages at once gets all of them, and the sink says how few."""
    with Mosquitto(tmp_path, f"max_inflight_messages {limit}") as broker:
        async with opened(broker.port) as sink:
            with Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
                assert limit == sink.describe()["inflight"]
                await sink.send(events(100))
                messages = await watch(subscriber, lambda got: len(got) >= 100)
    assert list(range(100)) == seqs(messages)


async def test_whether_anybody_listens_is_known_with_mqtt_5(broker):
    """The broker's hint that nobody subscribes is kept, and goes when somebody does."""
    async with opened(broker.port) as sink:
        assert sink.nobody_listens is None
        await sink.send(events(1))
        assert sink.nobody_listens is True
        with Subscriber(broker.port, "gateway/#"):
            await sink.send(events(1, first=1))
        assert sink.nobody_listens is False
        assert sink.describe()["nobody_listens"] is False


async def test_a_frozen_broker_is_given_up_in_time(broker):
    """A broker that stops answering in the middle makes `send` end after the timeout, not later."""
    sink = make_sink(broker.port, timeout_s=0.5)
    await sink.open()
    broker.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(SinkUnavailable) as caught:
            await sink.send(events(300))
        assert 0.4 < time.monotonic() - began < 3
        assert "mqtt_timeout" == caught.value.fault
        assert not sink.connected
    finally:
        broker.thaw()
    await sink.close()


async def test_a_broker_that_wakes_up_gets_nothing_stale(broker):
    """What a frozen broker had not read when it was given up is not delivered after the resend."""
    sink = make_sink(broker.port, timeout_s=0.3, version=4)
    await sink.open()
    batch = [event(seq, size=100_000) for seq in range(60)]  # more than the kernel's buffers hold
    with Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
        broker.freeze()
        with pytest.raises(SinkUnavailable):
            await sink.send(batch)
        broker.thaw()
        await sink.open()
        await sink.send([event(1000)])
        await watch(subscriber, lambda got: 1000 in seqs(got))
        await anyio.sleep(0.3)
    assert 1000 == seqs(subscriber.messages)[-1]
    await sink.close()


async def test_a_cancelled_send_leaves_nothing_and_close_still_works(broker):
    """After a cancelled `send` into a frozen broker, `close` ends within two seconds."""
    sink = make_sink(broker.port)
    await sink.open()
    broker.freeze()
    try:
        with anyio.move_on_after(0.2) as scope:
            await sink.send([event(seq, size=50_000) for seq in range(400)])
        assert scope.cancelled_caught
        began = time.monotonic()
        await sink.close()
        assert 2 > time.monotonic() - began
        assert not sink.connected
    finally:
        broker.thaw()


async def test_a_cancelled_send_does_not_disturb_the_next(broker):
    """Acknowledgements of a batch that was given up are not counted for the batch after it."""
    async with opened(broker.port) as sink:
        with Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await sink.send(events(200))
            assert {} == await sink.send(events(200, first=1000))
            messages = await watch(subscriber, lambda got: 1199 in seqs(got))
    assert list(range(1000, 1200)) == [seq for seq in seqs(messages) if seq >= 1000]


async def test_close_works_inside_a_cancelled_scope(broker):
    """A shutdown that cancels everything still leaves the broker in good order."""
    sink = make_sink(broker.port)
    await sink.open()
    with Subscriber(broker.port, "gateway/gw7/status") as subscriber:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await sink.close()
        await watch(subscriber, lambda got: any(b"stopped" in m.payload for m in got))


def _held() -> tuple[list[str], list[str]]:
    """Name what we hold: descriptors and threads, after what is only garbage is gone."""
    gc.collect()
    files = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            files.append(str(descriptor.readlink()))
    return sorted(files), sorted(thread.name for thread in threading.enumerate())


async def test_descriptors_and_threads_do_not_grow_over_reconnects(broker):
    """Fifty connections, half of them dropped without goodbye, leave no descriptor and no thread behind."""
    sink = make_sink(broker.port)
    before = _held()
    for number in range(50):
        await sink.open()
        await sink.send(events(3))
        if number % 2:
            await sink.close()
        else:
            sink._connection.abort(Loss(End.SILENT))
    await sink.close()
    await anyio.sleep(0.05)
    assert before == _held()


async def test_failed_attempts_leave_no_descriptor_and_no_thread():
    """Twenty refused connections leave nothing behind."""
    sink = make_sink(free_port())
    before = _held()
    for _ in range(20):
        with pytest.raises(SinkUnavailable):
            await sink.open()
    await anyio.sleep(0.05)
    assert before == _held()


async def test_a_person_who_is_erased_meanwhile_is_in_no_further_message():
    """An event that gives way to the same one with another payload is published as that one, if it is not out yet."""
    batch, published = events(3), []

    def publish(_topic, payload, *, retain):
        published.append(payload)
        return len(published)

    window = Window(publish, limit=1, retain=False)
    window.carry(Flight(batch, Topics("gateway", "gw7"), Suspects(), max_packet=LARGEST_PACKET, version=5))
    first = batch[0].payload
    batch[:] = [replace(one, payload=b"stripped") for one in batch]
    for mid in (1, 2):
        window.acknowledge(mid, 0)
        window.fill()
    assert [first, b"stripped", b"stripped"] == published
