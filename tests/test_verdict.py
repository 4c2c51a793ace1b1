"""What the daemon answers programs that ask whether it works: each reason that it may give, and each that is well."""

from types import SimpleNamespace

import pytest

from gateway.config import loads
from gateway.daemon import watchdog
from gateway.daemon.verdict import Verdict
from gateway.faults import ACTIONS, Faults

BROKER = '[sinks.broker]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1"\n'
STUCK_S = loads(BROKER).monitoring.stuck_after_s


def line(stuck_s: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(forwarder=SimpleNamespace(stuck_s=lambda: stuck_s))


@pytest.fixture
def verdict() -> Verdict:
    """One of a gateway that is well: its store commits, its ports are open, its one sink is driven."""
    judged = Verdict(loads(BROKER), SimpleNamespace(hanging_s=0.0), {"broker": line()}, Faults())
    judged.started = judged.ports.devices = judged.ports.control = True
    return judged


def told(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Give each problem by its part, its code and its subject, after a look at whether the rest says the same."""
    healthy, answer = verdict.health()
    problems = answer["problems"]
    parts = {problem["part"] for problem in problems}
    assert (not problems, not problems) == (healthy, answer["healthy"])
    for part in ("receiving", "delivering"):
        assert (part not in parts) == answer[part]
    return [(problem["part"], problem["code"], problem["subject"]) for problem in problems]


def sentence(verdict: Verdict) -> str:
    (problem,) = verdict.health()[1]["problems"]
    return problem["sentence"]


def test_a_gateway_that_is_well_has_no_problem(verdict):
    """It is healthy, it receives, it delivers, and it is ready."""
    assert [] == told(verdict)
    assert verdict.readiness()[0]


@pytest.mark.parametrize("code", ["disk_full", "store_full", "store_failed", "store_gone"])
def test_a_fault_of_the_store_is_a_problem_of_receiving(verdict, code):
    """What keeps the store from writing is told with its own sentence and action."""
    verdict.faults.report(code, "", "No room.")
    assert [("receiving", code, "")] == told(verdict)
    (problem,) = verdict.health()[1]["problems"]
    assert ("No room.", True) == (problem["sentence"], bool(problem["action"]))


@pytest.mark.parametrize("code", ["device_silent", "too_hot", "ballast_missing"])
def test_a_fault_that_stops_nothing_is_no_problem(verdict, code):
    """Of a gateway that receives and delivers, other faults do not change the answer."""
    verdict.faults.report(code, "", "Something is wrong.")
    assert [] == told(verdict)


def test_a_transaction_of_more_than_a_minute_is_a_problem(verdict):
    """The store hangs when the watchdog says so, and not before."""
    verdict.outbox.hanging_s = watchdog.COMMIT_LIMIT_S
    assert [] == told(verdict)
    verdict.outbox.hanging_s = watchdog.COMMIT_LIMIT_S + 1
    assert [("receiving", "store_failed", "")] == told(verdict)
    assert "has been running for 61 s" in sentence(verdict)


def test_a_closed_port_for_devices_is_a_problem(verdict):
    """Nobody can push, although nothing else is wrong."""
    verdict.ports.devices = False
    assert [("receiving", "", "")] == told(verdict)
    assert "The port for devices is not open." == sentence(verdict)


@pytest.mark.parametrize("toml", ["", BROKER + "enabled = false\n"])
def test_no_sink_is_a_problem(verdict, toml):
    """Without a sink that is switched on nothing is forwarded, and nothing is said of a sink by name."""
    verdict.config, verdict.lines = loads(toml), {}
    assert [("delivering", "no_sink", "")] == told(verdict)


def test_a_sink_that_is_not_driven_is_a_problem(verdict):
    """The configuration wants it, and nothing drives it."""
    verdict.lines = {}
    assert [("delivering", "sink_unavailable", "broker")] == told(verdict)
    assert sentence(verdict).startswith("Sink broker is not driven.")


def test_a_sink_that_is_not_driven_says_why(verdict):
    """The code of the fault that stands for it is told in place of the bare fact."""
    verdict.lines = {}
    verdict.faults.report("config_rejected", "broker", "Its certificate cannot be read.")
    assert [("delivering", "config_rejected", "broker")] == told(verdict)


@pytest.mark.parametrize("lines", [{}, {"broker": line(STUCK_S + 1)}])
def test_what_a_far_end_said_is_told_to_nobody_without_a_password(verdict, lines):
    """The sentence of a sink's fault names paths and users and quotes answers; only its code and its action are told."""
    verdict.lines = lines
    verdict.faults.report(
        "https_error", "broker", "b.example/hook/abc123 answered 400: no such token: abc123"
    )
    assert [("delivering", "https_error", "broker")] == told(verdict)
    (problem,) = verdict.health()[1]["problems"]
    assert ACTIONS["https_error"] == problem["action"]
    assert "abc123" not in str(problem)
    assert "b.example" not in str(problem)


def test_a_sink_that_is_stuck_is_a_problem(verdict):
    """It is one after `stuck_after_s`, and not before."""
    verdict.lines = {"broker": line(STUCK_S)}
    assert [] == told(verdict)
    verdict.lines = {"broker": line(STUCK_S + 1)}
    assert [("delivering", "sink_unavailable", "broker")] == told(verdict)


def test_a_sink_that_is_stuck_says_why(verdict):
    """The code is that of this sink's fault, and not that of another."""
    verdict.lines = {"broker": line(STUCK_S + 1)}
    verdict.faults.report("https_refused", "upstream", "The upstream is away.")
    verdict.faults.report("mqtt_refused", "broker", "The broker is away.")
    assert [("delivering", "mqtt_refused", "broker")] == told(verdict)
    assert "events wait" in sentence(verdict)


def test_a_fault_of_a_sink_that_delivers_is_no_problem(verdict):
    """While what is due gets through, a connection that broke is not told as a failure."""
    verdict.faults.report("mqtt_lost", "broker", "The connection broke.")
    assert [] == told(verdict)


def lose_the_store(verdict):
    verdict.started = False


def close_the_port(verdict):
    verdict.ports.devices = False


def close_the_control(verdict):
    verdict.ports.control = False


def close_the_callbacks(verdict):
    verdict.callbacks_open = lambda: False


def begin_to_stop(verdict):
    verdict.stopping = True


@pytest.mark.parametrize(
    "trouble", [lose_the_store, close_the_port, close_the_control, close_the_callbacks, begin_to_stop]
)
def test_each_part_that_is_not_open_is_not_ready(verdict, trouble):
    """Store, ports and control are all needed, a wanted port for callbacks too, and a stop ends it."""
    verdict.callbacks_open = lambda: True
    assert verdict.readiness()[0]
    trouble(verdict)
    ready, answer = verdict.readiness()
    assert (False, False) == (ready, answer["ready"])
    asked = {name: value for name, value in answer.items() if name not in {"ready", "stopping"}}
    assert (trouble is not begin_to_stop) == (not all(asked.values()))
