"""Personal and secret fields through the whole daemon: nowhere by default, and exactly where they were listed."""

import contextlib
import hashlib
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from brokers import Mosquitto, Subscriber
from canaries import ALARM_FACE, FACE, HEADER_SECRET, POLLED, PROTOCOLS, Push
from site_under_test import SECRET, SMALL_SITE, Daemon, free_port

from gateway.simulate.receiver import Receiver

CONFIG = (
    SMALL_SITE  # its last table is [runtime]
    + """
log_format = "json"
log_level = "debug"
[gateway]
id = "gw-canary"
[devices.lobby]
token = "canary-token"
[callbacks]
enabled = true
port = {callbacks}
secret_file = "{directory}/callback-secret"
{more}
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{broker}"
backoff_max_s = 1
{home}
[sinks.cloud]
type = "https"
endpoint = "{upstream}"
ca_file = "{ca_file}"
secret_file = "{directory}/signing-secret"
batch = 50
backoff_max_s = 1
"""
)


class Standing(BaseHTTPRequestHandler):
    """Answers like a system that is polled; ``answers`` belongs to the server."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        waiting = self.server.answers.get(
            path, [b"[]" if path.startswith("/v1") else b'{"code":0,"result":[]}']
        )
        body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        self.server.asked.append(path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words) -> None:
        """Say nothing."""


@contextlib.contextmanager
def standing(polled, *, broken: bool) -> Iterator[ThreadingHTTPServer]:
    """Run a stand-in for one polled system."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Standing)
    server.answers = {path: list(bodies) for path, bodies in polled.answers.items()}
    for path, body in polled.broken.items() if broken else ():
        server.answers[path].insert(0, body)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def clouds(tmp_path, request):
    """Give the sections of the polled systems, which stand and answer."""
    with contextlib.ExitStack() as stack:
        sections, servers = [], []
        for make in POLLED.values():
            polled = make()
            servers.append(stack.enter_context(standing(polled, broken=request.param)))
            for name, content in polled.files.items():
                (tmp_path / name).write_text(content)
                (tmp_path / name).chmod(0o600)
            sections.append(polled.config.format(port=servers[-1].server_port, directory=tmp_path))
        yield "\n".join(sections), servers


