"""`gateway pair` against a running daemon, a simulated terminal and a simulated counter, over real sockets."""

import asyncio
import contextlib
import http.client
import json
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from site_under_test import SMALL_SITE, Daemon, free_port

from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.early import EarlyTerminal
from gateway.simulate.terminal_api import Manners, TerminalApi
from gateway.simulate.terminal_json import Firmware

FIXTURES = Path(__file__).parents[1] / "fixtures"
SUBSCRIBE = "/v1/event/subscribe"
CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-pairing"
"""
)


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def daemon(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pairing")
    port, config = free_port(), directory / "config.toml"
    config.write_text(CONFIG.format(port=port, directory=directory))
    daemon = Daemon(directory, config, port)
    daemon.start()
    yield daemon
    daemon.stop()


class Loop:
    """An event loop in a thread, for the far ends of a test that runs commands."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    def do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def settled(self):
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def __exit__(self, *_):
        self.do(self.settled())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def loop():
    with Loop() as loop:
        yield loop


@contextlib.contextmanager
def terminal(loop, serial, **manners):
    """A terminal that begins with the records of its last three minutes."""
    make = partial(EarlyTerminal, serial=serial, rate=30.0, firmware=Firmware(picture_bytes=0))
    api = TerminalApi(make, Manners(**manners))
    loop.do(api.start())
    try:
        yield api
    finally:
        loop.do(api.stop())


def pair(daemon, *words):
    ran = daemon.command("pair", *words, "--json", timeout_s=60)
    return ran.returncode, json.loads(ran.stdout)


@pytest.mark.parametrize(("tells", "read_back"), [(True, "same"), (False, "empty")])
def test_a_terminal_is_set_up_with_one_command(daemon, loop, tells, read_back):
    """It is told our address and pushes; the command says who it is; the terminal saw two calls and no other."""
    serial = f"SPS-PAIR-{int(tells)}"
    with terminal(loop, serial, tells=tells) as api:
        status, told = pair(daemon, "terminal", f"127.0.0.1:{api.port}", "--timeout", "30")
        assert (0, True, None) == (status, told["paired"], told["problem"])
        assert (f"http://127.0.0.1:{daemon.port}/Record", read_back) == (told["url"], told["read_back"])
        assert f"terminal-{serial.lower()}" == told["device"]
        assert (serial, "/Record") == (told["push"]["serial"], told["push"]["path"])
        assert told["push"]["records"] >= 1 and told["push"]["kinds"]
        wish = {"event_dest": told["url"], "enabled": True}
        assert [("POST", SUBSCRIBE, wish), ("GET", SUBSCRIBE, None)] == [
            (call.method, call.path, call.body) for call in api.calls
        ]
        assert 0 == api.device.doors_opened


def test_a_person_reads_what_was_seen(daemon, loop):
    """Without --json the same comes in sentences."""
    with terminal(loop, "SPS-TEXT", tells=False) as api:
        ran = daemon.command("pair", "terminal", f"127.0.0.1:{api.port}", "--timeout", "30")
    assert 0 == ran.returncode, ran.stderr
    assert "only a push tells" in ran.stdout
    assert "Its first push is here" in ran.stdout and "serial number SPS-TEXT" in ran.stdout


def test_a_terminal_that_nobody_stands_before_is_not_taken_for_a_fault(daemon, loop):
    """It took the setting and pushes nothing: status 2, and what to check."""
    with terminal(loop, "SPS-QUIET") as api:
        api.make = lambda url: EarlyTerminal(url, serial="SPS-QUIET", rate=0.0, alarms_per_hour=0)
        status, told = pair(daemon, "terminal", f"127.0.0.1:{api.port}", "--timeout", "2")
    assert (2, True, False) == (status, told["set"], told["paired"])
    assert "No push came within 2 s." == told["problem"]
    assert any("stand before the camera" in line for line in told["advice"])


@pytest.mark.parametrize(
    ("manners", "problem"),
    [
        ({"login": True}, "wants a login"),
        ({"code": 5001}, "code 5001"),
        (None, "Nothing listens on 127.0.0.1"),
    ],
)
def test_each_way_that_a_terminal_does_not_take_it_has_its_sentence(daemon, loop, manners, problem):
    """Login, refusal and a closed port end with status 1, and nothing is waited for."""
    with terminal(loop, "SPS-NO", **(manners or {})) as api:
        place = f"127.0.0.1:{api.port if manners else free_port()}"
        status, told = pair(daemon, "terminal", place, "--timeout", "60")
        assert (1, False, False) == (status, told["set"], told["paired"])
        assert problem in told["problem"]
        assert not api.enabled


