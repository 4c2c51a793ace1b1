"""A whole site, put together from what the documents say: their mosquitto, their sinks, their receiver."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from brokers import Message, Mosquitto, Subscriber, free_port
from pages import ROOT, blocks

FIXTURES = ROOT / "tests" / "fixtures"
SECRET = "whsec_" + base64.b64encode(b"a signing secret for tests only!").decode()

PUSHED = (
    "people_counter/vendor_interval",
    "people_counter/vendor_heartbeat",
    "people_counter/real_time_second_of_second",
    "people_counter/real_time_first_of_second",  # what came before: superseded
    "face_terminal/vendor_document_record",
    "face_terminal/vendor_document_alarm",  # with a comma too many: repaired
    "people_counter/clock_not_set",
    "people_counter/local_time_assumed_utc",
    "people_counter/zone_disagrees_with_unix",
    "people_counter/window_of_no_length",
    "people_counter/enters_negative",
    "face_terminal/door_request",
)
_ENDPOINT = 'endpoint = "https://events.example/gateway"'
_OWN = """
[gateway]
id = "lobby-1"
[clock]
trust = "plausible"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{folder}/store"
ballast_bytes = 0
[runtime]
socket = "{folder}/control.sock"
[sinks.single]
type = "https"
endpoint = "http://127.0.0.1:{upstream}/single"
insecure_http = true
secret_file = "{folder}/signing-secret"
"""


@dataclass
class Site:
    """What arrived at the far ends of a gateway that was set up as the documents say."""

    requests: list[tuple[dict[str, str], bytes, int]]  # headers, body, and what the example answered
    facts: dict[str, dict]  # what the example kept
    events: list[dict]
    states: list[dict]
    online: dict  # the last status while it ran
    offline: dict  # and the one after its stop
    greeting: str  # of the device port
    sentences: list[str]  # of the faults and letters
    exits: list[int]  # of `gateway status`: with faults, and after the stop
    broker_port: int


def upstream_example() -> dict:
    """Run the Python of upstream.md, and give the names that it defines."""
    names: dict = {}
    for block in blocks("upstream.md", "python"):
        exec(compile(block, "docs/upstream.md", "exec"), names)
    return names


@contextmanager
def receiver() -> Iterator[tuple[int, list, dict]]:
    """Be an upstream that does with each request what the example does."""
    receive, requests, facts = upstream_example()["receive"], [], {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receive(SECRET, headers, body, facts)
            requests.append((headers, body, status))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, requests, facts
        server.shutdown()


def broker_of_the_page(folder: Path) -> Mosquitto:
    """Build a mosquitto from the two files in mqtt.md; only its port and its folders are ours."""
    conf, acl = blocks("mqtt.md", "conf")
    (folder / "site-gateway.acl").write_text(acl)
    (folder / "site-gateway.passwd").touch()
    (folder / "kept").mkdir()
    for user in ("gateway", "reader"):
        words = ["mosquitto_passwd", "-b", str(folder / "site-gateway.passwd"), user, f"{user}-pass"]
        subprocess.run(words, check=True, capture_output=True)
    lines = [line for line in conf.splitlines() if line and not line.startswith(("#", "listener"))]
    ours = [line.replace("/etc/mosquitto", str(folder)) for line in lines]
    return Mosquitto(folder, *ours, f"persistence_location {folder}/kept/")


def configuration(folder: Path, port: int, broker: int, upstream: int) -> Path:
    """Take the sinks as the pages show them; only the addresses and the paths are ours."""
    secrets = {"mqtt-password": "gateway-pass", "signing-secret": SECRET, "upstream-token": "token"}
    for name, text in secrets.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    shown = "".join(blocks("mqtt.md", "toml") + blocks("upstream.md", "toml"))
    assert {"broker", "upstream"} == tomllib.loads(shown)["sinks"].keys()
    assert shown.count("127.0.0.1:1883") == shown.count(_ENDPOINT) == 1
    shown = shown.replace("127.0.0.1:1883", f"127.0.0.1:{broker}")
    shown = shown.replace("/etc/gateway/credentials", str(folder))
    here = f'endpoint = "http://127.0.0.1:{upstream}/gateway"\ninsecure_http = true'
    file = folder / "config.toml"
    own = _OWN.format(port=port, folder=folder, upstream=upstream)
    file.write_text(own + shown.replace(_ENDPOINT, here))
    return file


class Gateway:
    """The daemon and its commands."""

    def __init__(self, folder: Path, config: Path, port: int) -> None:
        self.port = port
        self._log = folder / "log"
        self._words = [sys.executable, "-m", "gateway", "-c", str(config)]
        self._env = {**os.environ, "STATE_DIRECTORY": str(folder / "state")}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it until the end of the block, and stop it in good order."""
        with self._log.open("wb") as log:
            daemon = subprocess.Popen([*self._words, "run"], stdout=log, stderr=log, env=self._env)
        try:
            while not self._answers():
                assert daemon.poll() is None, self._log.read_text()
                time.sleep(0.02)
            yield
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(20) == 0, self._log.read_text()
        finally:
            daemon.kill()
            daemon.wait()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def command(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self._words, *words], capture_output=True, text=True, check=False, env=self._env
        )

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            return connection.getresponse().read()

    def push_all(self) -> list[str]:
        """Push everything; give what was said meanwhile: a notice goes when a push of the device comes without it."""
        said: list[str] = []
        for case in PUSHED:
            self.ask("POST", "/", (FIXTURES / case / "body").read_bytes())
            if case.startswith("people_counter"):
                said += [
                    fault["sentence"]
                    for fault in json.loads(self.command("status", "--json").stdout)["faults"]
                ]
        self.ask("POST", "/x", b"a=1&b=2")
        self.ask("POST", "/x", b"x" * 70_000)
        return said

    def delivered(self) -> subprocess.CompletedProcess:
        """Wait until nothing waits for a sink; give the status then."""
        deadline = time.monotonic() + 20
        while True:
            shown = self.command("status", "--json")
            if all(sink["waiting"] == 0 for sink in json.loads(shown.stdout)["sinks"]):
                return shown
            assert time.monotonic() < deadline, shown.stdout
            time.sleep(0.1)

    def sentences(self, shown: str) -> list[str]:
        """Give what a person is told. A fault shows the newest sentence about a sender, the letters have all."""
        letters = json.loads(self.command("letters", "list", "--json").stdout)
        unread = [
            f"A push from {letter['sender']} could not be read: {letter['reason']}" for letter in letters
        ]
        return [fault["sentence"] for fault in json.loads(shown)["faults"]] + unread