class Canaries:
    """A whole site that notes every byte that leaves it."""

    def __init__(self, directory: Path, broker: Mosquitto, upstream: Receiver, *, more="", home="") -> None:
        self.directory, self.store = directory, directory / "store"
        self.ports = {"devices": free_port(), "callbacks": free_port()}
        self.https: list[bytes] = []
        upstream.decide = self._note
        for name, secret in (("signing-secret", SECRET), ("callback-secret", HEADER_SECRET)):
            (directory / name).write_text(secret)
            (directory / name).chmod(0o600)
        config = directory / "config.toml"
        config.write_text(
            CONFIG.format(
                port=self.ports["devices"],
                callbacks=self.ports["callbacks"],
                directory=directory,
                broker=broker.port,
                upstream=upstream.url,
                ca_file=upstream.ca_file,
                more=more,
                home=home,
            )
        )
        self.daemon = Daemon(directory, config, self.ports["devices"])
        self.subscriber = Subscriber(broker.port, "#")
        self.tailed = b""

    def _note(self, request) -> None:
        self.https.append(repr((request.path, dict(request.headers))).encode() + request.body)

    def push(self, port: str, push: Push) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", push.path, push.body, dict(push.headers))
            return connection.getresponse().status

    @contextlib.contextmanager
    def tailing(self):
        """Have `gateway tail` running meanwhile, and keep what it prints."""
        words = [sys.executable, "-m", "gateway", "-c", str(self.daemon.config), "tail", "--json"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        lines: list[bytes] = []

        reader = threading.Thread(target=lambda: lines.extend(process.stdout))
        reader.start()
        deadline = time.monotonic() + 30
        while not lines:  # it says nothing when it is connected
            assert time.monotonic() < deadline, "nothing is tailed"
            self.push("devices", Push(b"a probe that nobody understands"))
            time.sleep(0.2)
        try:
            yield
            time.sleep(0.5)
        finally:
            process.terminate()
            process.wait(10)
            reader.join()
            process.stdout.close()
            self.tailed = b"".join(lines)

    def settle(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            accounts = json.loads(self.daemon.asked("sinks", "--json").stdout)
            if len(accounts) == 2 and all(account["waiting"] == 0 for account in accounts):
                return
            assert time.monotonic() < deadline, accounts
            time.sleep(0.2)

    def commands(self) -> bytes:
        wanted = ("status --json", "devices --json", "letters export", "letters list --json")
        told = [self.daemon.asked(*words.split()).stdout for words in wanted]
        last = json.loads(told[-1])[-1]["number"]
        told.append(self.daemon.asked("letters", "show", str(last)).stdout)
        return "\n".join(told).encode()

    def files(self) -> bytes:
        parts = [
            path.relative_to(self.store).as_posix().encode() + b"\n" + path.read_bytes()
            for path in sorted(self.store.rglob("*"))
            if path.is_file() and path.parent.name != "pictures"
        ]
        return b"\n".join(parts)

    def everything(self) -> dict[str, bytes]:
        """Give all that was written, sent and shown, by where."""
        messages = [f"{m.topic}\n".encode() + m.payload for m in self.subscriber.messages]
        return {
            "store": self.files(),
            "log": self.daemon.log.read_bytes(),
            "mqtt": b"\n".join(messages),
            "https": b"\n".join(self.https),
            "tail": self.tailed,
            "commands": self.commands(),
        }


@pytest.fixture
def ends(tmp_path):
    """The far ends: a real broker and a real HTTPS receiver."""
    (tmp_path / "broker").mkdir()
    upstream = Receiver(tmp_path, secrets=(SECRET,), keep_data=True).start()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker, upstream
    upstream.stop()


def asked_through(servers) -> bool:
    """Say whether every polled system was asked until it had nothing new."""
    return all(len(bodies) == 1 for server in servers for bodies in server.answers.values())


def run(site: Canaries, servers, *, broken: bool) -> dict[str, bytes]:
    """Push everything that is in the table, wait until it is everywhere, and give all that can be seen."""
    with site.subscriber:
        site.daemon.start()
        try:
            assert 0 == site.daemon.asked("capture", "127.0.0.1").returncode
            with site.tailing():
                for protocol in PROTOCOLS.values():
                    pushes = protocol()
                    statuses = [site.push(pushes.port, push) for push in pushes.readable]
                    assert {200} == set(statuses)
                    for push in pushes.unreadable() if broken else ():
                        assert site.push(pushes.port, push) < 500
                visitor = Push(b"", "/feed/report/CanaryVisit0123456789abcdef/csv?key=CanaryVisitKey")
                connection = http.client.HTTPConnection("127.0.0.1", site.ports["devices"], timeout=10)
                with contextlib.closing(connection):
                    connection.request("GET", visitor.path)
                    assert 404 == connection.getresponse().status
                site.push("devices", Push(b"no device says this", "/canary-token"))
                deadline = time.monotonic() + 40
                while not asked_through(servers):
                    assert time.monotonic() < deadline, [server.answers for server in servers]
                    time.sleep(0.1)
            site.settle()
            return site.everything()
        finally:
            site.daemon.stop()


def found(seen: dict[str, bytes], canaries: dict[str, str]) -> dict[str, set[str]]:
    """Say where which canary is."""
    return {
        where: names
        for where, content in seen.items()
        if (names := {name for name, canary in canaries.items() if canary.encode() in content})
    }


def table(kind: str) -> dict[str, str]:
    return {
        f"{name}: {field}": canary
        for name, protocol in (PROTOCOLS | POLLED).items()
        for field, canary in getattr(protocol(), kind, {}).items()
    }


def test_the_table_is_sound():
    """Every canary is in some push of its protocol as it stands there, so that a search for it can find it."""
    for name, protocol in PROTOCOLS.items():
        pushes = protocol()
        said = b"".join(
            push.body + push.path.encode() + repr(dict(push.headers)).encode() for push in pushes.readable
        )
        derived = {"CanaryFacePixels", "CanaryAlarmPixels", "01.481Z"}
        for field, canary in {**pushes.secrets, **pushes.listable}.items():
            assert canary in derived or canary.encode() in said, f"{name}: {field}"


@pytest.mark.parametrize("clouds", [True], indirect=True)
@pytest.mark.slow
def test_by_default_nothing_personal_is_anywhere(tmp_path, ends, clouds):
    """With the default configuration no canary, out of readable or broken bodies, is on disk, on a wire or on a screen."""
    sections, servers = clouds
    site = Canaries(tmp_path, *ends, more=sections)
    seen = run(site, servers, broken=True)
    assert len(site.subscriber.messages) > 5
    assert len(site.https) > 0
    assert b"tipo" in seen["store"]  # the broken bodies are there, as letters
    assert b"raw" in seen["tail"]
    captured = b"".join(path.read_bytes() for path in (site.store / "captures").iterdir())
    assert captured.count(b"\n") > 20  # readable and broken ones, and visitors
    assert {} == found(seen, table("secrets") | table("listable"))
    unknown = "|".join(canary for canary in table("unknown").values())
    leftovers = {
        where: names
        for where, content in seen.items()
        if (names := set(re.findall(rb"(?!%b)Canary\w+" % unknown.encode(), content)))
    }
    assert {} == leftovers
    assert {} == found(seen, {"token of a device": "/canary-token", "visit": "CanaryVisit"})
    after = {"store": site.files()}
    assert {} == found(after, table("secrets") | table("listable"))
    assert not (site.store / "pictures").exists()


LISTED = ("user_id", "name", "mask")


@pytest.mark.parametrize("clouds", [False], indirect=True)
@pytest.mark.slow
def test_the_opt_in_shows_what_was_listed_and_nothing_else(tmp_path, ends, clouds):
    """One sink that lists three fields gets these; the other sink, the log and the letters have none of them."""
    sections, servers = clouds
    site = Canaries(
        tmp_path, *ends, home=f"personal = {json.dumps(LISTED)}", more="[pictures]\nkeep = true\n" + sections
    )
    seen = run(site, servers, broken=False)
    expected = {f"terminal: {name}" for name in LISTED}
    assert {"mqtt": expected, "store": expected} == found(seen, table("listable"))
    assert {} == found(seen, table("secrets"))
    del seen["tail"]  # it shows what came in, and masks what has a name that we know
    assert {} == found(seen, table("unknown"))
    kept = {path.name: path.read_bytes() for path in (site.store / "pictures").iterdir()}
    assert {f"{hashlib.sha256(shot).hexdigest()}.jpg": shot for shot in (FACE, ALARM_FACE)} == kept
    for shot in (FACE, ALARM_FACE):
        assert hashlib.sha256(shot).hexdigest().encode() in seen["https"]
