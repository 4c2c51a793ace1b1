"""Sinks and events for the tests of the MQTT sink."""

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from brokers import Message

from gateway.sink import Outgoing, State
from gateway.sinks.mqtt import MqttOptions, MqttSink

BOTH_VERSIONS = (5, 4)


def event(seq: int, *, device: str = "counter-a", size: int = 0) -> Outgoing:
    """Make the event of this place in the log; ``size`` pads its payload."""
    body = {"id": f"{device}:{seq}", "revision": 0, "seq": seq, "pad": "x" * size}
    return Outgoing(
        seq=seq,
        id=f"{device}:{seq}",
        revision=0,
        kind="count",
        device=device,
        time="2026-11-21T10:00:00.000Z",
        payload=json.dumps(body).encode(),
    )


def events(count: int, *, first: int = 0, device: str = "counter-a") -> list[Outgoing]:
    return [event(seq, device=device) for seq in range(first, first + count)]


def seqs(messages: Sequence[Any]) -> list[int]:
    """Read the places in the log from what arrived on event topics."""
    return [json.loads(m.payload)["seq"] for m in messages if m.topic.endswith("/event")]


def last_on(messages: Sequence[Message], topic: str) -> Any:
    """Read the newest document on a topic, or None."""
    found = [m for m in messages if m.topic == topic]
    return json.loads(found[-1].payload) if found else None


def make_sink(port: int, *, states: Sequence[State] = (), **options: Any) -> MqttSink:
    async def read_states() -> Sequence[State]:
        return states

    given = {"name": "out", "host": "127.0.0.1", "gateway_id": "gw7", "connect_timeout_s": 5.0, **options}
    return MqttSink(MqttOptions(port=port, **given), read_states, lambda: b'{"state":"online"}')


@contextlib.asynccontextmanager
async def opened(port: int, **options: Any) -> AsyncIterator[MqttSink]:
    """Give a sink that is connected, and close it."""
    sink = make_sink(port, **options)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()
