"""Where the events go: a mosquitto and an HTTPS receiver, each a process of its own."""

import base64
import contextlib
import getpass
import json
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

_HERE = Path(__file__).parent
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
_SYS_COUNT = "$SYS/broker/publish/messages/received"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pinned(cpu: int | None, *command: str) -> list[str]:
    """Give a command that stays on one processor."""
    return [*command] if cpu is None else ["taskset", "-c", str(cpu), *command]


class FarEnds:
    """Both, as a context."""

    def __init__(self, directory: Path, cpu: int | None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.secret_file = directory / "signing-secret"
        self.secret_file.write_text("whsec_" + base64.b64encode(os.urandom(32)).decode())
        self.secret_file.chmod(0o600)
        self.broker_port = free_port()
        self.url = self.ca_file = ""
        self._directory = directory
        self._cpu = cpu
        self._broker: subprocess.Popen | None = None
        self._upstream: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        program = shutil.which("mosquitto", path=_PATHS)
        if program is None:
            sys.exit("bench: mosquitto is not installed. Install it: apt install mosquitto")
        config = self._directory / "mosquitto.conf"
        config.write_text(
            _MOSQUITTO.format(port=self.broker_port, user=getpass.getuser(), directory=self._directory)
        )
        self._broker = subprocess.Popen(
            pinned(self._cpu, program, "-c", str(config)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._upstream = subprocess.Popen(
            pinned(self._cpu, sys.executable, str(_HERE / "upstream.py"), str(self._directory)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = json.loads(self._upstream.stdout.readline())
        self.url, self.ca_file = told["url"], told["ca"]
        deadline = time.monotonic() + 10
        while not _answers(self.broker_port):
            if time.monotonic() > deadline or self._broker.poll() is not None:
                sys.exit(f"bench: mosquitto does not start; {self._directory}/mosquitto.log says why")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._broker is not None:
            self._broker.terminate()
            self._broker.wait(10)
        if self._upstream is not None:
            self._upstream.stdin.close()
            self._upstream.wait(10)

    def upstream(self, word: str = "count") -> dict[str, int]:
        """Ask the HTTPS receiver what it took; "forget" empties its ledger."""
        self._upstream.stdin.write(word + "\n")
        self._upstream.stdin.flush()
        return json.loads(self._upstream.stdout.readline())

    def published(self) -> int:
        """Ask the broker how many messages were published to it since it started; it counts once a second."""
        with Listening(self.broker_port, _SYS_COUNT) as listening:
            time.sleep(2.5)
            return int(listening.messages[-1][1]) if listening.messages else 0


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


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
