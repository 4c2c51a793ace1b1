"""What `gateway doctor` finds about the store, the configuration, the devices, owners, versions and the clock."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest
from box_under_test import a_box, files, quiet, the
from hand_clock import EPOCH, NOW, HandClock, in_use
from keeping import MINUTE, NOON, count, counter, fill, opened, settings

from gateway import __version__
from gateway.clock import Standing, kernel
from gateway.config import load
from gateway.doctor import configuration, devices, permissions, store, timekeeping, versions
from gateway.doctor.box import Box
from gateway.outbox import Caller, Outbox, Rules, damage
from gateway.outbox.connection import FILE_NAME

pytestmark = pytest.mark.anyio
STRANGER = 1234  # a user id that is nobody's


@pytest.fixture
def root_only():
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")


async def kept(folder, events=5):
    """A store with some events of one counter."""
    async with opened(folder / "store") as outbox:
        await fill(outbox, [count(minute) for minute in range(events)], received=NOON + events * MINUTE)


def change(folder, statement, *values):
    """Do what a damaged disk would do, behind the gateway's back."""
    with closing(sqlite3.connect(folder / "store" / FILE_NAME)) as conn:
        conn.execute(statement, values)
        conn.commit()


# The store


async def test_a_store_that_is_whole_is_well(tmp_path):
    """It is read to the end, and its figure is right."""
    await kept(tmp_path)
    (found,) = quiet(store.CHECK, a_box(tmp_path))
    assert "5 events received so far, the last 5" in found.sentence


def test_no_store_yet_is_no_fault(tmp_path):
    """Before the first start there is nothing to be judged."""
    (found,) = quiet(store.CHECK, a_box(tmp_path))
    assert not found.known and not found.hindered


async def test_a_damaged_head_is_found(tmp_path):
    """A file that is no database any more is damaged."""
    await kept(tmp_path)
    with (tmp_path / "store" / FILE_NAME).open("r+b") as file:
        file.write(os.urandom(4096))
    the("store_damaged", store.CHECK, a_box(tmp_path))


async def test_a_row_that_is_not_what_was_written_is_found(tmp_path):
    """One changed figure in one of the last rows is damage, though the file is a good database."""
    await kept(tmp_path)
    change(tmp_path, "UPDATE events SET body = replace(body, '\"enters\":1', '\"enters\":7') WHERE seq = 4")
    assert "not what was written" in the("store_damaged", store.CHECK, a_box(tmp_path)).sentence


async def test_the_mark_of_a_damage_is_found(tmp_path):
    """What the last run found is told, because a quick look may not find it again."""
    await kept(tmp_path)
    damage.mark(tmp_path / "store", "page 7 is no page")
    assert "page 7 is no page" in the("store_damaged", store.CHECK, a_box(tmp_path)).sentence


