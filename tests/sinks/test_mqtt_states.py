"""The retained side: the status with its Last Will, and the newest state of each device."""

import asyncio
import json

import anyio
import pytest
from brokers import ACCEPT, CLOSE, IGNORE, FakeBroker, Mosquitto, Subscriber, puback, watch
from mqtt_sinks import BOTH_VERSIONS, events, last_on, make_sink, opened, seqs

from gateway.errors import SinkUnavailable, StoreUnavailable
from gateway.sink import State, StateSink
from gateway.sinks.mqtt import MqttOptions, MqttSink
from gateway.sinks.mqtt.trouble import End, Loss

pytestmark = pytest.mark.anyio

STATUS = "gateway/gw7/status"


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as running:
        yield running


def state(device: str, value: int) -> State:
    return State(device, json.dumps({"in_today": value}).encode())


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_the_status_follows_the_connection(broker, version):
    """The status is retained, says online while connected, and offline with the reason after a clean close."""
    with Subscriber(broker.port, STATUS) as subscriber:
        async with opened(broker.port, version=version):
            await watch(subscriber, lambda got: last_on(got, STATUS) == {"state": "online"})
            with Subscriber(broker.port, STATUS, name="late") as late:
                await watch(late, lambda got: got and got[-1].retain)
        await watch(subscriber, lambda got: len(got) == 2)
    assert {"state": "offline", "gateway": "gw7", "reason": "stopped"} == last_on(subscriber.messages, STATUS)


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_a_lost_connection_shows_as_the_last_will(broker, version):
    """When the connection dies without a goodbye, the broker itself says offline, retained and without a reason."""
    sink = make_sink(broker.port, version=version)
    await sink.open()
    sink._connection.abort(Loss(End.SILENT))
    with Subscriber(broker.port, STATUS) as subscriber:
        messages = await watch(subscriber, lambda got: b"offline" in got[-1].payload if got else False)
    assert {"state": "offline", "gateway": "gw7"} == last_on(messages, STATUS)
    await sink.close()


async def test_all_states_are_shown_again_after_a_broker_that_forgot_them(broker):
    """After a restart of a broker without persistence, the next `open` puts every retained message back."""
    states = [state(f"counter-{number}", number) for number in range(30)]
    sink = make_sink(broker.port, states=states)
    await sink.open()
    broker.kill()
    while sink.connected:
        await anyio.sleep(0.01)
    broker.start()
    await sink.open()
    with Subscriber(broker.port) as subscriber:
        await watch(subscriber, lambda got: len({m.topic for m in got}) == 31)
    shown = {m.topic: m.payload for m in subscriber.messages}
    assert {f"gateway/gw7/{s.device}/state": s.payload for s in states} | {
        STATUS: b'{"state":"online"}'
    } == shown
    await sink.close()


async def test_an_idle_sink_notices_that_the_broker_is_gone(broker):
    """With nothing to send, `connected` turns false soon after the broker ends."""
    async with opened(broker.port) as sink:
        assert sink.connected
        broker.stop()
        with anyio.fail_after(2):
            while sink.connected:
                await anyio.sleep(0.01)
        assert sink.describe()["connected_since"] is None


async def test_states_and_status_are_published_while_connected(broker):
    """A new state and a new status replace the retained ones; without a connection both calls do nothing."""
    sink = make_sink(broker.port)
    assert isinstance(sink, StateSink)
    await sink.publish_states([state("counter-a", 1)])
    await sink.publish_status(b'{"state":"online","n":1}')
    await sink.open()
    await sink.publish_states([state("counter-a", 2), state("Not/a/slug", 3)])
    await sink.publish_status(b'{"state":"online","n":2}')
    with Subscriber(broker.port) as subscriber:
        messages = await watch(
            subscriber,
            lambda got: (
                last_on(got, "gateway/gw7/counter-a/state")
                and last_on(got, STATUS) == {"state": "online", "n": 2}
            ),
        )
    assert {"in_today": 2} == last_on(messages, "gateway/gw7/counter-a/state")
    assert {STATUS, "gateway/gw7/counter-a/state"} == {m.topic for m in messages}
    await sink.close()


async def test_states_that_nobody_took_yet_are_replaced_by_newer_ones():
    """While the broker is slow, only the newest state of a device waits: the old ones are never sent."""
    held = FakeBroker(answer=lambda p: ACCEPT if p.topic == STATUS else None)
    async with held.listening() as broker:
        sink = make_sink(broker.port, inflight=10)
        await sink.open()
        for value in range(50):
            await sink.publish_states([state("counter-a", value), state("counter-b", value)])
            await anyio.sleep(0)
        await anyio.sleep(0.05)
        assert [0] == [
            json.loads(p.payload)["in_today"] for p in broker.published if p.topic.endswith("/state")
        ]
        assert {b'{"in_today": 49}'} == set(sink._traffic._states.values())
        sink._connection.abort(Loss(End.SILENT))
        await sink.close()


