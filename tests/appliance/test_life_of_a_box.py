"""The life of a box on Debian 12 and 13, with their own systemd: each step is a fault or a change that a box sees."""

import os
import shutil
import sqlite3
import time
from contextlib import closing

import first_version
import pytest
from built_packages import packages
from debian_root import RELEASES, needs, unpack
from gatewayed_box import CONFIG, GatewayBox, doubles, mark

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends"


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("release", RELEASES)
def test_a_box_lives_through_it_all(release, tmp_path):
    """From the first install to the purge nothing that was answered is missing, and no unit ever fails."""
    needs()
    previous, current, told = packages()
    print(told)
    root = unpack(release, tmp_path / release)
    try:
        for name, package in (("previous", previous), ("current", current)):
            shutil.copy(package, root / f"{name}.deb")
        with GatewayBox(root) as box:
            for step in _STEPS:
                began = time.monotonic()
                step(box)
                assert "" == box.failed(), f"after {step.__name__}: {box.failed()}\n{box.journal()}"
                print(f"{release} {step.__name__}: {time.monotonic() - began:.1f} s")
    finally:
        shutil.rmtree(root)


def _install(box):
    """From minbase, with nothing but what the package depends on: it runs, listens, and is closed in."""
    box.run(f"{_APT} /previous.deb", seconds=900)
    box.until_active()
    assert "0.0.9" in box.says("gateway --version")
    assert "active" == box.says("systemctl is-active gateway.socket")
    assert "enabled\nenabled" == box.says("systemctl is-enabled gateway.service gateway.socket")
    box.run("systemd-analyze security gateway.service --threshold=12")
    status = box.says(f"grep -E '^(Uid|CapBnd|Seccomp|NoNewPrivs):' /proc/{box.pid()}/status")
    words = {line.split()[0]: line.split()[1] for line in status.splitlines()}
    assert "0" != words.pop("Uid:")
    assert {"CapBnd:": "0000000000000000", "Seccomp:": "2", "NoNewPrivs:": "1"} == words


def _push(box):
    """With the configuration in effect, what devices say is kept, also by the product's own simulators."""
    box.configure(CONFIG)
    box.run("systemctl reload gateway")
    assert {"answered": 40, "refused": 0, "other": 0} == _figures(box.push("4001 40"))
    assert {"answered": 15, "refused": 0, "other": 0} == _figures(box.push("SPBOX1 15 --faces"))
    box.until_received(55)
    account = box.account()
    assert (55, 0, 55) == (account["received"], account["delivered"], account["waiting"])


def _kill(box):
    """Killed in the middle of pushes it is there again, with all that it had answered."""
    pushing = box.hammer("4002 4003")
    before = box.pid()
    box.run(f"kill -9 {before}")
    box.until_active(not_pid=before)
    box.until_answered("4002 4003", 5)
    box.ease(pushing)
    assert "1" == box.says("systemctl show -P NRestarts gateway")


def _hang(box):
    """A daemon that hangs is replaced by the watchdog; the device that waits for its answer gets it from the next."""
    drop_in = "/run/systemd/system/gateway.service.d"
    short = "[Service]\\nWatchdogSec=10\\n"
    box.run(f"mkdir -p {drop_in}; printf '{short}' >{drop_in}/short.conf; systemctl daemon-reload")
    box.run("systemctl restart gateway")
    before = box.pid()
    pushing = box.hammer("4004")
    box.run(f"kill -STOP {before}")
    box.until_active(not_pid=before)
    box.until_answered("4004", 5)
    box.ease(pushing)
    assert "watchdog" in box.says("journalctl --no-pager -u gateway | grep -i 'watchdog timeout'").lower()
    box.run(f"rm -r {drop_in}; systemctl daemon-reload; systemctl restart gateway")


def _reload(box):
    """A good configuration is taken over; a bad one makes the reload fail, says why, and changes nothing."""
    before = box.pid()
    box.configure(CONFIG + '[sinks.other]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:1"\n')
    box.run("systemctl reload gateway")
    assert box.accounts()["other"]["configured"]
    box.configure(CONFIG.replace("backoff_max_s = 1", 'backoff_max_s = "soon"'))
    refused = box.run("systemctl reload gateway", good=False)
    assert 0 != refused.status, refused
    assert "backoff_max_s" in box.journal()
    assert "active" == box.says("systemctl is-active gateway")
    box.configure(CONFIG)
    box.run("systemctl reload gateway")
    assert before == box.pid()
    assert not box.accounts()["other"]["configured"]


def _restart_under_load(box):
    """Three restarts while four devices push: no push is refused, none is lost."""
    pushing = box.hammer("4015 4016 4017 4018")
    for _ in range(3):
        box.run("systemctl restart gateway")
        box.until_active()
    told = [_figures(one) for one in box.ease(pushing)]
    assert (0, 0) == (sum(one["refused"] for one in told), sum(one["other"] for one in told)), told


