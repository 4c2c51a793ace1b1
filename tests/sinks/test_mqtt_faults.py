"""What the sink makes of a broker that misbehaves, byte by byte."""

import asyncio
import contextlib
import json
import random
import time

import anyio
import pytest
from brokers import ACCEPT, CLOSE, IGNORE, FakeBroker, Mosquitto, Subscriber, _packet, puback, watch
from mqtt_sinks import BOTH_VERSIONS, event, events, make_sink, opened, seqs

from gateway.errors import SinkUnavailable

pytestmark = pytest.mark.anyio


def seq_of(published) -> int:
    return json.loads(published.payload)["seq"] if published.topic.endswith("/event") else -1


async def failed_send(sink, batch) -> SinkUnavailable:
    with pytest.raises(SinkUnavailable) as caught:
        await sink.send(batch)
    return caught.value


async def deliver(sink, batch, rounds: int = 12):
    """Drive the sink as the core does; return (rejected by place in the log, faults), or fail when it never ends."""
    start, faults = 0, []
    for _ in range(rounds):
        try:
            await sink.open()
            rejected = await sink.send(batch[start:])
        except SinkUnavailable as error:
            start += error.delivered
            faults.append(error.fault)
        else:
            return {batch[start + index].seq: reason for index, reason in rejected.items()}, faults
    return pytest.fail(f"not done after {rounds} rounds: {faults}")


# Acknowledgements


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_never_more_unacknowledged_than_the_broker_takes(limit):
    """What is unacknowledged, states included, never exceeds the Receive Maximum."""
    broker = FakeBroker(connack=b"\x00\x00\x03\x21\x00" + bytes([limit]))
    waiting: list[int] = []
    most = 0

    def late(published):
        nonlocal most
        if published.topic.endswith("/status"):
            return ACCEPT
        waiting.append(published.mid)
        most = max(most, len(waiting))
        return IGNORE

    broker.answer = late
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()

        async def acknowledge_slowly():
            while True:
                await anyio.sleep(0.005)
                while waiting:
                    broker.write(puback(waiting.pop(0)))

        async with anyio.create_task_group() as group:
            group.start_soon(acknowledge_slowly)
            assert {} == await sink.send(events(20))
            group.cancel_scope.cancel()
        await sink.close()
    assert limit == most
    assert list(range(20)) == seqs(broker.events())


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_no_acknowledgement_is_given_up_and_the_prefix_is_told(version):
    """When PUBACKs stop in the middle, `send` ends after the timeout and tells the head that was acknowledged."""
    broker = FakeBroker(version=version, answer=lambda p: ACCEPT if seq_of(p) < 5 else IGNORE)
    broker.connack = b"\x00\x00\x00" if version == 5 else b"\x00\x00"
    async with broker.listening():
        sink = make_sink(broker.port, version=version, timeout_s=0.3)
        await sink.open()
        began = time.monotonic()
        error = await failed_send(sink, events(20))
        assert 0.25 < time.monotonic() - began < 2
        assert ("mqtt_timeout", 5) == (error.fault, error.delivered)
        await sink.close()


async def test_slow_acknowledgements_are_progress():
    """A broker that needs longer than the timeout for the batch, but not for each answer, is not given up."""
    async with FakeBroker().listening() as broker:
        sink = make_sink(broker.port, timeout_s=0.3, inflight=1)
        await sink.open()

        def slow(published):
            broker.later(0.1, puback(published.mid))
            return IGNORE

        broker.answer = slow
        assert {} == await sink.send(events(5))
        broker.answer = lambda _: ACCEPT
        await sink.close()


async def test_the_prefix_ends_before_the_first_that_is_missing():
    """Acknowledgements behind one that is missing do not count as delivered: they are sent again."""
    broker = FakeBroker(answer=lambda p: IGNORE if seq_of(p) == 3 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port, timeout_s=0.2)
        await sink.open()
        assert 3 == (await failed_send(sink, events(10))).delivered
        broker.answer = lambda _: ACCEPT
        await sink.open()
        assert {} == await sink.send(events(7, first=3))
        await sink.close()
    assert [*range(10), *range(3, 10)] == seqs(broker.events())


