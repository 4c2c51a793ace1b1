"""Parts that really hang, told to a watchdog over a real socket: who is replaced, who is not, and what is left then."""

import contextlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest
from site_under_test import Daemon
from test_receiving import CONFIG, count
from test_watchdog import Systemd

from gateway.daemon import watchdog
from gateway.simulate.broker import Broker
from gateway.simulate.ports import free_port

TESTS = Path(__file__).parents[1]
UNIT = TESTS.parent / "systemd" / "gateway.service"
WATCHDOG_S = 6.0
SINK = '\n[sinks.home]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:{port}"\nversion = "{version}"\n'


class Watched:
    """A gateway of which a part can be made to hang, and a watchdog that replaces it as systemd does."""

    def __init__(self, directory: Path, systemd: Systemd, *, sink: str = "", **env: str) -> None:
        self.directory, self.systemd = directory, systemd
        self.trigger = directory / "hang"
        port = free_port()
        config = directory / "config.toml"
        config.write_text(CONFIG.format(port=port, directory=directory, listen="", store="") + sink)
        program = (str(TESTS / "hanging_gateway.py"), str(self.trigger))
        self.daemon = Daemon(directory, config, port, program=program)
        self.daemon.env |= {
            "NOTIFY_SOCKET": systemd.path,
            "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)),
            **env,
        }
        self.daemon.start()
        self._minute = 1_761_991_200
        self.accepted = 0

    def push(self, *, wait_s: float = 30.0) -> bool:
        """Push one more minute; say whether it was accepted."""
        self._minute += 60
        body = count(self._minute + 70, 1, start=self._minute)
        head = b"POST / HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        try:
            with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=wait_s) as sent:
                sent.sendall(head + body)
                accepted = sent.recv(12) == b"HTTP/1.1 200"
        except OSError:
            return False
        self.accepted += accepted
        return accepted

    def hang(self, part: str) -> None:
        fresh = self.trigger.with_suffix(".new")
        fresh.write_text(part)
        fresh.rename(self.trigger)

    def starved(self, *, wait_s: float = 90.0) -> list[str]:
        """Wait until the watchdog has not been fed for its time; give what was said until then."""
        said: list[str] = []
        fed = time.monotonic()
        deadline = fed + wait_s
        while time.monotonic() < fed + WATCHDOG_S:
            assert time.monotonic() < deadline, "it is fed for ever"
            heard = self.systemd.listen(0.3)
            said += heard
            if any("WATCHDOG=1" in message for message in heard):
                fed = time.monotonic()
        return said

    def replace(self) -> None:
        """Abort it as systemd does, heal what hung, and start the next one."""
        assert self.daemon.stop(signal.SIGABRT) == -signal.SIGABRT
        self.trigger.unlink(missing_ok=True)
        self.daemon.start()

    def close(self) -> None:
        if self.daemon.running:
            self.daemon.stop(signal.SIGKILL)


@pytest.fixture
def systemd(tmp_path):
    return Systemd(tmp_path)


def judge(site: Watched) -> None:
    """The store is whole, everything that was accepted is in it once, and the next gateway receives."""
    assert site.push()
    with contextlib.closing(sqlite3.connect(site.directory / "store" / "gateway.db")) as conn:
        assert ("ok",) == conn.execute("PRAGMA integrity_check").fetchone()
        found = conn.execute("SELECT count(*) FROM events WHERE kind = 'count'").fetchone()[0]
        starts = conn.execute("SELECT count(DISTINCT id) FROM events WHERE kind = 'count'").fetchone()[0]
    # One push was under way when it hung: whether it is there is open, as its device got no answer.
    assert found == starts
    assert site.accepted <= found <= site.accepted + 1


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["loop", "writer", "step"])
def test_a_hung_part_is_not_fed_and_nothing_is_lost_when_it_is_replaced(tmp_path, systemd, part):
    """The loop, the writer's thread and the writer's task: each ends the feeding, and the store is fine behind it."""
    site = Watched(tmp_path, systemd)
    try:
        assert all(site.push() for _ in range(5))
        site.hang(part)
        under_way = threading.Thread(target=site.push, kwargs={"wait_s": 60})
        under_way.start()
        said = site.starved()
        blamed = [message for message in said if "the writer hangs" in message]
        assert bool(blamed) == (part != "loop"), said
        site.replace()
        under_way.join(90)
        judge(site)
        log = site.daemon.log.read_text()
        # Where it hung is in the log: the frames of all threads at the abort.
        assert "Fatal Python error: Aborted" in log
        assert ("in transacting" in log) == (part == "writer")
    finally:
        site.close()


@pytest.fixture
def library(tmp_path):
    if shutil.which("gcc") is None:
        pytest.fail(
            "the hanging disk cannot be built, gcc is missing: apt-get install gcc libc6-dev, or make debian"
        )
    built = tmp_path / "hanging_sync.so"
    source = TESTS / "hanging_sync.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", built, source, "-ldl"], check=True, timeout=60)
    return built


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_sync_that_never_returns_is_a_hung_writer(tmp_path, systemd, library):
    """A disk that takes a sync and never answers ends the feeding; no push of that time was accepted."""
    file = tmp_path / "the disk hangs"
    env = {"LD_PRELOAD": str(library), "HANGING_FILE": str(file), "HANGING_DIR": str(tmp_path / "store")}
    site = Watched(tmp_path, systemd, **env)
    try:
        assert all(site.push() for _ in range(5))
        file.touch()
        assert not site.push(wait_s=2)
        said = site.starved()
        assert any("the writer hangs" in message for message in said), said
        assert 5 == site.accepted
        file.unlink()
        site.replace()
        judge(site)
    finally:
        site.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_sink_without_progress_is_a_fault_and_never_a_restart(tmp_path, systemd):
    """The watchdog is fed on and on, receiving goes on, and the fault names the sink; it goes when the sink moves."""
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker").start()
    site = Watched(tmp_path, systemd, sink=SINK.format(port=broker.port, version=broker.version))
    try:
        assert site.push()
        site.hang("sink")
        assert site.push()
        pid = site.daemon.pid

        def codes() -> set[str]:
            return {
                fault["code"] for fault in json.loads(site.daemon.asked("status", "--json").stdout)["faults"]
            }

        deadline = time.monotonic() + 60
        while "sink_stalled" not in codes():
            assert time.monotonic() < deadline, site.daemon.tail()
            time.sleep(0.5)
        heard = systemd.listen(3 * WATCHDOG_S)
        assert sum("WATCHDOG=1" in message for message in heard) >= 3
        assert "watchdog_not_fed" not in site.daemon.log.read_text()
        assert site.push()
        assert (True, pid) == (site.daemon.running, site.daemon.pid)
    finally:
        site.close()
        broker.close()


def test_the_limits_agree_with_the_unit():
    """A slow card is not taken for a hang, and the longest hang ends before a person looks: a minute and a half."""
    line = next(line for line in UNIT.read_text().splitlines() if line.startswith("WatchdogSec="))
    watchdog_s = float(line.removeprefix("WatchdogSec="))
    # A look, with its question to our own port, fits between two feedings.
    assert watchdog_s / 3 + watchdog._PROBE_LIMIT_S < watchdog_s
    assert watchdog.COMMIT_LIMIT_S >= 60
    assert watchdog.COMMIT_LIMIT_S + watchdog_s + watchdog_s / 3 <= 100
    assert watchdog._SINK_LIMIT_S > watchdog.COMMIT_LIMIT_S
