"""Try a broker for a person who looks: log in, publish one marked test event, leave; the sink itself goes on.

It is a client of its own, so that the broker does not throw the running gateway out; it has no will, and what it
publishes is not retained and lies beside the topics of events, so that nobody counts it.
"""

import json
from dataclasses import dataclass, replace

import anyio

from gateway.errors import SinkUnavailable
from gateway.sinks.mqtt import trouble
from gateway.sinks.mqtt.connection import Connection
from gateway.sinks.mqtt.options import MqttOptions
from gateway.sinks.mqtt.topics import Topics
from gateway.sinks.mqtt.trouble import End, Loss

_FAILURE = 0x80  # PUBACK reason codes from here on
_NOBODY = 0x10
_MQTT_5 = 5
_HANGING_UP_S = 0.3


@dataclass(frozen=True, slots=True)
class Proven:
    """What a broker was seen to do."""

    topic: str
    client_id: str
    nobody_listens: bool  # as far as it says: MQTT 5 only


class _Answer:
    """The one acknowledgement that is waited for."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.news = anyio.Event()
        self.connection: Connection | None = None

    def came(self, _identifier: int, code: int) -> bool:
        self.code = code
        self.news.set()
        return True

    def turned(self) -> None:
        if self.connection is not None and self.connection.loss:
            self.news.set()


def topic_of_test(options: MqttOptions) -> str:
    """Name where the test event goes."""
    return f"{Topics(options.base, options.gateway_id).root}/doctor"


async def probe(options: MqttOptions, *, test_id: str, time: str) -> Proven:
    """Log in and publish, or raise `SinkUnavailable` as the sink itself would."""
    own = replace(options, client_id=f"{options.client_id}-doctor")
    answer = _Answer()
    connection = answer.connection = Connection(own, will=None, on_ack=answer.came, on_turn=answer.turned)
    try:
        terms = await connection.open()
        if not terms.qos_1:
            raise trouble.no_qos_1(own)
        topic = topic_of_test(own)
        with anyio.move_on_after(own.connect_timeout_s) as waiting:
            if connection.publish(topic, _payload(own, test_id, time), retain=False) is not None:
                await answer.news.wait()
        if answer.code is None:
            raise _unanswered(connection, waiting.cancelled_caught, topic, own)
        if answer.code >= _FAILURE:
            raise trouble.refused_event(answer.code, topic, own, 0)
        await _heed_hanging_up(connection, topic, own)
        with anyio.move_on_after(own.connect_timeout_s):
            await connection.leave()
    finally:
        connection.abort(Loss(End.OURS))
    return Proven(topic, own.client_id, answer.code == _NOBODY)


async def _heed_hanging_up(connection: Connection, topic: str, options: MqttOptions) -> None:
    """Wait a moment: MQTT 3.1.1 has no word for a refusal, so brokers acknowledge what they throw away, and hang up."""
    if options.version == _MQTT_5:
        return
    with anyio.move_on_after(_HANGING_UP_S):
        await connection.ended.wait()
    if connection.loss is not None:
        raise trouble.lost_at_greeting(connection.loss, topic, options)


def _unanswered(connection: Connection, waited: bool, topic: str, options: MqttOptions) -> SinkUnavailable:
    if connection.loss is not None or not waited:
        return trouble.lost_at_greeting(connection.loss or Loss(End.CLOSED), topic, options)
    return SinkUnavailable(
        f"{options.endpoint} took the login and did not acknowledge the test event on {topic} within "
        f"{options.connect_timeout_s:g} s.",
        fault="mqtt_timeout",
    )


def _payload(options: MqttOptions, test_id: str, time: str) -> bytes:
    """Write the event so that neither a person nor a program takes it for a count."""
    said = {"id": test_id, "revision": 0, "kind": "test", "test": True, "device": "doctor"}
    return json.dumps({**said, "gateway": options.gateway_id, "time": time}).encode()
