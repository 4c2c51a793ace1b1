"""`gateway reload`, as systemd's ExecReload: it ends when the configuration is in effect, and fails when it is not."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from test_receiving import Bare, count
from test_watchdog import Systemd

from gateway.commands import reloading
from gateway.simulate.ports import free_port

SINK = '\n[sinks.second]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:{port}"\n'


@pytest.fixture
def site(tmp_path, monkeypatch):
    systemd = Systemd(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.path)
    bare = Bare(tmp_path)
    bare.systemd = systemd
    yield bare
    if bare.daemon.running:
        os.kill(bare.daemon.pid, signal.SIGCONT)
    bare.close()


def test_a_good_configuration_is_in_effect_when_the_command_ends(site):
    """Status 0 comes after the new sink is there and its setting is used, and systemd heard the whole reload."""
    site.systemd.listen(0.5)
    config = site.daemon.config
    config.write_text(config.read_text() + SINK.format(port=free_port()))
    told = site.daemon.command("reload", "--json")
    assert 0 == told.returncode, told.stderr
    assert ["second"] == [sink["name"] for sink in site.status()["sinks"]]
    done = json.loads(told.stdout)
    assert [] == done["restart"]
    heard = site.systemd.listen(1)
    began = next(at for at, message in enumerate(heard) if "RELOADING=1\nMONOTONIC_USEC=" in message)
    ended = next(at for at, message in enumerate(heard) if "READY=1" in message)
    assert began < ended
    assert f"configuration {done['config_hash']} taken over" in heard[ended]


def test_a_bad_configuration_fails_with_all_of_its_mistakes(site):
    """Status 1, each mistake with its line; the old configuration stays in use, and systemd hears READY again."""
    site.systemd.listen(0.5)
    config = site.daemon.config
    good = config.read_text()
    config.write_text(good + "\n[events]\nlate_after_s = 'soon'\n[liveness]\nrythms = 3\n")
    told = site.daemon.command("reload")
    assert 1 == told.returncode
    assert "config.toml:" in told.stderr and "late_after_s" in told.stderr and "rythms" in told.stderr
    assert "" == told.stdout
    assert any("READY=1" in message and "not taken over" in message for message in site.systemd.listen(1))
    assert 200 == site.ask("POST", "/", count(1761991230, 2))[0]
    config.write_text(good)
    assert 0 == site.daemon.command("reload").returncode
    assert "config_rejected" not in site.faults()


def test_a_file_that_is_no_toml_is_told_by_the_gateway_that_runs(site, monkeypatch):
    """Where the socket is stands in the broken file alone: the last good one says it, and the mistake is printed."""
    monkeypatch.setenv("STATE_DIRECTORY", str(site.daemon.state))
    config = site.daemon.config
    config.write_text(config.read_text() + "\n[events]\nlate_after_s = soon\n")
    told = site.daemon.command("reload")
    assert 1 == told.returncode, told.stderr
    assert "config.toml:" in told.stderr and "put text in quotes" in told.stderr


def test_what_needs_a_restart_is_named(site):
    """A change of the port is taken over as far as possible: status 0, and the command says what is missing."""
    config = site.daemon.config
    config.write_text(config.read_text().replace(f"port = {site.daemon.port}", f"port = {free_port()}"))
    told = site.daemon.command("reload")
    assert 0 == told.returncode
    assert "only after `systemctl restart gateway`: listen" in told.stdout
    assert "config_restart" in site.faults()


def test_the_day_stays_the_one_that_is_counted_by_until_a_restart(site):
    """Another zone in the file waits for a start, and until then the commands show the day that counts go into."""

    def today():
        shown = json.loads(site.daemon.command("devices", "SR2000", "--day", "today", "--json").stdout)
        return [(page["day"], page["totals"]["enters"]) for page in shown]

    now = int(time.time())
    site.ask("POST", "/", count(now, 7, start=now - 60, serial=b"SR2000"))
    before = today()
    assert [7] == [enters for _, enters in before]
    zone = "Etc/GMT+12" if time.gmtime(now).tm_hour < 12 else "Etc/GMT-14"  # where it is another day now
    config = site.daemon.config
    config.write_text(config.read_text().replace("Europe/Lisbon", zone))
    assert "only after `systemctl restart gateway`: site" in site.daemon.command("reload").stdout
    assert before == today()


def test_without_a_gateway_nothing_is_claimed(site):
    """Status 2 when nobody is there to take the configuration over."""
    site.daemon.stop()
    told = site.daemon.command("reload")
    assert 2 == told.returncode
    assert "not running" in told.stderr


def test_signal_and_commands_at_once_are_done_one_after_the_other(site):
    """Reloads at the same time, by signal and by command, disturb each other in nothing."""
    config = site.daemon.config
    config.write_text(config.read_text() + SINK.format(port=free_port()))
    outcomes: list[int] = []
    commands = [
        threading.Thread(target=lambda: outcomes.append(site.daemon.command("reload").returncode))
        for _ in range(2)
    ]
    for command in commands:
        command.start()
    for _ in range(10):
        os.kill(site.daemon.pid, signal.SIGHUP)
        time.sleep(0.1)
    for command in commands:
        command.join(60)
    assert [0, 0] == outcomes
    assert ["second"] == [sink["name"] for sink in site.status()["sinks"]]
    assert 0 == site.daemon.stop()


def test_a_reload_before_the_start_is_done_behind_it(site):
    """A signal that comes while the gateway is still starting neither ends it nor is lost."""
    site.daemon.stop()
    site.daemon.launch()
    deadline = time.monotonic() + 60
    while not (site.directory / "control.sock").exists() and time.monotonic() < deadline:
        if _minds(site.daemon.pid):
            os.kill(site.daemon.pid, signal.SIGHUP)
        time.sleep(0.02)
    while site.daemon.command("status").returncode == 2 and time.monotonic() < deadline:
        assert site.daemon.running, site.daemon.tail()
    assert site.daemon.command("reload").returncode == 0
    assert site.daemon.running


def _minds(pid: int) -> bool:
    """Say whether the process ignores or catches SIGHUP: it is ours by then, and no longer the fork of the test."""
    said = Path(f"/proc/{pid}/status").read_text()
    masks = [line.split()[1] for line in said.splitlines() if line.startswith(("SigIgn", "SigCgt"))]
    return any(int(mask, 16) & 1 << (signal.SIGHUP - 1) for mask in masks)


def test_a_secret_that_changed_since_the_start_is_named(tmp_path, monkeypatch):
    """The copies of systemd are those of the start, so a secret that differs from its copy waits for a restart."""
    kept, copies = tmp_path / "credentials", tmp_path / "copies"
    kept.mkdir()
    monkeypatch.setattr(reloading, "CREDENTIALS", kept)
    monkeypatch.setattr(reloading, "HANDED_OVER", copies)
    for name, text in (("same", "a"), ("changed", "new"), ("added", "b")):
        (kept / name).write_text(text)
    assert [] == reloading._changed_secrets(), "a gateway that systemd did not start"
    copies.mkdir()
    for name, text in (("same", "a"), ("changed", "old")):
        (copies / f"gateway_{name}").write_text(text)
    assert ["added", "changed"] == reloading._changed_secrets()
