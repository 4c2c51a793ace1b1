"""The unit files of systemd, held against systemd's own tools and against what the daemon needs of them."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.commands import DEFAULT_PATH, main
from gateway.config import Config

UNITS = Path(__file__).parents[1] / "systemd"
WORST_TENTHS = 12  # the exposure that is allowed, as systemd-analyze wants to be told
_LINE = re.compile(r"^([A-Za-z]+)=(.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _systemd_analyze():
    if shutil.which("systemd-analyze") is None:
        pytest.fail("systemd-analyze is missing: apt-get install systemd, or make debian")


def directives(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in _LINE.findall((UNITS / unit).read_text("utf-8")):
        found.setdefault(name, []).append(value)
    return found


def analyze(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=120, check=False
    )


def exposed(unit: Path) -> bool:
    judged = analyze("security", "--offline=true", f"--threshold={WORST_TENTHS}", "--no-pager", str(unit))
    assert "Overall exposure level" in judged.stdout, judged.stderr
    return judged.returncode != 0


def test_the_exposure_is_at_most_one_point_two():
    """Systemd's own judgement of what the service could do if it were taken over is 1.2 or better."""
    assert not exposed(UNITS / "gateway.service")


@pytest.mark.parametrize("lost", ["SystemCallFilter", "CapabilityBoundingSet", "User"])
def test_a_hardening_that_is_lost_is_noticed(tmp_path, lost):
    """The gate is tight: without any one of the weighty directives it closes."""
    text = (UNITS / "gateway.service").read_text("utf-8")
    weaker = tmp_path / "gateway.service"
    weaker.write_text(re.sub(rf"^{lost}=.*\n", "", text, flags=re.MULTILINE))
    assert exposed(weaker)


@pytest.fixture
def installed(tmp_path):
    """Our units as they are, but for the program, which is not installed here."""
    program = tmp_path / "gateway"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    ours = [path for path in UNITS.iterdir() if path.suffix in {".service", ".socket"}]
    for path in ours:
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace("/usr/bin/gateway", str(program)))
    return [tmp_path / path.name for path in ours]


def test_systemd_finds_nothing_to_say_about_the_units(installed):
    """`systemd-analyze verify` is silent: no unknown directive, no value that it does not take."""
    judged = analyze("verify", "--man=no", *map(str, installed))
    assert (0, "") == (judged.returncode, judged.stderr + judged.stdout)


def test_a_mistake_in_a_unit_is_noticed(installed):
    """The control: a directive with a typing mistake makes the same command speak."""
    service = next(path for path in installed if path.name == "gateway.service")
    service.write_text(service.read_text("utf-8").replace("WatchdogSec=", "WatchDogSeconds="))
    assert "WatchDogSeconds" in analyze("verify", "--man=no", str(service)).stderr


def test_no_value_has_a_comment_behind_it():
    """What stands behind a value belongs to it, so a comment has a line of its own."""
    for path in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        assert [] == [value for values in directives(path.name).values() for value in values if " #" in value]


def test_every_command_of_the_units_exists():
    """What the units start are commands of ours, with the options that they have."""
    service = directives("gateway.service")
    started = [line for name in ("ExecStartPre", "ExecStart", "ExecReload") for line in service[name]]
    assert 3 == len(started)
    for line in started:
        program, *words = line.lstrip("-+").split()
        assert ("/usr/bin/gateway", True) == (program, words[0] in main.list_commands(None))


def test_the_start_is_tried_for_ever_and_the_check_does_not_forbid_it():
    """No limit of starts gives up, neither the service's nor the socket's; a check that fails stops nothing."""
    service, socket = directives("gateway.service"), directives("gateway.socket")
    assert [["0"], ["always"], ["0"]] == [
        service["StartLimitIntervalSec"],
        service["Restart"],
        socket["TriggerLimitIntervalSec"],
    ]
    assert service["ExecStartPre"][0].startswith("-")


def test_the_socket_is_where_the_defaults_listen():
    """The port of the socket unit is the port of a configuration that says nothing."""
    listen = Config().listen
    assert [f"{listen.host}:{listen.port}"] == directives("gateway.socket")["ListenStream"]


def test_the_directories_are_those_of_the_documents():
    """State, sockets, configuration and secrets lie where the commands look for them."""
    service = directives("gateway.service")
    names = {name: service[f"{name}Directory"] for name in ("State", "Runtime", "Configuration", "Logs")}
    assert {tuple(value) for value in names.values()} == {("gateway",)}
    assert [f"gateway:{DEFAULT_PATH.parent}/credentials"] == service["LoadCredential"]
    assert (UNITS / "tmpfiles.d" / "gateway.conf").read_text("utf-8").count(
        f"d {DEFAULT_PATH.parent}/credentials 0700 root root -"
    ) == 1


def test_the_deadlines_of_a_stop_fit_into_its_time():
    """Systemd gives a stop more time than all graces and the last commit take together."""
    from gateway.daemon import gateway as life

    grace_s = Config().runtime.stop_grace_s
    longest_s = (grace_s + 2) * 2 + 3 + life._WRITER_END_S
    assert longest_s < float(directives("gateway.service")["TimeoutStopSec"][0])


def test_systemd_takes_the_user_and_the_directories(tmp_path):
    """`systemd-sysusers` makes the user in an empty root, and `systemd-tmpfiles` the directory of the secrets."""
    (tmp_path / "etc").mkdir()
    users, files = (str(UNITS / kind / "gateway.conf") for kind in ("sysusers.d", "tmpfiles.d"))
    for words in (["systemd-sysusers", f"--root={tmp_path}", users],
                  ["systemd-tmpfiles", f"--root={tmp_path}", "--create", files]):  # fmt: skip
        made = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert 0 == made.returncode, made.stderr
    user = next(line for line in (tmp_path / "etc/passwd").read_text().splitlines() if "gateway" in line)
    assert ["gateway", "/var/lib/gateway", "/usr/sbin/nologin"] == [user.split(":")[n] for n in (0, 5, 6)]
    assert 0o700 == (tmp_path / "etc/gateway/credentials").stat().st_mode & 0o777


def test_the_service_and_the_socket_belong_together():
    """Who enables the one enables the other, and the service is handed the socket."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(UNITS / "gateway.service")
    assert ("gateway.socket", "gateway.socket") == (parser["Install"]["Also"], parser["Service"]["Sockets"])
