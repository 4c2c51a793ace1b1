"""The watchdog is fed only while the gateway really works, told over a real systemd-style socket."""

import asyncio
import contextlib
import os
import signal
import socket
import time

import pytest
from test_receiving import Bare, count

from gateway.daemon import watchdog
from gateway.daemon.watchdog import Watchdog
from gateway.faults import Faults
from gateway.simulate.ports import free_port


class Systemd:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, directory) -> None:
        self.path = str(directory / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.2)
        self.messages: list[str] = []

    def listen(self, seconds: float) -> list[str]:
        """Give what came in so long a time."""
        heard: list[str] = []
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                heard.append(self.socket.recv(4096).decode())
            except TimeoutError:
                continue
        self.messages += heard
        return heard


def feeding(systemd, monkeypatch, within_us: int):
    """Have what starts now, or runs here, feed this one."""
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.path)
    monkeypatch.setenv("WATCHDOG_USEC", str(within_us))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    return systemd


@pytest.fixture
def watched(tmp_path, monkeypatch):
    systemd = feeding(Systemd(tmp_path), monkeypatch, 1_500_000)
    site = Bare(tmp_path)
    yield site, systemd
    if site.daemon.running:
        os.kill(site.daemon.pid, signal.SIGCONT)
    site.close()


def test_ready_status_and_watchdog_are_told(watched):
    """Systemd hears READY once, a status line in words, and the watchdog at least every half of its time."""
    site, systemd = watched
    site.ask("POST", "/", count(1761991230, 2))
    heard = systemd.listen(4)
    assert 1 == sum("READY=1" in message for message in systemd.messages)
    assert sum("WATCHDOG=1" in message for message in heard) >= 5
    assert any("STATUS=" in message and "events received" in message for message in heard)
    site.daemon.stop()
    assert any("STOPPING=1" in message for message in systemd.listen(1))


def test_a_stopped_process_is_not_fed(watched):
    """The control for all others: a process that does not run says nothing."""
    site, systemd = watched
    systemd.listen(1)
    os.kill(site.daemon.pid, signal.SIGSTOP)
    systemd.listen(1)  # what was on its way
    assert [] == systemd.listen(3)


def test_a_crowded_port_is_still_fed(watched):
    """Somebody who holds every connection that one address may have cannot have the gateway restarted."""
    site, systemd = watched
    systemd.listen(0.5)
    silent = [socket.create_connection(("127.0.0.1", site.daemon.port)) for _ in range(40)]
    systemd.listen(1)  # what was on its way
    heard = systemd.listen(3)
    assert site.daemon.running
    for connection in silent:
        connection.close()
    assert any("WATCHDOG=1" in message for message in heard)


def test_a_hung_writer_is_not_fed(tmp_path):
    """A transaction that never ends is told apart from a slow one and stops the feeding."""

    class Hung:
        hanging_s = 61.0

    class Slow:
        hanging_s = 20.0

    def trouble(outbox) -> str | None:
        dog = Watchdog(outbox, dict, lambda: None, Faults())
        return asyncio.run(dog.trouble())

    assert "commit" in trouble(Hung())
    assert trouble(Slow()) is None


class Well:
    """A writer that has nothing to do."""

    hanging_s = 0.0


def fed(systemd: Systemd, port: int, seconds: float) -> tuple[bool, str]:
    """Let a watchdog look at a port for so long; say whether it fed, and what it told besides."""

    async def look() -> None:
        dog = Watchdog(Well(), dict, lambda: ("127.0.0.1", port), Faults())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await dog.run(lambda: "all is well")

    asyncio.run(look())
    heard = systemd.listen(1)
    return any("WATCHDOG=1" in message for message in heard), "".join(heard)


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """One that wants to hear something, and a port that must answer soon."""
    heard = feeding(Systemd(tmp_path), monkeypatch, 600_000)
    monkeypatch.setattr(watchdog, "_PROBE_LIMIT_S", 1.0)
    return heard


def test_a_device_port_that_never_answers_is_not_fed(systemd):
    """It takes the connection and is silent: devices cannot push, however well the rest is."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        was_fed, told = fed(systemd, silent.getsockname()[1], 4)
    assert not was_fed
    assert "STATUS=the device port does not answer" in told


def test_a_device_port_that_is_gone_is_not_fed(systemd):
    """Nobody listens any more where devices push to."""
    was_fed, told = fed(systemd, free_port(), 2)
    assert not was_fed
    assert "STATUS=the device port does not answer" in told


@pytest.fixture
def running(tmp_path):
    """A gateway that knows of no systemd, so that it feeds nobody itself."""
    site = Bare(tmp_path)
    yield site
    site.close()


def test_a_device_port_that_answers_is_fed(running, systemd):
    """The control: the same question to the port of a gateway that runs."""
    was_fed, told = fed(systemd, running.daemon.port, 4)
    assert was_fed
    assert "does not answer" not in told
