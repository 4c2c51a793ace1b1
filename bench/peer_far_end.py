"""The far end of the peer table: a cable that can be pulled, and an ear that knows every event.

The ear hangs on the broker itself, so that pulling the cable takes the broker away from the system under test and
nothing from the oracle. One expression finds the key of an event in what each system publishes of it.
"""

import contextlib
import json
import re
import socket
import threading
import time

from broker import Listening
from paho.mqtt.client import Client

from gateway.simulate.ports import free_port

_COUNTER = re.compile(r"SerialNumber\W+(\d+)\W.*?UnixStartTime\W+(\d+)", re.DOTALL)
_RECORD = re.compile(r"uuid\W+([0-9a-f]{8}-[0-9a-f-]{27})")


def keys_in(text: str) -> list[str]:
    """Find the events in a body, or in what a system made of one or of several."""
    if '"revision"' in text:  # ours says when the window began, not how the counter wrote it
        event = json.loads(text)
        if event["kind"] == "count":
            began = time.mktime(time.strptime(event["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
            return [f"{event['device'].rpartition('-')[2]}:{int(began)}"]
    return [f"{serial}:{unix}" for serial, unix in _COUNTER.findall(text)] or _RECORD.findall(text)


# All that ThingsBoard's gateway must be answered; while rates are measured nobody listens to the events.
PLATFORM = "v1/devices/me/rpc/request/+"


class Ear(Listening):
    """Hears what is published, and when each event came first; as a context."""

    def __init__(self, port: int, topic: str = "#") -> None:
        super().__init__(port, topic)
        self.first: dict[str, float] = {}  # key: perf_counter
        self.heard = 0
        self.largest = 0  # bytes of one message

    def _came(self, client: Client, _data: object, message) -> None:
        self._answer_as_platform(client, message)
        self.largest = max(self.largest, len(message.payload))
        text = message.payload.decode(errors="replace")
        keys = keys_in(text) if '"' in text else []
        if keys:
            self.heard += 1
            now = time.perf_counter()
            for key in keys:
                self.first.setdefault(key, now)

    def _answer_as_platform(self, client: Client, message) -> None:
        """ThingsBoard's gateway accepts and never publishes until its platform has told the limits of the session."""
        if message.topic.startswith("v1/devices/me/rpc/request/") and b"getSessionLimits" in message.payload:
            limits = {"maxPayloadSize": 4_000_000, "maxInflightMessages": 1_000, "rateLimits": {}}
            number = message.topic.rpartition("/")[2]
            client.publish(
                f"v1/devices/me/rpc/response/{number}", json.dumps(limits | {"gatewayRateLimits": {}}), qos=1
            )

    def quiet(self, *, for_s: float, at_most_s: float) -> None:
        """Wait until nothing new has come for a while."""
        deadline = time.perf_counter() + at_most_s
        before, since = -1, time.perf_counter()
        while time.perf_counter() < deadline:
            if self.heard != before:
                before, since = self.heard, time.perf_counter()
            elif time.perf_counter() - since > for_s:
                return
            time.sleep(0.1)


class Cable:
    """A port in front of the broker that a system is given; `pull` takes it away, `plug` brings it back."""

    def __init__(self, to_port: int) -> None:
        self.port = free_port()
        self._to = to_port
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()

    def plug(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def pull(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for end in list(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                one, _ = listener.accept()
                other = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            for end in (one, other):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends.add(end)
            for ends in ((one, other), (other, one)):
                threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(262_144):
                other.sendall(data)
        for end in (one, other):
            self._ends.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
