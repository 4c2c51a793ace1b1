"""`gateway doctor` as a person runs it: with the gateway up, down and hanging, as root and as anybody else."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from site_under_test import SMALL_SITE, Daemon, small_daemon

from gateway.commands import doctoring, main
from gateway.doctor import preparing

_NOBODY = 65_534


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A machine that is busy with other tests is no box that hangs; the test of that runs a process of its own."""
    monkeypatch.setattr(preparing, "_LOAD_S", 60.0)
    monkeypatch.setattr(preparing, "_FIND_S", 60.0)
    monkeypatch.setattr(preparing, "_ASK_S", 60.0)
    monkeypatch.setattr(doctoring, "_TOTAL_S", 90.0)


@pytest.fixture
def daemon(tmp_path):
    """A gateway that was not started yet, and is ended afterwards."""
    one = small_daemon(tmp_path, SMALL_SITE)
    yield one
    if one.running:
        one.kill()


def report(daemon: Daemon) -> tuple[int, dict]:
    done = daemon.asked("doctor", "--json")
    return done.returncode, json.loads(done.stdout)


def codes(told: dict) -> list[str]:
    return [one["code"] for one in told["findings"] if one["code"] and not one["advice"]]


def wait_for(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.3)
    return got


def test_a_fault_of_the_box_is_the_daemons_fault_and_told_once(daemon, tmp_path):
    """What the doctor finds stands in `gateway status` with the same words, and in the doctor's report once."""
    daemon.config.chmod(0o666)
    daemon.start()

    def standing():
        return {row["code"]: row for row in json.loads(daemon.asked("status", "--json").stdout)["faults"]}

    fault = wait_for(lambda: standing().get("config_exposed"))
    status, told = report(daemon)
    assert 1 == status and told["running"] and "fault" == told["verdict"]
    (found,) = [one for one in told["findings"] if one["code"] == "config_exposed"]
    assert (fault["sentence"], fault["action"]) == (found["sentence"], found["action"])
    assert len(codes(told)) == len(set(codes(told))) == told["faults"]

    daemon.config.chmod(0o600)
    daemon.config.write_text(daemon.config.read_text() + "[events]\nlate_after_s = 400\n")
    assert "config_changed" in codes(report(daemon)[1])
    done = daemon.asked("reload")  # which has the daemon look again at once
    assert 0 == done.returncode, done.stderr
    wait_for(lambda: "config_exposed" not in standing())
    assert not {"config_exposed", "config_changed", "gateway_down"} & set(codes(report(daemon)[1]))


def test_the_report_has_one_shape_up_and_down(daemon):
    """With the gateway up and down there is a line for each check, and the same keys; down is a fault of its own."""
    daemon.start()
    _, up = report(daemon)
    daemon.kill()
    status, down = report(daemon)
    assert 1 == status
    assert "gateway_down" in codes(down) and "gateway_down" not in codes(up)
    assert (True, False) == (up["running"], down["running"])
    keys = {
        "schema",
        "gateway",
        "time",
        "running",
        "verdict",
        "faults",
        "advice",
        "hindered",
        "untold",
        "findings",
    }
    of_one = {"check", "well", "known", "hindered", "advice", "code", "subject", "sentence", "action"}
    for told in (up, down):
        assert keys == told.keys()
        assert all(of_one == one.keys() for one in told["findings"])
        assert all(bool(one["code"]) == bool(one["action"]) for one in told["findings"])
    checks = [{one["check"] for one in told["findings"]} for told in (up, down)]
    assert {"clock", "disk", "memory", "port", "address", "devices", "versions"} <= checks[0] & checks[1]


def test_a_person_reads_a_line_for_each_check(daemon):
    """A fault has its action and its code on the next line, and the last line sums up."""
    done = daemon.asked("doctor")
    assert 1 == done.returncode
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("!  gateway "))
    assert "does not run" in lines[at]
    assert lines[at + 1].strip().startswith("do: Start it with:") and lines[at + 1].endswith("[gateway_down]")
    assert "fault" in lines[-1]


def test_a_broken_configuration_hides_nothing_else(daemon):
    """With mistakes in the file, and no last good one, all that can be looked at without it still is."""
    daemon.config.write_text("[listen]\nport = 1e9\n[sinks.up]\ntipe = 1\n")
    status, told = report(daemon)
    assert 1 == status and "config_rejected" in codes(told)
    (found,) = [one for one in told["findings"] if one["code"] == "config_rejected"]
    assert f"{daemon.config}:2: listen.port" in found["sentence"]
    assert {"disk", "memory", "address", "clock"} <= {one["check"] for one in told["findings"]}


@contextmanager
def mute():
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_it_ends_in_time_whatever_hangs(daemon, tmp_path):
    """The gateway's socket, the broker, the upstream, the polled system and a program hang: it ends, and says which."""
    program = tmp_path / "bin/smartctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "gateway", "doctor", "--help"], check=True, capture_output=True)
    starts_s = time.monotonic() - began
    with mute() as one, mute() as two, mute() as three, socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "control.sock"))
        hung.listen(5)
        daemon.config.write_text(
            daemon.config.read_text()
            + f'[sinks.broker]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:{one}"\n'
            + f'[sinks.upstream]\ntype = "https"\nendpoint = "http://127.0.0.1:{two}/x"\ninsecure_http = true\n'
            + f'[camlytics.hall]\nendpoint = "http://127.0.0.1:{three}"\n'
        )
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "-c", daemon.config, "doctor", "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        )
        took_s = time.monotonic() - began
    assert 1 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert took_s < 10 + 2 * starts_s, took_s  # a busy machine only takes long to start it
    by_check = {
        name: [one for one in told["findings"] if one["check"] == name]
        for name in ("sink broker", "sink upstream")
    }
    assert all(any(one["code"] or one["hindered"] for one in found) for found in by_check.values()), by_check
    assert "gateway_down" in codes(told)


def _as_nobody(answer, config: Path) -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    done = CliRunner().invoke(main, ["-c", str(config), "doctor", "--json"])
    answer.send((done.stdout, str(done.exception)))


def test_it_needs_no_rights_and_says_what_it_could_not_see(daemon, tmp_path):
    """For another user than root there is a report of the same shape; what was not seen has the word sudo."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    daemon.start()
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o001)
    daemon.config.chmod(0o644)
    (tmp_path / "control.sock").chmod(0o600)
    daemon.asked("doctor")  # imports what it needs: nobody may not be able to read the Python of these tests
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_as_nobody, args=(theirs, daemon.config))
    child.start()
    theirs.close()
    text, trouble = ours.recv()
    child.join(30)
    assert text, trouble
    told = json.loads(text)
    hindered = {one["check"]: one["sentence"] for one in told["findings"] if one["hindered"]}
    assert {"gateway", "store"} <= hindered.keys(), told
    assert all("sudo" in hindered[name] for name in ("gateway", "store", "permissions"))
    assert {"disk", "memory", "address"} <= {one["check"] for one in told["findings"] if one["well"]}
    assert not {"gateway_down", "gateway_hangs"} & set(codes(told))
