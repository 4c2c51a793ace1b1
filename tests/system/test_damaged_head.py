"""The head of the store's file is gone, or the whole of it: the gateway says what it knows, as long as a person needs it."""

import asyncio
import os
import random
import signal

import pytest
from keeping import Running, count, counter, fill
from site_under_test import SMALL_SITE, small_daemon

from gateway.errors import DISK_ADVICE
from gateway.faults import weight
from gateway.outbox import damage, opening

CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-head"
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{closed}"
"""
)
EVENTS = 300


async def filled(tmp_path):
    running = await Running.start(tmp_path / "store")
    await running.outbox.sinks.enlist("home", start="oldest", window=50)
    await fill(running.outbox, [count(minute, device=counter("counter-a")) for minute in range(EVENTS)])
    await running.stop()


@pytest.fixture
def daemon(tmp_path):
    """A store with a backlog that its one sink has not had; the gateway does not run."""
    asyncio.run(filled(tmp_path))
    daemon = small_daemon(tmp_path, CONFIG)
    yield daemon
    if daemon.running:
        daemon.stop()


def overwrite_head(store, size=200):
    with (store / "gateway.db").open("r+b") as file:
        file.write(random.Random(5).randbytes(size))


def test_a_damaged_head_costs_no_event(daemon, tmp_path):
    """Events and places are found behind a head that is gone; the fault stands over restarts until the file is taken."""
    overwrite_head(tmp_path / "store")
    for _ in range(2):
        daemon.start()
        status, account = daemon.command("status"), daemon.command("account")
        assert f"{EVENTS} events were saved, 0 that a sink" in status.stdout
        assert "once more" not in status.stdout
        assert f"Balances: {EVENTS} received = 0 delivered + {EVENTS} waiting" in account.stdout
        daemon.stop()
    for kept in (tmp_path / "store").glob("gateway.db.damaged-*"):
        kept.unlink()
    daemon.start()
    assert "store_salvaged" not in daemon.command("status").stdout


def test_nobody_reads_that_none_was_lost_when_nobody_can_know(daemon, tmp_path):
    """With the places gone as well the events are found and owed again, and fault and account say what nobody can tell."""
    overwrite_head(tmp_path / "store", 8 * 1024)
    for _ in range(2):
        daemon.start()
        status, account = daemon.command("status"), daemon.command("account")
        assert "cannot be told" in status.stdout and "events were saved" in status.stdout
        assert " 0 that a sink" not in status.stdout and "once more" in status.stdout
        assert "cannot be told" in account.stdout
        daemon.stop()


def test_an_emptied_store_is_a_fault(daemon, tmp_path):
    """A file of no bytes where a store has been is told as damaged, not as well."""
    daemon.start()
    daemon.stop()
    (tmp_path / "store/gateway.db").write_bytes(b"")
    daemon.start()
    told = daemon.command("status").stdout
    assert "store_salvaged" in told and "the file is empty" in told and "cannot be told" in told


def test_a_daemon_that_hangs_is_said_to_run(daemon, tmp_path):
    """`gateway status` of a stopped process names it and says to restart it."""
    daemon.start()
    number = opening.holder(tmp_path / "store")
    os.kill(number, signal.SIGSTOP)
    try:
        told = daemon.command("status")
    finally:
        os.kill(number, signal.SIGCONT)
    assert f"process {number}" in told.stdout and "systemctl restart gateway" in told.stdout
    assert "not running" not in told.stdout


def test_a_store_marked_as_damaged_says_that_the_next_start_rescues(daemon, tmp_path):
    """With the daemon down the mark is told, without a sentence in a sentence."""
    said = "The store's file is damaged (SQLITE_CORRUPT: malformed); what can be read will be saved."
    damage.mark(tmp_path / "store", said)
    told = daemon.command("status").stdout
    assert "damaged (SQLITE_CORRUPT: malformed); the next start rescues what it can" in told


def test_advice_about_a_disk_is_the_same_everywhere(daemon, tmp_path):
    """A store that cannot be opened comes with the advice that a failed write has."""
    store = tmp_path / "store"
    (store / "gateway.db").unlink()
    (store / "gateway.db").mkdir()
    told = daemon.command("status")
    assert DISK_ADVICE in told.stdout + told.stderr


def test_the_heavy_faults_come_first():
    """Store before sinks before devices before clocks."""
    codes = ["clock_off", "device_silent", "mqtt_refused", "store_failed"]
    assert codes[::-1] == sorted(codes, key=weight)
