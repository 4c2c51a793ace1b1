"""The daemon under test as a process: its configuration, its start, what it says about itself, its end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from far_ends import FarEnds
from processor import pinned

from gateway.simulate.ports import free_port

_HERE = Path(__file__).parent
PRODUCT = "product"
STORELESS = ("answering", "stock")  # variants that keep nothing

_CONFIG = """\
[gateway]
id = "bench"
[listen]
host = "127.0.0.1"
port = {port}
connections = 512
connections_per_address = 512
[store]
path = "{store}"
ballast_bytes = 0
max_bytes = "200 GiB"
min_free_bytes = "1 GiB"
commit_queue = {commit_queue}
[adoption]
max_devices = 5000
per_address = 5000
[runtime]
socket = "{directory}/control.sock"
log_format = "journal"
"""
_MQTT = """\
[sinks.{name}]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{port}"
rate_per_s = {rate}
"""
_HTTPS = """\
[sinks.{name}]
type = "https"
endpoint = "{url}"
ca_file = "{ca}"
secret_file = "{secret}"
batch = 500
rate_per_s = {rate}
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What one daemon is started with."""

    directory: Path  # of its own
    store: Path | None = None  # a store that was filled before; else a fresh one
    variant: str = PRODUCT
    far_ends: FarEnds | None = None  # None: nothing is forwarded
    mqtt: str = "broker"  # name of the sink; "" for none
    https: str = "upstream"
    down: bool = False  # the far ends do not answer, so everything waits
    rate_per_s: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    cpu: int | None = None

    def config(self, port: int) -> str:
        text = _CONFIG.format(
            port=port,
            directory=self.directory,
            store=self.store or self.directory / "store",
            commit_queue=100_000 if self.variant == "early" else 2_000,
        )
        ends = self.far_ends
        if ends is None:
            return text
        if self.mqtt:
            broker = 1 if self.down else ends.broker_port
            text += _MQTT.format(name=self.mqtt, port=broker, rate=self.rate_per_s)
        if self.https:
            url = "https://127.0.0.1:1/events" if self.down else ends.url
            text += _HTTPS.format(
                name=self.https, url=url, ca=ends.ca_file, secret=ends.secret_file, rate=self.rate_per_s
            )
        return text


class Server:
    """One run of the daemon, as a context; `start_s` is how long it took to be ready."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.port = free_port()
        self.start_s = 0.0
        self._socket = site.directory / "control.sock"
        self._log = site.directory / "daemon.log"
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        site = self.site
        site.directory.mkdir(parents=True, exist_ok=True)
        config = site.directory / "config.toml"
        config.write_text(site.config(self.port))
        if site.variant == PRODUCT:
            command = [sys.executable, "-m", "gateway", "-c", str(config), "run"]
        else:
            command = [sys.executable, str(_HERE / "variants.py"), site.variant, str(config)]
        # The readiness that systemd waits for is the one that counts.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self._log.open("ab") as log:
            address = f"\0bench-{os.getpid()}-{self.port}"
            ready.bind(address)
            ready.settimeout(0.2)
            environment = {**os.environ, **site.environment, "NOTIFY_SOCKET": "@" + address[1:]}
            started = time.perf_counter()
            self._process = subprocess.Popen(
                pinned(site.cpu, *command), stdout=log, stderr=log, env=environment
            )
            self._wait_until_ready(ready, started)
        if site.variant in STORELESS:
            self._check_who_answers()
        return self

    def _wait_until_ready(self, ready: socket.socket, started: float) -> None:
        while True:
            try:
                if b"READY=1" in ready.recv(4096):
                    self.start_s = time.perf_counter() - started
                    return
            except TimeoutError:
                if self._process.poll() is not None or time.perf_counter() - started > 120:
                    sys.exit(f"bench: the daemon does not start: {self._log.read_text()[-3000:]}")

    def _check_who_answers(self) -> None:
        """Hold that the variant is one: a replaced name that nobody uses any more would measure the product itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/push", b"<a/>", {"Content-Type": "application/xml"})
        stock = connection.getresponse().getheader("server") == "hypercorn-h11"
        connection.close()
        if stock != (self.site.variant == "stock"):
            self.__exit__()
            sys.exit(f"bench: the variant {self.site.variant} is not what answers; put variants.py right")

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def status(self) -> dict:
        """Ask it over its control socket."""
        connection = _UnixConnection(self._socket)
        try:
            connection.request("GET", "/status")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def accounts(self) -> dict[str, dict]:
        """Give the account of each configured sink."""
        return {sink["name"]: sink for sink in self.status()["sinks"] if sink.get("configured")}

    def connected(self, timeout_s: float = 20) -> None:
        """Wait until every sink has its far end."""
        self._until(
            lambda: all(sink["connected"] is not False for sink in self.accounts().values()), timeout_s
        )

    def drained(self, timeout_s: float = 120) -> None:
        """Wait until nothing waits for a sink and nothing for the disk."""
        head = -1

        def settled() -> bool:
            nonlocal head
            status = self.status()
            before, head = head, status["received"]
            waiting = sum(sink["waiting"] for sink in status["sinks"] if sink.get("configured"))
            return waiting == 0 and head == before

        self._until(settled, timeout_s)

    def _until(self, met, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not met():
            if time.monotonic() > deadline:
                sys.exit(
                    f"bench: the daemon does not settle: {self.accounts()} {self._log.read_text()[-3000:]}"
                )
            time.sleep(0.15)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("gateway", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