def test_a_gateway_that_the_terminal_could_not_reach_is_found_before_it_is_told(daemon, loop):
    """An address of ours that does not answer, or a sender that is not allowed, is said and nothing is written."""
    with terminal(loop, "SPS-NONE") as api:
        place = f"127.0.0.1:{api.port}"
        status, told = pair(daemon, "terminal", place, "--address-of-gateway", "127.0.0.7", "--timeout", "5")
        assert (1, False) == (status, told["set"])
        assert f"does not answer at 127.0.0.7:{daemon.port}" in told["problem"]
        status, told = pair(daemon, "terminal", place, "--address-of-gateway", "lobby.local")
        assert (1, True) == (status, "is no address" in told["problem"])
        assert [] == api.calls


def test_a_visit_is_taken_for_the_wrong_field(daemon, loop):
    """A device that comes with GET instead of a push is said to have the address in the field about the door."""
    with terminal(loop, "SPS-VISIT") as api:

        class Asking(EarlyTerminal):
            async def run(self, **_):
                await self.wire.exchange(b"", {}, path="/Record", method="GET")

        api.make = lambda url: Asking(url, serial="SPS-VISIT")
        status, told = pair(daemon, "terminal", f"127.0.0.1:{api.port}", "--timeout", "2")
    assert 1 == status
    assert "remote_authentication_address" in told["advice"][0]


def counting(loop, url, **how):
    identity = Identity(serial=how.pop("serial"), device_id="d", device_name="D", mac="02:00:5E:20:00:01")
    device = Counter(url, identity=identity, rate=600.0, **how)
    return asyncio.run_coroutine_threadsafe(device.run(), loop.loop)


def test_a_counter_is_told_what_to_type_and_waited_for(daemon, loop):
    """The text to type has this box's own address; a counter in real time with heartbeats is fine."""
    url = f"http://127.0.0.1:{daemon.port}/counter"
    running = counting(loop, url, serial="2000000000000801", mode="real_time", heartbeat_s=1.0)
    try:
        ran = daemon.command("pair", "counter", "127.0.0.1", "--timeout", "30")
    finally:
        running.cancel()
    assert 0 == ran.returncode, ran.stderr
    for text in (
        url,
        f"http://127.0.0.1:{daemon.port}/heartbeat",
        "上传 url",
        "心跳 url",
        "2000000000000801",
    ):
        assert text in ran.stdout


@contextlib.contextmanager
def repeating(daemon, case):
    """Push one captured body again and again, as a counter does that gets no answer."""
    body = (FIXTURES / "people_counter" / case / "body").read_bytes()
    done = threading.Event()

    def push():
        while not done.wait(0.3):
            link = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=5)
            link.request("POST", "/counter", body)
            link.getresponse().read()
            link.close()

    pushing = threading.Thread(target=push)
    pushing.start()
    try:
        yield
    finally:
        done.set()
        pushing.join()


def test_a_counter_in_real_time_is_not_judged_too_early(daemon):
    """Its pushes are there; within two seconds nobody can say that it has no heartbeat, only where one would go."""
    with repeating(daemon, "real_time_second_of_second"):
        status, told = pair(daemon, "counter", "127.0.0.1", "--timeout", "2")
    assert (0, True, None) == (status, told["paired"], told["problem"])
    assert (
        f"too short to tell: it comes about once a minute, to http://127.0.0.1:{daemon.port}/heartbeat"
        in (told["advice"][0])
    )


def test_a_terminal_that_sends_what_it_kept_first_has_the_right_clock(daemon, loop):
    """Its first record is minutes old; the clock that is stated is that of what it sees now."""
    with terminal(loop, "SPS-KEPT", tells=False) as api:
        status, told = pair(daemon, "terminal", f"127.0.0.1:{api.port}", "--timeout", "30")
    assert 0 == status
    assert -30 <= told["push"]["clock_offset_s"] <= 5


def test_without_a_daemon_nothing_is_written(tmp_path, loop):
    """Nobody would be there for the push, so the terminal is left alone."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(port=free_port(), directory=tmp_path))
    with terminal(loop, "SPS-DOWN") as api:
        ran = Daemon(tmp_path, config, 1).command("pair", "terminal", f"127.0.0.1:{api.port}")
        assert 2 == ran.returncode
        assert "not running" in ran.stderr and "Start it first" in ran.stderr
        assert [] == api.calls


def test_the_simulated_terminal_serves_its_setting(daemon):
    """`gateway simulate terminal --serve` is paired like a real one, and pushes to where it was told."""
    import subprocess

    port = free_port()
    words = [
        "simulate",
        "terminal",
        "--serve",
        str(port),
        "--serial",
        "SPS-SERVED",
        "--rate",
        "30",
        "--minutes",
        "1",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "gateway", *words, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as served:
        assert "A terminal listens" in served.stderr.readline()
        status, told = pair(daemon, "terminal", f"127.0.0.1:{port}", "--timeout", "30")
        served.terminate()
        said, _ = served.communicate(timeout=20)
    assert (0, "terminal-sps-served") == (status, told["device"])
    assert 2 == len(json.loads(said)["calls"])
    assert json.loads(said)["acknowledged"] >= 1
