"""Sockets that stay open while the gateway is replaced: what comes meanwhile waits, and is neither refused nor lost.

A small launcher stands in for systemd: it holds the sockets, hands them over, and starts the gateway anew.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from site_under_test import Daemon
from test_receiving import CONFIG, count

from gateway.simulate.ports import free_port

PROGRAM = Path(__file__).parents[1] / "handed_over.py"


class Activated(Daemon):
    """A gateway that is given its sockets."""

    def __init__(self, directory: Path, *sockets: socket.socket, listen: str = "", names: str = "") -> None:
        self.sockets, self.names = sockets, names
        port = sockets[0].getsockname()[1]
        config = directory / "config.toml"
        config.write_text(CONFIG.format(port=port, directory=directory, listen=listen, store=""))
        super().__init__(directory, config, port)

    def launch(self) -> None:
        numbers = [sock.fileno() for sock in self.sockets]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), "-c", str(self.config), "run"],
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=numbers,
                env={
                    **os.environ,
                    "STATE_DIRECTORY": str(self.state),
                    "HANDED_FDS": ",".join(map(str, numbers)),
                    "LISTEN_FDNAMES": self.names,
                    **self.env,
                },
            )
        self.starts += 1

    def told(self) -> dict:
        return json.loads(self.asked("status", "--json").stdout)


class Pusher(threading.Thread):
    """A device that sends its minutes one after the other; what is not answered with 200 is written down."""

    def __init__(self, port: int, number: int, stop: threading.Event, *, keeps: bool) -> None:
        super().__init__(daemon=True)
        self.port, self.number, self.done = port, number, stop
        self.keeps = keeps  # its connection, for the next push
        self.accepted, self.failures = 0, []  # type: int, list[str]
        self.again = 0  # on a kept connection that was closed between two pushes; HTTP allows to send again
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        minute = 1_761_991_200
        while not self.done.is_set():
            minute += 60
            body = count(minute + 70, 1, serial=b"30%02d" % self.number, start=minute)
            try:
                self._push(body)
            except OSError as error:
                self.failures.append(repr(error))
            else:
                self.accepted += 1

    def _push(self, body: bytes) -> None:
        reused = self._connection is not None
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._connection = connection if self.keeps else None
        try:
            connection.request("POST", "/", body)
            answer = connection.getresponse()
            answer.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            self._connection = None
            connection.close()
            if not reused:
                raise
            self.again += 1
            self._push(body)
            return
        if answer.status != 200:
            self.failures.append(f"answered {answer.status}")
        if not self.keeps or answer.will_close:
            self._connection = None
            connection.close()


@contextlib.contextmanager
def load(port: int):
    """Eight devices that close after each push, and four that keep their connection."""
    stop = threading.Event()
    pushers = [Pusher(port, number, stop, keeps=number >= 8) for number in range(12)]
    for pusher in pushers:
        pusher.start()
    try:
        yield pushers
    finally:
        stop.set()
        for pusher in pushers:
            pusher.join(90)


@pytest.fixture
def open_socket():
    with socket.create_server(("127.0.0.1", 0), backlog=512) as opened:
        yield opened


@pytest.fixture
def launched(tmp_path, open_socket):
    daemon = Activated(tmp_path, open_socket)
    daemon.start()
    yield daemon
    if daemon.running:
        daemon.stop(signal.SIGKILL)


def stored(directory: Path) -> int:
    with contextlib.closing(sqlite3.connect(directory / "store" / "gateway.db")) as conn:
        return conn.execute("SELECT count(*) FROM events WHERE kind = 'count'").fetchone()[0]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_restart_under_load_refuses_no_request_and_loses_none(launched, tmp_path):
    """Through three restarts every push of every device is answered with 200, and all are in the store, once."""
    with load(launched.port) as pushers:
        for _ in range(3):
            before = sum(pusher.accepted for pusher in pushers)
            deadline = time.monotonic() + 60
            while sum(pusher.accepted for pusher in pushers) < before + 60 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert 0 == launched.stop()
            launched.launch()
    assert [] == [failure for pusher in pushers for failure in pusher.failures]
    accepted = sum(pusher.accepted for pusher in pushers)
    assert accepted >= 180
    assert 0 == launched.stop()
    assert accepted == stored(tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_kill_under_load_loses_nothing_that_was_accepted(launched, tmp_path):
    """After kill -9 the port never refuses either: only pushes that were being answered end without an answer."""
    with load(launched.port) as pushers:
        for _ in range(2):
            time.sleep(1)
            launched.kill()
            launched.launch()
        time.sleep(1)
    failures = [failure for pusher in pushers for failure in pusher.failures]
    assert [] == [failure for failure in failures if "Refused" in failure or "answered" in failure]
    accepted = sum(pusher.accepted for pusher in pushers)
    assert 0 == launched.stop()
    assert accepted <= stored(tmp_path) <= accepted + len(failures)


def test_a_connection_that_waits_in_the_backlog_is_answered_by_the_next_gateway(launched):
    """Who connects and asks while no gateway runs gets the answer of the one that is started then."""
    assert 0 == launched.stop()
    with socket.create_connection(("127.0.0.1", launched.port), timeout=60) as waiting:
        body = count(1761991230, 2)
        waiting.sendall(b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        launched.launch()
        assert waiting.recv(12) == b"HTTP/1.1 200"


def test_who_has_just_connected_is_answered_before_the_stop_ends(launched):
    """A connection that was accepted and says nothing yet gets a moment to ask, and then its answer."""
    with socket.create_connection(("127.0.0.1", launched.port), timeout=60) as fresh:
        deadline = time.monotonic() + 30
        while not _accepted(launched.pid, fresh.getsockname()[1]) and time.monotonic() < deadline:
            time.sleep(0.005)
        launched.signal(signal.SIGTERM)
        while "gateway_stopping" not in launched.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.005)
        body = count(1761991230, 2)
        fresh.sendall(b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert fresh.recv(12) == b"HTTP/1.1 200"
    assert 0 == launched.wait(30)


def _accepted(pid: int, port: int) -> bool:
    """Say whether the process holds the other end of a connection from this port."""
    ends = {
        columns[9]
        for columns in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        if columns[2].endswith(f":{port:04X}")
    }
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if any(link.readlink().name == f"socket:[{inode}]" for inode in ends):
                return True
    return False


def test_the_socket_of_systemd_wins_and_says_so(launched):
    """What is handed over is used, and the status names whose socket it is."""
    told = launched.told()
    assert (f"127.0.0.1:{launched.port}", True) == (told["listen"], told["listen_of_systemd"])
    assert "listen_differs" not in {fault["code"] for fault in told["faults"]}
    assert "(socket of systemd)" in launched.asked("status").stdout


def test_a_socket_elsewhere_than_the_configuration_says_is_a_finding(tmp_path, open_socket):
    """With both addresses in it; a reload with the right port clears it, one with a wrong host raises it again."""
    daemon = Activated(tmp_path, open_socket)
    port, other, right = daemon.port, free_port(), daemon.config.read_text()
    daemon.config.write_text(right.replace(f"port = {port}", f"port = {other}"))
    daemon.start()
    try:
        fault = next(fault for fault in daemon.told()["faults"] if fault["code"] == "listen_differs")
        assert f"127.0.0.1:{port}" in fault["sentence"] and f"127.0.0.1:{other}" in fault["sentence"]
        daemon.config.write_text(right)
        assert 0 == daemon.asked("reload").returncode
        assert "listen_differs" not in {fault["code"] for fault in daemon.told()["faults"]}
    finally:
        assert 0 == daemon.stop()


def test_every_socket_that_is_handed_over_is_served(tmp_path, open_socket):
    """A socket unit with two listeners has both answered; what is no listening socket is put aside."""
    with socket.create_server(("127.0.0.1", 0)) as second, socket.socket() as deaf:
        daemon = Activated(tmp_path, open_socket, deaf, second, names="devices:devices:devices")
        daemon.start()
        try:
            for opened in (open_socket, second):
                connection = http.client.HTTPConnection(*opened.getsockname(), timeout=30)
                connection.request("POST", "/", count(1761991230, 2))
                assert 200 == connection.getresponse().status
                connection.close()
            assert 2 == len(daemon.told()["listen"].split(", "))
        finally:
            assert 0 == daemon.stop()