async def test_a_state_that_comes_while_all_are_read_is_not_overtaken_by_the_reading(broker):
    """A state published while `open` reads the older ones is the one that stays."""
    reading = anyio.Event()
    newer = anyio.Event()

    async def read_states():
        reading.set()
        await newer.wait()
        return [state("counter-a", 1), state("counter-b", 1)]

    options = MqttOptions(name="out", host="127.0.0.1", port=broker.port, gateway_id="gw7")
    sink = MqttSink(options, read_states, lambda: b"{}")
    async with anyio.create_task_group() as group:
        group.start_soon(sink.open)
        await reading.wait()
        await sink.publish_states([state("counter-a", 2)])
        newer.set()
    with Subscriber(broker.port, "gateway/gw7/+/state") as subscriber:
        await watch(subscriber, lambda got: len(got) >= 2)
        await anyio.sleep(0.05)
    shown = {m.topic: json.loads(m.payload)["in_today"] for m in subscriber.messages}
    assert {"gateway/gw7/counter-a/state": 2, "gateway/gw7/counter-b/state": 1} == shown
    await sink.close()


async def test_a_store_that_cannot_be_read_does_not_keep_the_sink_from_opening(broker):
    """States are best effort: when reading them fails, events flow all the same."""

    async def read_states():
        raise StoreUnavailable

    options = MqttOptions(name="out", host="127.0.0.1", port=broker.port, gateway_id="gw7")
    sink = MqttSink(options, read_states, lambda: b"{}")
    await sink.open()
    assert {} == await sink.send(events(3))
    await sink.close()


async def test_states_do_not_starve_events_nor_events_states():
    """With one place in the window, a flood of both passes turn by turn."""
    async with FakeBroker(connack=b"\x00\x00\x03\x21\x00\x01").listening() as broker:
        sink = make_sink(broker.port)
        await sink.open()
        await sink.publish_states([state(f"counter-{number}", 1) for number in range(50)])
        assert {} == await sink.send(events(50))
        kinds = "".join(p.topic[-1] for p in broker.published if not p.topic.endswith("/status"))
        assert "et" * 20 in kinds, "t ends event, e ends state"
        await sink.close()


async def test_a_state_that_is_too_large_is_left_out(tmp_path):
    """A state beyond the broker's limit is not sent, and does not cost the connection."""
    with Mosquitto(tmp_path, "max_packet_size 1000") as broker:
        states = [State("counter-a", b'"' + b"x" * 2000 + b'"'), state("counter-b", 1)]
        async with opened(broker.port, states=states) as sink:
            with Subscriber(broker.port, "gateway/gw7/+/+") as subscriber:
                assert {} == await sink.send(events(5))
                messages = await watch(subscriber, lambda got: len(seqs(got)) == 5)
            assert sink.connected
    assert {"gateway/gw7/counter-b/state"} == {m.topic for m in messages if m.topic.endswith("/state")}


async def test_a_refused_status_does_not_stop_the_events():
    """A broker that lets us publish events but not the status gets the events."""
    refusing = FakeBroker(answer=lambda p: b"\x87" if p.topic == STATUS else ACCEPT)
    async with refusing.listening() as broker:
        sink = make_sink(broker.port)
        await sink.open()
        assert {} == await sink.send(events(3))
        assert "not authorised (0x87)" == sink.describe()["state_refused"]
        await sink.close()
        assert [0, 1, 2] == seqs(broker.events())


async def test_acknowledged_states_are_no_progress_of_events():
    """A broker that takes states for ever and no event is given up all the same."""
    async with FakeBroker(
        answer=lambda p: None if p.topic.endswith("/event") else ACCEPT
    ).listening() as broker:
        sink = make_sink(broker.port, timeout_s=0.3)
        await sink.open()

        async def show_for_ever():
            while True:
                await sink.publish_states([state("counter-a", 1)])
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as group:
            group.start_soon(show_for_ever)
            with anyio.fail_after(3), pytest.raises(SinkUnavailable):
                await sink.send(events(3))
            group.cancel_scope.cancel()
        await sink.close()


async def test_close_says_goodbye_after_the_last_message():
    """The offline status is on the wire before DISCONNECT, and the broker gets exactly one DISCONNECT."""
    async with FakeBroker().listening() as broker:
        sink = make_sink(broker.port)
        await sink.open()
        await sink.close()
        await sink.close()
        await anyio.sleep(0.05)
        assert b"stopped" in broker.published[-1].payload
        assert 1 == broker.goodbyes


async def _send_in_spite_of(sink, batch):
    """Do as the core does: open and send until it is through."""
    tries = 0
    while True:
        tries += 1
        try:
            await sink.open()
            assert {} == await sink.send(batch)
        except SinkUnavailable:
            assert tries < 20, "what is only shown keeps the events from leaving"
            await anyio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize(("version", "limit"), [(4, "max_packet_size 1000"), (5, "message_size_limit 1000")])