async def test_an_acknowledgement_that_nobody_waits_for_is_ignored():
    """PUBACKs with unknown identifiers, and the same one twice, change nothing."""

    def confused(published):
        broker.write(puback(60_000) + puback(published.mid) + puback(published.mid))
        return ACCEPT

    broker = FakeBroker(answer=confused)
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()
        assert {} == await sink.send(events(10))
        assert {} == await sink.send(events(10, first=10))
        await sink.close()
    assert list(range(20)) == seqs(broker.events())


# One copy


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_nothing_is_sent_again_by_the_library(version):
    """After a reconnect the broker gets what the core sends and nothing else: no stale copy, no DUP flag."""
    broker = FakeBroker(version=version, answer=lambda p: IGNORE if p.topic.endswith("/event") else ACCEPT)
    broker.connack = b"\x00\x00\x00" if version == 5 else b"\x00\x00"
    async with broker.listening():
        sink = make_sink(broker.port, version=version, timeout_s=0.2)
        await sink.open()
        await failed_send(sink, events(10))
        broker.answer = lambda _: ACCEPT
        await sink.open()
        await sink.send([event(99)])
        await anyio.sleep(0.05)
        await sink.close()
    assert [99] == seqs(broker.events(connection=1))
    assert not any(p.dup for p in broker.published)


async def test_every_connection_starts_clean():
    """CONNECT asks for a clean start every time: nothing is left to a session of the broker."""
    async with FakeBroker().listening() as broker:
        sink = make_sink(broker.port)
        for _ in range(2):
            await sink.open()
            await sink.close()
    assert [True, True] == [bool(connect[7] & 2) for connect in broker.connects]