def _upgrade(box):
    """With a backlog waiting and a store of the first version, under load: the account goes on."""
    box.run("systemctl stop gateway.service gateway.socket")
    state = box.root / "var/lib/gateway"
    owner = (state / "gateway.db").stat()
    with closing(sqlite3.connect(state / "gateway.db")) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    first_version.as_first_version(state)
    for file in state.glob("gateway.db*"):
        os.chown(file, owner.st_uid, owner.st_gid)
    box.run("systemctl start gateway.socket")
    waiting = len(box.answered)
    pushing = box.hammer("4009")
    box.run(f"{_APT} /current.deb", seconds=900)
    box.until_active()
    figures = [_figures(one) for one in box.ease(pushing)]
    assert [(0, 0)] == [(one["refused"], one["other"]) for one in figures], figures
    assert "0.0.9" not in box.says("gateway --version")
    assert box.account()["waiting"] >= waiting


def _deliver(box):
    """Once the far end is there, all that waited goes out."""
    box.run("systemd-run -q --unit=far-end python3 /far_end.py /far_end.jsonl")
    box.until_delivered()
    _balance(box)


def _downgrade(box):
    """By one version, with a backlog again: it goes on with the same store."""
    box.run("systemctl stop far-end")
    before = len(box.answered)
    box.push("4010 30")
    box.run(f"{_APT} --allow-downgrades /previous.deb", seconds=900)
    box.until_active()
    assert "0.0.9" in box.says("gateway --version")
    box.push("SPBOX2 10 --faces")
    assert before + 40 == len(box.answered)
    box.run("systemd-run -q --unit=far-end python3 /far_end.py /far_end.jsonl")
    box.until_delivered()
    _balance(box)


def _back_up(box):
    """Upgraded once more: a restore forgets what came behind the backup, and when it is said again it counts once more."""
    box.run(f"{_APT} /current.deb", seconds=900)
    box.until_active()
    of_it = "SELECT seq FROM events WHERE device = 'counter-4019' ORDER BY seq"
    box.run("gateway backup /mnt/box.backup")
    box.push("4019 5")
    box.until_delivered()
    before = box.stored(of_it)
    assert 5 == len(before)
    box.run("systemctl stop gateway.service gateway.socket")
    refused = box.run("gateway restore /mnt/box.backup", good=False)
    assert 0 != refused.status and "--backwards" in refused.err, refused
    box.run("gateway restore --backwards /mnt/box.backup")
    box.run("systemctl start gateway.socket gateway.service")
    box.until_active()
    assert [] == box.stored(of_it)
    box.push("4019 5")
    box.until_delivered()
    after = box.stored(of_it)
    assert 5 == len(after)
    assert min(after) > max(before)
    assert box.account()["balanced"]
    assert set(box.answered) == {
        mark(event) for event in box.arrived() if event["kind"] in {"count", "access"}
    }


def _remove(box):
    """The program, the port and the units are gone; what was kept stays for the next install."""
    box.run("apt-get -qq remove -y site-gateway", seconds=200)
    assert "" == box.says("ls /usr/lib/site-gateway /usr/bin/gateway 2>/dev/null || true")
    assert (
        box.run("systemctl is-active gateway.service gateway.socket", good=False).out.split()
        == ["inactive"] * 2
    )
    assert (box.root / "var/lib/gateway/gateway.db").exists()
    assert (box.root / "etc/gateway/config.toml").exists()


def _purge(box):
    """Nothing of ours is left but the name of the user."""
    box.run("apt-get -qq purge -y site-gateway", seconds=200)
    places = "/etc/gateway /var/lib/gateway /var/log/gateway /run/gateway /usr/lib/systemd/system/gateway*"
    assert "" == box.says(f"ls -d {places} /etc/systemd/system/*/gateway* 2>/dev/null || true")


_STEPS = (
    _install, _push, _kill, _hang, _reload, _restart_under_load, _upgrade, _deliver, _downgrade, _back_up,
    _remove, _purge,
)  # fmt: skip


def _figures(told: dict) -> dict:
    return {**told, "answered": len(told["answered"])}


def _balance(box) -> None:
    """Hold the account and the far end against what the devices were answered."""
    account, events = box.account(), box.arrived()
    arrived = {mark(event) for event in events if event["kind"] in {"count", "access"}}
    facts = len({(event["id"], event["revision"]) for event in events})
    assert set(box.answered) == arrived
    assert (facts, facts, 0) == (account["received"], account["delivered"], account["waiting"]), account
    assert account["balanced"], account
    again, other = doubles(events)
    assert [] == other
    print(f"{len(box.answered)} answered, {facts} events, {len(again)} came twice")
