"""A mosquitto of the bench's own, and a subscriber on it."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from processor import pinned

from gateway.simulate.ports import free_port

_PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
# Nothing is dropped, and the window is the client's own: the broker must not be what is measured.
_MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
user {user}
persistence false
max_queued_messages 0
max_inflight_messages 0
sys_interval 1
log_dest file {directory}/mosquitto.log
"""


class Broker:
    """A mosquitto process; ``lines`` go into its configuration. As a context."""

    def __init__(self, directory: Path, *lines: str, cpu: int | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._cpu = cpu
        self._config = directory / "mosquitto.conf"
        text = _MOSQUITTO.format(port=self.port, user=getpass.getuser(), directory=directory)
        self._config.write_text(text + "\n".join(lines) + "\n")
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        program = shutil.which("mosquitto", path=_PATHS)
        if program is None:
            sys.exit("bench: mosquitto is not installed. Install it: apt install mosquitto")
        words = pinned(self._cpu, program, "-c", str(self._config))
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_port(self.port, 10)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)


class Listening:
    """A QoS 1 subscriber in a thread, which notes when each message came; as a context."""

    def __init__(self, port: int, topic: str) -> None:
        self.messages: list[tuple[float, bytes]] = []  # perf_counter, payload
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"bench-{os.getpid()}-{id(self)}")
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._came
        self._port = port

    def _came(self, _client: object, _data: object, message) -> None:
        self.messages.append((time.perf_counter(), message.payload))

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        if not self._subscribed.wait(10):
            sys.exit("bench: the broker cannot be subscribed to")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def wait_for_port(port: int, timeout_s: float) -> None:
    """Wait until something listens there."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.005)
    sys.exit(f"bench: nothing listens on port {port} after {timeout_s:.0f} s")
