"""A whole site for a test: the daemon as a process, a real broker with a subscriber, a real HTTPS upstream."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import fresh_event
from click.testing import CliRunner

from gateway.commands import main
from gateway.control import views
from gateway.control.client import Client, DaemonDown
from gateway.outbox.reading import looking
from gateway.simulate.broker import Broker
from gateway.simulate.ledger import Ledger, Verdict, compare
from gateway.simulate.ports import free_port
from gateway.simulate.receiver import Receiver
from gateway.simulate.subscriber import Subscriber

SECRET = "whsec_" + base64.b64encode(b"a signing secret for tests only!").decode()

IN_ORDER = 'order = "strict"'  # of a sink; without it a broker that was away gets what is new first

# What every daemon of a test needs to keep to itself; what a test is about comes after it.
SMALL_SITE = """
[clock]
trust = "plausible"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{directory}/store"
ballast_bytes = 0
[runtime]
socket = "{directory}/control.sock"
"""
CONFIG = """
[gateway]
id = "gw-test"
[clock]
trust = "plausible"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{directory}/store"
{store}
[runtime]
socket = "{directory}/control.sock"
log_format = "json"
log_level = "info"
{runtime}
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{broker_port}"
version = "{mqtt_version}"
window = {window}
backoff_max_s = 1
{home}
[sinks.cloud]
type = "https"
endpoint = "{upstream}"
ca_file = "{ca_file}"
secret_file = "{directory}/signing-secret"
batch = {batch}
window = {window}
backoff_max_s = 1
timeout_s = 5
{cloud}
{more}
"""


class Daemon:
    """The gateway as a process of its own; it can be killed at any moment and started again."""

    def __init__(
        self, directory: Path, config: Path, port: int, *, program: tuple[str, ...] = ("-m", "gateway")
    ) -> None:
        self.config, self.port, self.state = config, port, directory / "state"
        self.program = program
        self.log = directory / "daemon.log"
        self.starts = 0
        self.env: dict[str, str] = {}  # what the process gets beside our own
        self._process: subprocess.Popen | None = None

    def launch(self) -> None:
        """Start it and wait for nothing."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self.program, "-c", str(self.config), "run"],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "STATE_DIRECTORY": str(self.state), **self.env},
            )
        self.starts += 1

    def start(self, *, wait_s: float = 60.0) -> None:
        """Start it and wait until it answers."""
        self.launch()
        deadline = time.monotonic() + wait_s
        while not self._answers():
            assert self._process.poll() is None, f"the daemon ended:\n{self.tail()}"
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the daemon does not answer:\n{self.tail()}")
            time.sleep(0.02)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        assert self._process.wait(10) == -signal.SIGKILL

    def stop(self, how: signal.Signals = signal.SIGTERM, *, wait_s: float = 30.0) -> int:
        self._process.send_signal(how)
        return self._process.wait(wait_s)

    def wait(self, wait_s: float) -> int:
        """Wait for its end and give its status."""
        return self._process.wait(wait_s)

    def signal(self, how: signal.Signals) -> None:
        self._process.send_signal(how)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def command(self, *words: str, timeout_s: float = 30.0) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *self.program, "-c", str(self.config), *words],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def asked(self, *words: str) -> subprocess.CompletedProcess:
        """Run a command in this process, which is much quicker than a new one; it writes to nobody's terminal."""
        done = CliRunner().invoke(main, ["-c", str(self.config), *words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text().splitlines()[-lines:])

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"GET / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
                return probe.recv(12) == b"HTTP/1.1 404"
        except OSError:
            return False


def small_daemon(directory: Path, config: str, **named: str) -> Daemon:
    """Give a daemon with this configuration, not started; {port} is its own, and behind {closed} nobody listens."""
    port, file = free_port(), directory / "config.toml"
    file.write_text(config.format(directory=directory, port=port, closed=free_port(), **named))
    return Daemon(directory, file, port)


class Site:
    """Everything of one site in one directory. Ends what it started, by process id."""

    def __init__(
        self,
        directory: Path,
        *,
        window: int = 500,
        batch: int = 50,
        program: tuple[str, ...] = ("-m", "gateway"),
        **extra: str,
    ) -> None:
        self.directory = directory
        self.window, self.batch = window, batch
        # Where events leave in order, what comes again stands within the window.
        self.in_order = ("home", "cloud") if IN_ORDER in extra.get("home", "") else ("cloud",)
        (directory / "broker").mkdir()
        self.broker = Broker(directory / "broker").start()
        self.subscriber = Subscriber(
            "127.0.0.1", self.broker.port, topics=("gateway/+/+/event",), version=self.broker.version
        ).start()
        self.upstream = Receiver(directory, secrets=(SECRET,), keep_data=True).start()
        secret = directory / "signing-secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        port = free_port()
        config = directory / "config.toml"
        if "ballast_bytes" not in extra.get("store", ""):  # pytest keeps directories: not 32 MiB in each
            extra["store"] = f"{extra.get('store', '')}\nballast_bytes = 0"
        config.write_text(
            CONFIG.format(
                port=port,
                directory=directory,
                broker_port=self.broker.port,
                mqtt_version=self.broker.version,
                upstream=self.upstream.url,
                ca_file=self.upstream.ca_file,
                window=window,
                batch=batch,
                **{name: extra.get(name, "") for name in ("store", "runtime", "home", "cloud", "more")},
            )
        )
        self.daemon = Daemon(directory, config, port, program=program)
        self.url = f"http://127.0.0.1:{port}/push"

    def close(self) -> None:
        if self.daemon.running:
            self.daemon.stop(signal.SIGKILL)
        self.subscriber.stop()
        self.broker.close()
        self.upstream.stop()

    def events_at(self, far_end: str) -> list:
        return self.subscriber.events if far_end == "home" else list(self.upstream.ledger.messages())

    def settle(self, *, timeout_s: float = 60.0) -> None:
        """Wait until nothing is waiting for any sink and both far ends have stopped getting more."""
        deadline = time.monotonic() + timeout_s
        while True:
            accounts = self.accounts()
            if all(account["waiting"] == 0 for account in accounts) and len(accounts) == 2:
                break
            assert time.monotonic() < deadline, f"not settled: {accounts}\n{self.daemon.tail()}"
            time.sleep(0.1)
        received = accounts[0]["received"]
        assert self.subscriber.wait_for(received, 60), (
            f"the subscriber has {self.subscriber.distinct} of {received}"
        )

    def accounts(self) -> list[dict]:
        """Ask what `gateway sinks` asks, without a process each time: the daemon, or the store when it is down."""
        try:
            return Client(self.directory / "control.sock", timeout_s=120).get("/read/sinks")["done"]
        except DaemonDown:
            with looking(self.directory / "store") as conn:
                return list(views.sink_accounts(conn, verify=True))

    def fresh_event(
        self, ledger: Ledger | None = None, *, timeout_s: float = 60.0, at: float | None = None
    ) -> float:
        """Push one new event and see it at both far ends; give the seconds.

        Before `judge` the ledger must be given, or the event would be one that nobody said; ``at`` is now, in Unix
        seconds, where a test drives the clock.
        """
        return fresh_event.follow(self, ledger or Ledger(), timeout_s=timeout_s, at=at)

    def judge(
        self, ledger: Ledger, *, told: Callable[[dict[str, Verdict]], object] = lambda _: None
    ) -> dict[str, Verdict]:
        """Hold both far ends against what the devices said; nothing may be missing, spurious or wrong.

        ``told`` gets the verdicts before anything fails for them. What came as an event and is none is spurious, too.
        """
        verdicts = {far_end: compare(ledger, self.events_at(far_end)) for far_end in ("home", "cloud")}
        verdicts["home"].spurious += [
            f"{one.topic}: {one.payload[:80]!r} is no event"
            for one in self.subscriber.arrivals
            if one.event is None and one.topic.endswith("/event")
        ]
        verdicts["cloud"].spurious += [f"no event: {why}" for why in self.upstream.malformed]
        told(verdicts)
        for far_end, verdict in verdicts.items():
            assert verdict.ok, (
                f"{far_end}: {verdict}\n{verdict.missing[:3]}\n{verdict.spurious[:3]}\n{verdict.wrong[:3]}"
                f"\n{self.daemon.tail()}"
            )
        assert self.upstream.bad_signatures == 0
        for account in self.accounts():
            owed = account["received"] - account["delivered"] - account["waiting"] - account["lettered"]
            assert owed == account["expired"] + account["lost"] == 0, account
            assert account["balanced"], account
        return verdicts

    def doubles_in_flight(self, far_end: str, limit: int) -> None:
        """Every double must stand within the window before a fault: never an event that was settled long ago.

        Only where events leave in order. What a fault makes come again begins behind the place that is on the disk, and
        no more than a window was sent beyond it: between two copies of an event stand no more different ones than that.
        """
        last: dict[tuple, int] = {}  # how many different events had come when it came last
        far: list[tuple] = []
        for event in self.events_at(far_end):
            mark = (event["id"], event["revision"])
            if mark in last and len(last) - last[mark] > limit:
                far.append((*mark, len(last) - last[mark]))
            # Two faults in a row: what was in flight at both comes a third time.
            last[mark] = 0
            last[mark] = len(last)
        assert not far, f"{far_end}: {len(far)} doubles came from further back than the window: {far[:3]}"