async def test_a_disconnect_in_mid_batch_tells_exactly_what_was_acknowledged():
    """A broker that acknowledges seven and hangs up while more is on the way leaves seven delivered."""
    broker = FakeBroker(answer=lambda p: CLOSE if seq_of(p) == 7 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()
        error = await failed_send(sink, [event(seq, size=20_000) for seq in range(100)])
        assert ("mqtt_lost", 7) == (error.fault, error.delivered)
        await sink.close()


# Reason codes


@pytest.mark.parametrize(
    ("code", "word"),
    [(0x90, "topic name invalid"), (0x95, "packet too large"), (0x99, "payload format invalid")],
)
async def test_codes_that_mean_never_reject_only_that_event(code, word):
    """An event that can never be taken is rejected with the broker's word; the others of the batch are taken."""
    broker = FakeBroker(answer=lambda p: bytes([code]) if seq_of(p) == 2 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()
        rejected = await sink.send(events(6))
        await sink.close()
    assert [2] == list(rejected)
    assert word in rejected[2]
    assert list(range(6)) == seqs(broker.events())


@pytest.mark.parametrize(
    ("code", "fault"), [(0x87, "mqtt_not_authorised"), (0x97, "mqtt_unwilling"), (0x91, "mqtt_unwilling")]
)
async def test_codes_that_mean_later_wait_for_ever_and_repeat_nothing(code, fault):
    """A refusal that may pass never becomes a rejection, and nothing behind it is sent twice for it."""
    broker = FakeBroker(answer=lambda p: bytes([code]) if seq_of(p) == 2 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        start, told = 0, []
        batch = events(6)
        for _ in range(8):
            await sink.open()
            error = await failed_send(sink, batch[start:])
            start += error.delivered
            told.append(error.fault)
        assert [fault] * 8 == told
        assert 2 == start
        arrived = seqs(broker.events())
        assert 8 == arrived.count(2)
        assert {1} == {arrived.count(seq) for seq in (0, 1, 3, 4, 5)}
        broker.answer = lambda _: ACCEPT
        assert {} == await sink.send(batch[start:])
        await sink.close()


async def test_the_topic_that_is_forbidden_is_named():
    """The sentence for a refused topic has the topic and the client in it."""
    broker = FakeBroker(answer=lambda p: b"\x87" if seq_of(p) >= 0 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()
        text = str(await failed_send(sink, events(1)))
        await sink.close()
    assert "gateway/gw7/counter-a/event" in text
    assert "gw7-out" in text


async def test_no_matching_subscribers_is_success():
    """0x10 is a delivery, and a hint."""
    broker = FakeBroker(answer=lambda _: b"\x10")
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()
        assert {} == await sink.send(events(3))
        assert sink.nobody_listens is True
        await sink.close()


@pytest.mark.parametrize("code", [0x80, 0x83])
async def test_a_refusal_without_a_reason_is_tried_again_and_then_given_up(code):
    """An event that the broker refuses again and again while it takes others is rejected, with the code."""
    broker = FakeBroker(answer=lambda p: bytes([code]) if seq_of(p) == 3 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        rejected, faults = await deliver(sink, events(8))
        await sink.close()
    assert [3] == list(rejected)
    assert f"0x{code:02x}" in rejected[3]
    assert ["mqtt_unwilling"] * 3 == faults
    assert 3 == seqs(broker.events()).count(3)


async def test_a_broker_that_refuses_everything_rejects_nothing():
    """When no event is taken it is the broker's fault: all of them wait, however long it lasts."""
    broker = FakeBroker(answer=lambda p: b"\x83" if seq_of(p) >= 0 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        for _ in range(20):
            await sink.open()
            assert 0 == (await failed_send(sink, events(5))).delivered
        broker.answer = lambda _: ACCEPT
        assert {} == (await deliver(sink, events(5)))[0]
        await sink.close()


# Events that kill


@pytest.mark.parametrize("version", BOTH_VERSIONS)
@pytest.mark.parametrize("culprits", [{0}, {4}, {3, 4}, {0, 9}])
async def test_events_that_kill_the_connection_are_rejected_and_the_others_delivered(version, culprits):
    """A broker that hangs up on some events gets all the others, and only the culprits are given up."""
    broker = FakeBroker(version=version, answer=lambda p: CLOSE if seq_of(p) in culprits else ACCEPT)
    broker.connack = b"\x00\x00\x00" if version == 5 else b"\x00\x00"
    async with broker.listening():
        sink = make_sink(broker.port, version=version)
        rejected, _ = await deliver(sink, events(10))
        await sink.close()
    assert culprits == set(rejected)
    assert set(range(10)) == set(seqs(broker.events()))
    assert all("alone" in reason for reason in rejected.values())


async def test_the_last_proof_against_an_event_is_taken_alone():
    """Before an event is given up, another one was taken on that connection, and it went alone after it."""
    broker = FakeBroker(answer=lambda p: CLOSE if seq_of(p) == 4 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        await deliver(sink, events(10))
        await sink.close()
    last = max(p.connection for p in broker.events() if seq_of(p) == 4)
    assert [5, 4] == seqs(broker.events(connection=last))


@pytest.mark.parametrize("answer", [b"\x83", CLOSE])
async def test_a_broker_that_begins_to_fail_in_the_middle_rejects_nothing(answer):
    """Events that were taken before the broker broke down are no proof against those that come after."""
    broker = FakeBroker(answer=lambda p: answer if seq_of(p) >= 5 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        batch, start = events(12), 0
        for _ in range(40):
            try:
                await sink.open()
            except SinkUnavailable:
                continue
            start += (await failed_send(sink, batch[start:])).delivered
        assert 5 == start
        broker.answer = lambda _: ACCEPT
        assert {} == (await deliver(sink, batch[start:]))[0]
        await sink.close()


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_the_broker_does_the_account_is_true(seed):
    """With random silence, refusals, hang-ups and late answers, only acknowledged events count as delivered."""
    rng = random.Random(seed)
    culprit = rng.randrange(30)  # others come after it, to prove its guilt
    acknowledged: set[int] = set()

    def moody(published):
        seq = seq_of(published)
        mood = rng.random()
        if seq < 0 or (seq != culprit and mood < 0.9):
            acknowledged.add(seq)
            return ACCEPT
        if seq == culprit or mood > 0.97:
            return CLOSE
        return rng.choice([IGNORE, b"\x97", b"\x83", CLOSE])

    broker = FakeBroker(connack=bytes([0, 0, 3, 0x21, 0, rng.choice([1, 3, 50])]), answer=moody)
    batch, start, rejected = events(40), 0, {}
    async with broker.listening():
        sink = make_sink(broker.port, timeout_s=0.05)
        for _ in range(200):
            try:
                await sink.open()
                rejected = await sink.send(batch[start : start + 15])
            except SinkUnavailable as error:
                start += error.delivered
            else:
                assert {culprit} >= {batch[start + index].seq for index in rejected}
                start = min(start + 15, len(batch))
            assert acknowledged >= set(range(start)) - {culprit}
            if start == len(batch):
                break
        assert len(batch) == start
        await sink.close()
    assert set(range(40)) - {culprit} <= acknowledged


async def test_a_broker_that_hangs_up_on_every_event_rejects_nothing():
    """When no event survives, none is to blame: access rules can look like this, and a backlog must not be lost."""
    broker = FakeBroker(answer=lambda p: CLOSE if seq_of(p) >= 0 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        told = []
        for _ in range(30):
            try:
                await sink.open()
            except SinkUnavailable:
                continue
            told.append(await failed_send(sink, events(3)))
        assert {0} == {error.delivered for error in told}
        broker.answer = lambda _: ACCEPT
        assert {} == (await deliver(sink, events(3)))[0]
        await sink.close()


async def test_an_event_alone_in_the_log_is_given_up_when_another_one_passes():
    """A culprit with no other event to compare waits; the next event that is taken proves its guilt."""
    broker = FakeBroker(answer=lambda p: CLOSE if seq_of(p) == 0 else ACCEPT)
    async with broker.listening():
        sink = make_sink(broker.port)
        for _ in range(6):
            await sink.open()
            await failed_send(sink, [event(0)])
        rejected, _ = await deliver(sink, events(2))
        await sink.close()
    assert [0] == list(rejected)


async def test_a_broker_that_restarts_often_does_not_make_an_event_a_culprit():
    """Hanging up with a stated reason that is not about a packet blames no event, however often."""
    broker = FakeBroker(answer=lambda p: CLOSE if seq_of(p) == 0 else ACCEPT, farewell=b"\xe0\x01\x8b")
    async with broker.listening():
        sink = make_sink(broker.port)
        for _ in range(10):
            await sink.open()
            error = await failed_send(sink, events(3))
            assert "shutting down" in str(error)
        broker.answer = lambda _: ACCEPT
        await sink.open()
        assert {} == await sink.send(events(3))
        await sink.close()


@pytest.mark.parametrize(
    ("code", "fault"), [(0x8E, "mqtt_client_id_taken"), (0x87, "mqtt_not_authorised"), (0x98, "mqtt_lost")]
)
async def test_a_stated_reason_for_hanging_up_is_told(code, fault):
    """The reason code of a DISCONNECT from the broker decides which fault is told."""
    broker = FakeBroker(answer=lambda p: CLOSE if seq_of(p) == 1 else ACCEPT, farewell=bytes([0xE0, 1, code]))
    async with broker.listening():
        sink = make_sink(broker.port)
        await sink.open()
        error = await failed_send(sink, events(3))
        await sink.close()
    assert (fault, 1) == (error.fault, error.delivered)


@pytest.mark.parametrize(
    ("garbage", "fault", "named"),
    [
        (b"\xff\xff\xff\xff\xff\xff", "mqtt_unasked", "AUTH"),
        (b"\x40\x00", "mqtt_lost", "PUBACK 40 00"),
        (b"\x40\x03\x00\x01\x01", "mqtt_lost", "PUBACK 40 03 00 01 01"),
        (b"\x00\x00", "mqtt_lost", "0x00"),
        (b"\xf0\x00", "mqtt_unasked", "AUTH"),
        (b"\x34\x08\x00\x01a\x00\x07\x00xy", "mqtt_unasked", "PUBLISH"),
        (b"\xd0\x00", "mqtt_unasked", "PINGRESP"),
        (puback(60_000) * 1000, "mqtt_unasked", "PUBACKs of what was never sent"),
        (b"\xe0\xff\xff\x7f", "mqtt_lost", "a packet of 2097155 bytes"),
        (
            b"\xe0\x05\x8b\x03\x1f\x00\x05",
            "mqtt_lost",
            "cannot be read (",
        ),  # a reason that ends beyond its packet
        (b"\xe0\x01\x42", "mqtt_lost", "cannot be read ("),
    ],
)
async def test_garbage_from_the_broker_is_later_and_no_traceback(garbage, fault, named, caplog):
    """What is no answer to us ends the connection as a fault that names it, and the loop goes on."""
    async with FakeBroker().listening() as broker:
        sink = make_sink(broker.port)
        await sink.open()

        def answer(_published):
            broker.write(garbage)
            return IGNORE

        broker.answer = answer
        error = await failed_send(sink, events(3))
        assert fault == error.fault
        assert named in str(error)
        broker.answer = lambda _: ACCEPT
        await sink.open()
        assert {} == await sink.send(events(3))
        await sink.close()
    assert [] == [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("version", BOTH_VERSIONS)
@pytest.mark.parametrize(
    "flood",
    [
        b"\x34\x89\x7a\x00\x01a\x00\x07\x00" + b"x" * 15_617,
        b"\xd0\x00",
        b"\x30\x04\x00\x01ax",
        puback(60_000),
    ],
)
async def test_a_flood_from_the_broker_is_not_kept_and_blames_no_event(flood, version):
    """However much a broker sends that nobody asked for, nothing of it is held, and no event becomes a letter."""
    async with FakeBroker(
        version=version, connack=b"\0\0\0" if version == 5 else b"\0\0"
    ).listening() as broker:
        sink = make_sink(broker.port, version=version)

        def answer(published):
            if seq_of(published) == 1:
                broker.write(flood * (4_000_000 // len(flood)))
                return IGNORE
            return ACCEPT

        broker.answer = answer
        batch = events(3)
        for _ in range(6):
            await sink.open()
            error = await failed_send(sink, batch)
            assert "mqtt_unasked" == error.fault
            batch = batch[error.delivered :]
        broker.answer = lambda _: ACCEPT
        await sink.open()
        assert {} == await sink.send(batch)
        await sink.close()


async def test_a_flood_before_the_status_is_taken_ends_at_once():
    """A broker that floods behind its CONNACK does not hold the opening up until its time is over."""

    async def flood(_reader, writer):
        writer.write(b"\x20\x03\0\0\0" + b"\xd0\x00" * 50)

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    with contextlib.closing(server):
        sink = make_sink(server.sockets[0].getsockname()[1], connect_timeout_s=30)
        with anyio.fail_after(10), pytest.raises(SinkUnavailable) as caught:
            await sink.open()
        await sink.close()
    assert "mqtt_unasked" == caught.value.fault


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_a_line_on_which_acknowledgements_come_is_not_silent(version):
    """A ping that is stuck behind a window on a slow line does not end it while acknowledgements go on coming."""
    waiting = []

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(b"\x20\x03\0\0\0" if version == 5 else b"\x20\x02\0\0")
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first, body, _ = await _packet(reader)
                if first >> 4 == 3:
                    topic_end = 2 + int.from_bytes(body[:2], "big")
                    waiting.append(int.from_bytes(body[topic_end : topic_end + 2], "big"))
                if len(waiting) == 1 and not body[2:topic_end].endswith(b"/event"):
                    writer.write(puback(waiting.pop()))
                    acknowledging.append(asyncio.create_task(slowly(writer)))
        writer.close()

    async def slowly(writer):
        while True:
            await asyncio.sleep(0.3)
            if waiting:
                writer.write(puback(waiting.pop(0)))

    acknowledging = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    with contextlib.closing(server):
        sink = make_sink(server.sockets[0].getsockname()[1], version=version, keepalive_s=1)
        await sink.open()
        assert {} == await sink.send(events(15))
        for task in acknowledging:
            task.cancel()
        await sink.close()


async def test_a_broker_is_told_how_long_its_answers_may_be():
    """CONNECT of MQTT 5 announces the longest packet that is read."""
    async with FakeBroker().listening() as broker, opened(broker.port):
        assert b"\x27" + (4_096).to_bytes(4, "big") in broker.connects[0]


@pytest.mark.parametrize("code", [0x90, 0x95, 0x99])
async def test_a_last_word_holds_when_the_broker_hangs_up_behind_it(code):
    """An event that the broker refuses for good is rejected also when it ends the connection before the rest is told."""

    def answer(published):
        if seq_of(published) == 3:
            broker.write(puback(published.mid, bytes([code])))
            return CLOSE
        return ACCEPT

    async with FakeBroker(answer=answer).listening() as broker:
        rejected, _ = await deliver(make_sink(broker.port), events(8))
    assert [3] == list(rejected)
    assert set(range(8)) == set(seqs(broker.events()))


# Sizes, with the real mosquitto


async def test_what_the_broker_says_is_too_large_is_rejected_before_it_is_sent(tmp_path):
    """With an announced limit the exact largest packet passes and one byte more is rejected, with both sizes."""
    with Mosquitto(tmp_path, "max_packet_size 1000") as broker:
        async with opened(broker.port) as sink:
            room = 1000 - (1 + 2 + 2 + len("gateway/gw7/counter-a/event") + 2 + 1) - len(event(1).payload)
            with Subscriber(broker.port, "gateway/#") as subscriber:
                rejected = await sink.send([event(1, size=room), event(2, size=room + 1), event(3)])
                messages = await watch(subscriber, lambda got: 3 in seqs(got))
            assert sink.connected
    assert [1, 3] == seqs(messages)
    assert [1] == list(rejected)
    assert "1001" in rejected[1]
    assert "1000" in rejected[1]


@pytest.mark.parametrize(
    ("version", "line"),
    [(4, "max_packet_size 1000"), (5, "message_size_limit 1000")],
)
async def test_a_limit_that_is_not_announced_costs_one_event_and_not_the_queue(tmp_path, version, line):
    """mosquitto hangs up, or answers what the library cannot read: the large event is given up, the rest arrives."""
    batch = [*events(3), event(3, size=5000), *events(5, first=4)]
    with Mosquitto(tmp_path, line) as broker, Subscriber(broker.port, "gateway/gw7/+/event") as subscriber:
        sink = make_sink(broker.port, version=version)
        rejected, _ = await deliver(sink, batch)
        messages = await watch(subscriber, lambda got: 8 in seqs(got))
        await sink.close()
    assert [3] == list(rejected)
    assert {0, 1, 2, 4, 5, 6, 7, 8} == set(seqs(messages))


async def test_a_limit_that_a_person_knows_is_kept(tmp_path):
    """`max_packet_bytes` rejects what 3.1.1 brokers would drop without a word."""
    with Mosquitto(tmp_path) as broker:
        async with opened(broker.port, version=4, max_packet_bytes=200) as sink:
            assert [1] == list(await sink.send([event(1), event(2, size=300), event(3)]))