def _all_is_told(messages: Sequence[Message]) -> bool:
    # The states are published before the status that tells of the last push.
    return any(b"terminal_asks_to_open_door" in message.payload for message in messages)


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Run a gateway between a broker and a receiver, push to it, stop it, and give what arrived."""
    with receiver() as (upstream, requests, facts), broker_of_the_page(folder) as broker:
        port = free_port()
        gateway = Gateway(folder, configuration(folder, port, broker.port, upstream), port)
        with Subscriber(broker.port, "gateway/#", name="reader", password="reader-pass") as reader:
            with gateway.running():
                greeting = gateway.ask("GET", "/").decode()
                said = gateway.push_all()
                shown = gateway.delivered()
                sentences = said + gateway.sentences(shown.stdout)
                reader.wait_for(_all_is_told)
            messages = reader.wait_for(lambda seen: b'"stopped"' in seen[-1].payload)
        told = [(message.topic.rpartition("/")[2], json.loads(message.payload)) for message in messages]
        statuses = [payload for leaf, payload in told if leaf == "status"]
        yield Site(
            requests=requests,
            facts=facts,
            events=[payload for leaf, payload in told if leaf == "event"],
            states=[payload for leaf, payload in told if leaf == "state"],
            online=next(status for status in reversed(statuses) if status.get("faults")),
            offline=statuses[-1],
            greeting=greeting,
            sentences=sentences,
            exits=[shown.returncode, gateway.command("status").returncode],
            broker_port=broker.port,
        )