async def test_a_state_beyond_a_limit_that_nobody_announced_stops_no_event(tmp_path, version, limit):
    """A broker that closes on a state that is too large gets all events, and the state no more."""
    with Mosquitto(tmp_path, limit) as broker:
        states = [State("counter-a", b'"' + b"x" * 2000 + b'"'), state("counter-b", 1)]
        sink = make_sink(broker.port, states=states, version=version)
        await _send_in_spite_of(sink, events(5))
        await sink.publish_states([state("counter-a", 2)])  # a small one is shown again
        with Subscriber(broker.port, "gateway/gw7/+/state") as subscriber:
            shown = await watch(subscriber, lambda got: len({m.topic for m in got}) == 2)
        assert {2} == {json.loads(m.payload)["in_today"] for m in shown if "counter-a" in m.topic}
        await sink.close()


@pytest.mark.parametrize("limit", ["max_packet_size 1000", "message_size_limit 1000"])
@pytest.mark.parametrize("version", [4, 5])
async def test_a_status_that_is_too_large_is_shown_shorter(tmp_path, version, limit):
    """With many faults the status can be larger than the broker takes: the events leave, and its first lines are shown."""
    faults = [{"code": "device_silent", "sentence": "x" * 100} for _ in range(20)]
    status = json.dumps({"state": "online", "gateway": "gw7", "version": "1", "faults": faults}).encode()

    async def read_states():
        return []

    with Mosquitto(tmp_path, limit) as broker:
        options = MqttOptions(
            name="out", host="127.0.0.1", port=broker.port, gateway_id="gw7", version=version
        )
        sink = MqttSink(options, read_states, lambda: status)
        await _send_in_spite_of(sink, events(5))
        await sink.publish_status(status)
        await _send_in_spite_of(sink, events(5, first=5))
        if (version, limit.split()[0]) != (
            4,
            "message_size_limit",
        ):  # that one acknowledges it and throws it away
            with Subscriber(broker.port, STATUS) as subscriber:
                shown = await watch(subscriber, lambda got: got)
            assert (20, "1") == (
                last_on(shown, STATUS)["faults_not_shown"],
                last_on(shown, STATUS)["version"],
            )
        await sink.close()


@pytest.mark.parametrize("shown", [5, 200])
async def test_many_states_do_not_hide_the_event_that_ends_the_connection(shown):
    """A broker that acknowledges late and ends the connection on one event leaves states unanswered: they pass for the
    reason a few times and no more, the event becomes a letter, and afterwards all states are shown again."""
    broker = FakeBroker(version=4, connack=b"\x00\x00")

    def answer(message):
        if message.topic.endswith("/event") and json.loads(message.payload)["seq"] == 1:
            return CLOSE
        if message.topic.endswith("/state"):
            asyncio.get_running_loop().call_later(0.02, acknowledge, message.mid, len(broker.connects))
            return IGNORE
        return ACCEPT

    def acknowledge(mid, connection):
        if connection == len(broker.connects) and broker.open_connections:
            broker.write(puback(mid))

    broker.answer = answer
    async with broker.listening():
        sink = make_sink(
            broker.port, version=4, keepalive_s=30, states=[state(f"counter-{n}", n) for n in range(shown)]
        )
        waiting, rejected = events(4), {}
        while not rejected:
            assert len(broker.connects) < 30, "the event is never blamed"
            try:
                await sink.open()
                rejected = await sink.send(waiting)
            except SinkUnavailable as ended:
                waiting = waiting[ended.delivered :]
        assert [1, 2, 3] == [one.seq for one in waiting]
        assert [0] == list(rejected)
        await sink.send(events(1, first=4))
        last = len(broker.connects) - 1
        with anyio.fail_after(10):
            while shown > len(
                {p.topic for p in broker.published if p.connection == last and "/state" in p.topic}
            ):
                await anyio.sleep(0.02)
        await sink.close()


async def test_states_that_are_all_too_large_are_found_out_one_by_one():
    """A broker that ends the connection on every state gets the events in between, and in the end no state at all."""
    broker = FakeBroker(version=4, connack=b"\x00\x00")
    broker.answer = lambda message: CLOSE if message.topic.endswith("/state") else ACCEPT
    async with broker.listening():
        sink = make_sink(broker.port, version=4, states=[state(f"counter-{n}", n) for n in range(6)])
        waiting = events(40)
        while waiting:
            assert len(broker.connects) < 40, "the states are never found out"
            try:
                await sink.open()
                await sink.send(waiting[:1])
                waiting = waiting[1:]
            except SinkUnavailable as ended:
                waiting = waiting[ended.delivered :]
            await anyio.sleep(0.01)
        await sink.close()
    assert list(range(40)) == list(dict.fromkeys(seqs(broker.published)))