async def test_a_store_that_somebody_holds_is_not_called_damaged(tmp_path):
    """A program that has locked the file keeps everybody out, and nothing is wrong with the file."""
    await kept(tmp_path)
    with closing(sqlite3.connect(tmp_path / "store" / FILE_NAME, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert "locked" in the("store_failed", store.CHECK, a_box(tmp_path)).sentence


async def test_a_damaged_store_that_was_set_aside_is_told_until_it_is_gone(tmp_path):
    """The note says what became of it; without one that is not known any more."""
    await kept(tmp_path)
    aside = tmp_path / "store" / f"{FILE_NAME}.damaged-20261120"
    aside.touch()
    assert "not known any more" in the("store_salvaged", store.DAMAGED, a_box(tmp_path)).sentence
    (tmp_path / "store" / store.NOTE).write_text(f"It was moved to {aside.name}; 5 events were saved.")
    assert "5 events were saved" in the("store_salvaged", store.DAMAGED, a_box(tmp_path)).sentence
    aside.unlink()
    quiet(store.DAMAGED, a_box(tmp_path))


SINK = '[sinks.{}]\ntype = "https"\nendpoint = "https://192.168.1.9/events"\n'


async def test_a_backlog_of_hours_is_found(tmp_path):
    """What waits for an hour is a fault with its age, unless the sink has a fault of its own or is switched off."""
    with in_use(HandClock()) as by_hand:
        async with opened(tmp_path / "store") as outbox:
            await outbox.sinks.enlist("up", start="oldest", window=5)
            await fill(outbox, [count(0), count(1)], received=NOW)
        quiet(store.WAITING, a_box(tmp_path, SINK.format("up")))
        by_hand.go(timedelta(hours=3).total_seconds())
        found = the("sink_behind", store.WAITING, a_box(tmp_path, SINK.format("up")))
        assert "2 events wait for sink up, the oldest for 3:00:00" in found.sentence
        told = {"faults": [{"code": "https_name", "subject": "up"}]}
        quiet(store.WAITING, a_box(tmp_path, SINK.format("up"), told=told))
        quiet(store.WAITING, a_box(tmp_path, SINK.format("up") + "enabled = false\n"))
        quiet(store.WAITING, a_box(tmp_path))


async def test_the_room_of_the_pictures_is_told(tmp_path):
    """What pictures take is said only where they are kept."""
    await kept(tmp_path)
    assert "None are kept" in quiet(store.KEPT, a_box(tmp_path))[0].sentence
    assert "0 are kept" in quiet(store.KEPT, a_box(tmp_path, "[pictures]\nkeep = true\n"))[0].sentence


# The devices


async def test_a_store_without_devices_asks_for_one(tmp_path):
    """A new box is told how to get its first device; that is advice."""
    await kept(tmp_path, 0)
    assert the("no_device_yet", devices.CHECK, a_box(tmp_path)).advice
    await kept(tmp_path)
    assert "1 device known" in quiet(devices.CHECK, a_box(tmp_path))[0].sentence


async def test_devices_that_wait_are_found_with_the_gateway_down(tmp_path):
    """Who waits to be adopted is read from the store."""
    async with opened(tmp_path / "store", admission=Rules(hold=True)) as outbox:
        for name in ("counter-a", "counter-b"):
            push = [count(0, device=counter(name, address="10.0.0.5"))]
            await outbox.append(push, NOON, "/c", caller=Caller("10.0.0.5"))
    found = the("devices_waiting", devices.CHECK, a_box(tmp_path))
    assert "2 devices wait to be adopted: counter-a, counter-b." in found.sentence


async def test_a_device_with_a_wrong_clock_is_found_with_the_gateway_down(tmp_path):
    """The offset that was measured last is in the book; two minutes are allowed, and our own clock must be right."""
    believed = '[clock]\ntrust = "plausible"\n'
    await kept(tmp_path)
    change(tmp_path, "UPDATE devices SET clock_offset_ms = ?", -3_600_000)
    found = the("clock_off", devices.CHECK, a_box(tmp_path, believed))
    assert ("counter-a", True) == (found.subject, "1 h behind" in found.sentence)
    quiet(devices.CHECK, a_box(tmp_path, believed, told={}))  # then it is the daemon's to say
    change(tmp_path, "UPDATE devices SET clock_offset_ms = ?", 90_000)
    quiet(devices.CHECK, a_box(tmp_path, believed))


# Owners and modes


async def test_files_of_another_user_in_the_store_are_found(tmp_path, root_only):
    """A gateway that was once started by hand with sudo leaves files that its own user cannot write to."""
    await kept(tmp_path)
    folder = tmp_path / "store"
    os.chown(folder, STRANGER, STRANGER)
    said = the("store_owner", permissions.CHECK, a_box(tmp_path)).sentence
    assert FILE_NAME in said and f"the user {STRANGER}" in said
    for one in folder.iterdir():
        os.chown(one, STRANGER, STRANGER)
    quiet(permissions.CHECK, a_box(tmp_path))


async def test_a_store_that_everybody_can_read_is_found(tmp_path):
    """A file that others may read in a folder that they may enter is told; one of both alone is not."""
    await kept(tmp_path)
    (tmp_path / "store" / FILE_NAME).chmod(0o644)
    (tmp_path / "store").chmod(0o755)
    the("store_exposed", permissions.CHECK, a_box(tmp_path))
    (tmp_path / "store").chmod(0o750)
    quiet(permissions.CHECK, a_box(tmp_path))


async def test_a_store_that_everybody_can_change_is_found(tmp_path):
    """Whoever may write into the folder can put another store there; the remedy names the folder that it is."""
    await kept(tmp_path)
    (tmp_path / "store").chmod(0o722)
    found = the("store_exposed", permissions.CHECK, a_box(tmp_path))
    assert "can change what is in" in found.sentence
    assert f"Run: sudo chmod o= {tmp_path / 'store'}" == found.action


def test_a_configuration_that_everybody_can_change_is_found(tmp_path):
    """Whoever can write the file decides where the events go."""
    path = tmp_path / "config.toml"
    path.touch()
    path.chmod(0o666)
    found = the("config_exposed", permissions.CHECK, a_box(tmp_path, path=path))
    assert f"Run: sudo chmod o-w {path}" == found.action
    path.chmod(0o644)
    quiet(permissions.CHECK, a_box(tmp_path, path=path))


def test_a_configuration_that_the_gateway_cannot_read_is_found(tmp_path, root_only):
    """The store's owner is whom the gateway runs as, and must be able to read the file."""
    (tmp_path / "store").mkdir()
    os.chown(tmp_path / "store", STRANGER, STRANGER)
    path = tmp_path / "config.toml"
    path.touch()
    path.chmod(0o600)
    the("config_unreadable", permissions.CHECK, a_box(tmp_path, path=path))
    path.chmod(0o644)
    quiet(permissions.CHECK, a_box(tmp_path, path=path))


def test_a_secret_that_others_can_read_is_found(tmp_path):
    """Every file in the folder of credentials counts, used or not."""
    root = files(
        tmp_path / "root", {"etc/gateway/credentials/mqtt-password": "x", "etc/gateway/credentials/key": "y"}
    )
    (root / "etc/gateway/credentials/key").chmod(0o600)
    box = a_box(tmp_path, root=root)
    found = the("secret_exposed", permissions.CHECK, box)
    assert "mqtt-password" in found.sentence and "key" not in found.sentence.replace("/key", "")
    (root / "etc/gateway/credentials/mqtt-password").chmod(0o600)
    quiet(permissions.CHECK, box)


async def test_a_gateway_that_runs_as_root_is_told(tmp_path, root_only):
    """It works, and it is not needed: advice."""
    outbox = await Outbox.open(settings(tmp_path / "store"))
    try:
        assert the("runs_as_root", permissions.CHECK, a_box(tmp_path)).advice
    finally:
        outbox.release()


# Versions, configuration, clock


def test_an_older_gateway_that_still_runs_is_found(tmp_path, monkeypatch):
    """The command compares with the daemon; the daemon compares itself with the file on disk."""
    found = the("restart_needed", versions.CHECK, a_box(tmp_path, told={"version": "0.0.9"}))
    assert "0.0.9" in found.sentence and __version__ in found.sentence
    quiet(versions.CHECK, a_box(tmp_path, told={"version": __version__}))
    quiet(versions.CHECK, a_box(tmp_path, inside=True))
    newer = tmp_path / "__init__.py"
    newer.write_text('__version__ = "99.1"\n')
    monkeypatch.setattr("gateway.__file__", str(newer))
    assert "99.1" in the("restart_needed", versions.CHECK, a_box(tmp_path, inside=True)).sentence


def test_a_system_that_wants_a_restart_is_told(tmp_path):
    """Debian leaves a note after an update of the kernel; that is advice."""
    root = files(tmp_path / "root", {"run/reboot-required": ""})
    assert the("reboot_needed", versions.CHECK, a_box(tmp_path, root=root)).advice


def written(folder, text):
    path = folder / "config.toml"
    path.write_text(f'[store]\npath = "{folder / "store"}"\n{text}')
    return path


def test_mistakes_of_the_configuration_are_named_with_their_lines(tmp_path):
    """With the gateway down the file is what it will start with, so its mistakes are the fault."""
    path = written(tmp_path, "[listen]\nport = 99999\n")
    found = the("config_rejected", configuration.CHECK, a_box(tmp_path, path=path))
    assert f"{path}:4: listen.port" in found.sentence
    assert "last good" not in found.action  # there is none, and nothing runs
    found = the("config_rejected", configuration.CHECK, a_box(tmp_path, path=path, recalled=True))
    assert found.sentence.startswith("The last good configuration is in use.")


def test_a_configuration_that_was_changed_and_not_reloaded_is_found(tmp_path):
    """What the file says and what runs are compared by their hash, and in the daemon as they are."""
    path = written(tmp_path, "")
    runs = Box(load(path), path, told={"config_hash": load(path).hash})
    quiet(configuration.CHECK, runs)
    quiet(configuration.CHECK, replace(runs, told=None, inside=True))
    written(tmp_path, "[listen]\nport = 8099\n")
    the("config_changed", configuration.CHECK, runs)
    the("config_changed", configuration.CHECK, replace(runs, told=None, inside=True))
    written(tmp_path, "[listen]\nport = 99999\n")
    found = the("config_changed", configuration.CHECK, replace(runs, told={"faults": []}, inside=True))
    assert "listen.port" in found.sentence and "gateway check" in found.action


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_that_this_user_may_not_read_has_no_mistakes(tmp_path, root_only, inside):
    """Who may not read the file is not told to correct lines of it; the gateway has its own fault for that."""
    box = a_box(tmp_path, path=written(tmp_path, ""), inside=inside, told={"faults": []})
    os.seteuid(STRANGER)
    try:
        (found,) = quiet(configuration.CHECK, box)
    finally:
        os.seteuid(0)
    assert found.hindered and "sudo" in found.sentence


def test_the_standing_of_the_clock_is_what_the_daemon_says(tmp_path, monkeypatch):
    """A daemon that runs has watched the clock; without one the kernel is asked."""
    with in_use(HandClock()):
        monkeypatch.setattr(kernel, "synced", lambda: False)
        the("clock_unsynced", timekeeping.CHECK, a_box(tmp_path, told={"clock": "unsynced"}))
        quiet(timekeeping.CHECK, a_box(tmp_path, told={"clock": "synced"}))
        found = the("clock_unsynced", timekeeping.CHECK, a_box(tmp_path, root=tmp_path))
        assert "No time service is installed." in found.sentence
        root = files(tmp_path / "root", {"run/systemd/timesync/clock": ""})
        found = the("clock_unsynced", timekeeping.CHECK, a_box(tmp_path, root=root))
        assert "systemd-timesyncd runs and reaches no server." in found.sentence
        quiet(timekeeping.CHECK, a_box(tmp_path, '[clock]\ntrust = "plausible"\n'))
        monkeypatch.setattr(kernel, "synced", lambda: True)
        quiet(timekeeping.CHECK, a_box(tmp_path))
    with in_use(HandClock(EPOCH)):
        assert "not set" in the("clock_unsynced", timekeeping.CHECK, a_box(tmp_path)).sentence


def test_a_daemon_that_may_not_ask_the_kernel_is_told_from_a_clock_that_nobody_sets(tmp_path, monkeypatch):
    """With a kernel that is synchronised the finding blames no time server and names the page with the cure."""
    monkeypatch.setattr(kernel, "synced", lambda: True)
    root = files(tmp_path / "root", {"run/chrony/chronyd.pid": ""})
    told = a_box(tmp_path, root=root, told={"clock": "unsynced"})
    with in_use(HandClock()):
        found = the("clock_unsynced", timekeeping.CHECK, told)
        within = the("clock_unsynced", timekeeping.CHECK, replace(told, inside=True))
    assert "keeps the clock of this box right (chrony)" in found.sentence
    assert "No time server" not in found.sentence and "reaches no server" not in found.sentence
    assert "systemctl edit gateway" in found.action and "[What it may not do]" in found.action
    assert "No time server sets the clock" in within.sentence


def test_every_standing_of_the_clock_has_a_sentence():
    """No word of the clock is left without one."""
    with in_use(HandClock()):
        assert 4 == len({timekeeping.finding(standing, 999.0).sentence for standing in Standing})
