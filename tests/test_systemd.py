"""What is said to systemd, read from a real datagram socket; without systemd nothing happens."""

import os
import socket
import subprocess
import sys
import time

import pytest

from gateway import systemd

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


@pytest.fixture(autouse=True)
def _no_systemd(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """A socket as systemd has it, with a file or with an abstract name."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1))
        receiver.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield receiver


def said(manager) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_ready_status_stopping_and_watchdog_are_heard(manager):
    """Each message is one datagram with the words that systemd knows."""
    assert systemd.ready("receiving on 8088")
    assert ["READY=1", "STATUS=receiving on 8088"] == said(manager)
    assert systemd.status("3 waiting")
    assert ["STATUS=3 waiting"] == said(manager)
    assert systemd.watchdog()
    assert ["WATCHDOG=1"] == said(manager)
    assert systemd.extend_timeout(1.5)
    assert ["EXTEND_TIMEOUT_USEC=1500000"] == said(manager)
    assert systemd.stopping()
    assert ["STOPPING=1"] == said(manager)


def test_a_reload_carries_the_stamp_of_the_monotonic_clock(manager):
    """systemd 253 and newer ignore a reload without a stamp between the request and now."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert systemd.reloading()
    words = dict(line.split("=") for line in said(manager))
    assert words["RELOADING"] == "1"
    assert before <= int(words["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_cannot_smuggle_another_assignment(manager):
    """Line breaks of a device's name end up as spaces, odd characters do no harm, and length is bounded."""
    systemd.status("a\nREADY=1\r\nb\x00 \ud800 " + "x" * 9000)
    lines = said(manager)
    assert len(lines) == 1
    assert lines[0].startswith("STATUS=a READY=1 b")
    assert len(lines[0]) < 600


def test_without_systemd_nothing_is_said():
    """No socket, nothing to do, and no error."""
    assert [False] * 5 == [
        systemd.ready("x"),
        systemd.status("x"),
        systemd.reloading(),
        systemd.stopping(),
        systemd.watchdog(),
    ]


@pytest.mark.parametrize(
    "name", ["/nonexistent/notify", "relative", "@nobody-listens-here", "vsock:2:1234", "/" + "x" * 300]
)
def test_a_socket_that_nobody_reads_is_no_error(monkeypatch, name):
    """A manager that went away does not disturb the daemon."""
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    assert systemd.ready() is False


def test_a_manager_that_does_not_read_does_not_block(manager):
    """A full queue is given up at once instead of holding the event loop."""
    results = [systemd.watchdog() for _ in range(2000)]
    assert results[0] is True
    assert results[-1] is False


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("30000000", None, 30.0),
        ("1500000", "ours", 1.5),
        ("30000000", "1", None),
        ("0", None, None),
        ("-5", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_interval_is_what_systemd_waits_for(monkeypatch, usec, pid, expected):
    """The interval is in seconds, and only counts when it is meant for this process."""
    if usec is not None:
        monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "ours" else pid)
    assert expected == systemd.watchdog_interval_s()


_CHILD = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid()) if sys.argv[1] == "ours" else "1"
from gateway import systemd
named = systemd.named_fds()
taken = [one for _, one in named]
again = systemd.named_fds()
print(len(taken), len(again), sorted(n for n in os.environ if n.startswith("LISTEN_")))
if len(named) > 1:
    print([name for name, _ in named])
for one in taken:
    print(one.getsockname()[1], one.get_inheritable())
    connection, _ = one.accept()
    connection.sendall(b"hello")
    connection.close()
"""


def _child(whose: str, *descriptors: int, count: int, names: str = "http"):
    """Start a process whose descriptors from 3 on are these, as systemd does."""

    def arrange():
        spare = [os.dup(os.dup2(descriptor, 50 + index)) for index, descriptor in enumerate(descriptors)]
        for index, descriptor in enumerate(spare):
            os.dup2(descriptor, 3 + index)

    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, whose],
        env={**os.environ, "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names},
        stdout=subprocess.PIPE,
        text=True,
        close_fds=False,
        preexec_fn=arrange,  # noqa: PLW1509 - systemd hands over just this way, and no thread runs here
    )


def test_sockets_of_systemd_are_taken_over_once():
    """A socket that was opened before the start accepts connections, is not inherited, and is handed out once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = _child("ours", server.fileno(), count=1)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            assert client.recv(10) == b"hello"
        out, _ = child.communicate(timeout=10)
    assert ["1 0 []", f"{port} False"] == out.splitlines()


@pytest.mark.parametrize(
    ("names", "expected"),
    [("http:callbacks", ["http", "callbacks"]), ("callbacks", ["callbacks", ""]), ("", ["", ""])],
)
def test_each_socket_comes_with_its_name(names, expected):
    """The names of the units stand beside their sockets, in order; a missing one is empty."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        child = _child("ours", one.fileno(), other.fileno(), count=2, names=names)
        for server in (one, other):
            with socket.create_connection(server.getsockname(), timeout=10) as client:
                assert client.recv(10) == b"hello"
        out, _ = child.communicate(timeout=10)
    assert ["2 0 []", str(expected)] == out.splitlines()[:2]


def test_sockets_for_another_process_are_left_alone():
    """Variables that were inherited from somewhere else are not believed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        out, _ = _child("other", server.fileno(), count=1).communicate(timeout=10)
    assert ["0 0 []"] == out.splitlines()


def test_a_descriptor_that_is_no_socket_is_skipped(tmp_path):
    """A file among the descriptors does not stop the start."""
    with (tmp_path / "file").open("w") as file:
        out, _ = _child("ours", file.fileno(), count=1).communicate(timeout=10)
    assert ["0 0 []"] == out.splitlines()
