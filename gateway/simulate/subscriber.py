"""A real consumer at the far end: a durable QoS 1 MQTT session that writes down every message it gets.

It lives in a thread of its own and connects again by itself, so it may start before its broker and
outlives it. A message is acknowledged after it was written down.
"""

import json
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, ConnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import GatewayError
from gateway.simulate.facts import fingerprint

_SESSION_S = 86_400
_AGAIN_S = 0.1
_KEEPALIVE_S = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came in; ``id``, ``revision`` and ``digest`` only when it is an event."""

    order: int
    at: float  # Unix time
    topic: str
    retained: bool
    payload: bytes
    event: Mapping[str, Any] | None = field(repr=False, default=None)
    digest: str | None = None  # of the event without `late`

    @property
    def id(self) -> str | None:
        return self.event["id"] if self.event else None

    @property
    def revision(self) -> int | None:
        return self.event["revision"] if self.event else None


class Subscriber:
    """Subscribes to everything below ``topics``; ``version`` is what `Broker.version` says."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        topics: Sequence[str] = ("#",),
        client_id: str = "far-end",
        version: str = "5",
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.arrivals: list[Arrival] = []
        self.connects = 0
        self._address, self._topics = (host, port), topics
        self._modern = version == "5"
        self._changed = threading.Condition()
        self._marks: set[tuple[str, int]] = set()
        self._subscribed = threading.Event()
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if self._modern else MQTTv311,
            clean_session=None if self._modern else False,
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """All events in order of arrival, repeats included: what `ledger.compare` takes."""
        with self._changed:
            return [arrival.event for arrival in self.arrivals if arrival.event is not None]

    @property
    def distinct(self) -> int:
        """How many events came, each (id, revision) counted once."""
        return len(self._marks)

    @property
    def connected(self) -> bool:
        return self._subscribed.is_set()

    def start(self, timeout_s: float = 10.0) -> Self:
        """Subscribe; from here on, and while it is away, the broker keeps messages for it."""
        self._leaving.clear()
        self._thread = threading.Thread(target=self._live, name="subscriber", daemon=True)
        self._thread.start()
        if not self._subscribed.wait(timeout_s):
            self.stop()
            raise GatewayError(
                f"The MQTT broker at {self._address[0]}:{self._address[1]} cannot be subscribed to."
            )
        return self

    def stop(self) -> None:
        """Go away; the session stays at the broker, and `start` takes it up again."""
        self._leaving.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def wait_for(self, number: int, timeout_s: float = 10.0) -> bool:
        """Block until so many distinct events came; say whether they did. Not for an event loop."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._marks) >= number, timeout_s)

    def _live(self) -> None:
        while not self._leaving.is_set():
            try:
                self._connect()
                while not self._leaving.is_set() and self._client.loop(0.1) == MQTT_ERR_SUCCESS:
                    pass
            except OSError:
                pass  # the broker is away: that is what this loop is for
            self._subscribed.clear()
            self._leaving.wait(_AGAIN_S)
        self._client.disconnect()
        self._client.loop(0.0)

    def _connect(self) -> None:
        if not self._modern:
            self._client.connect(*self._address, keepalive=_KEEPALIVE_S)
            return
        keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types for it
        keep.SessionExpiryInterval = _SESSION_S
        self._client.connect(*self._address, keepalive=_KEEPALIVE_S, clean_start=False, properties=keep)

    def _on_connect(
        self,
        client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if not reason.is_failure:
            # Each time: a broker that was killed may have forgotten the session.
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        if not any(reason.is_failure for reason in reasons):
            self.connects += 1
            self._subscribed.set()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        event = _event(payload)
        digest = fingerprint(event) if event else None
        with self._changed:
            number = len(self.arrivals)
            arrival = Arrival(number, time.time(), message.topic, message.retain, payload, event, digest)
            self.arrivals.append(arrival)
            if event:
                self._marks.add((event["id"], event["revision"]))
            self._changed.notify_all()


def _event(payload: bytes) -> Mapping[str, Any] | None:
    """Read an event; None for a state, a status, or anything else without id and revision."""
    try:
        content = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("id"), str):
        return None
    return content if isinstance(content.get("revision"), int) else None
