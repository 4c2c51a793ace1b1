"""`gateway account`: with the gateway up and down, as table and as JSON, and when something does not fit."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest
from keeping import Running, count, counter, fill
from site_under_test import SMALL_SITE, Daemon, small_daemon

CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-account"
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{closed}"
"""
)
DEVICES = ("counter-a", "counter-b")


async def filled(tmp_path):
    running = await Running.start(tmp_path / "store")
    outbox = running.outbox
    home = await outbox.sinks.enlist("home", start="oldest", window=50)
    old = await outbox.sinks.enlist("old", start="oldest", window=50)
    await fill(outbox, [count(minute, device=counter(device)) for minute in range(5) for device in DEVICES])
    for position, number in ((home, 4), (old, 10)):
        entries = outbox.recent(0, number)
        position.cursor = number
        position.settle(entry.device for entry in entries)
        await outbox.sinks.settle_now(position)
    await running.stop()


@pytest.fixture
def daemon(tmp_path):
    """A store with a sink that has had a part, and one that is configured no more; the gateway does not run."""
    asyncio.run(filled(tmp_path))
    daemon = small_daemon(tmp_path, CONFIG)
    yield daemon
    if daemon.running:
        daemon.stop()


def test_it_says_the_same_with_the_gateway_up_and_down(daemon):
    """Table and sentence come from the store; the sink that is configured no more is there and marked."""
    down = daemon.command("account")
    daemon.start()
    up = daemon.command("account")
    assert (0, 0) == (down.returncode, up.returncode), down.stderr + up.stderr
    assert down.stdout == up.stdout
    assert "not running" in down.stderr and "" == up.stderr
    lines = [line.split() for line in up.stdout.splitlines()]
    assert ["counter-a", "5", "2", "3", "0", "0", "0", "yes"] in lines
    assert ["all", "2", "10", "10", "0", "0", "0", "0", "yes"] in lines
    assert "Balances: 10 received = 4 delivered + 6 waiting. The log holds the 6 that wait." in up.stdout
    assert "Sink old (no longer configured)" in up.stdout


def test_one_sink_and_one_device_can_be_asked_for(daemon):
    """The options narrow what is shown; the total is still that of all devices."""
    (one,) = json.loads(daemon.command("account", "--sink", "home", "--device", "counter-b", "--json").stdout)
    assert (["counter-b"], 10) == ([row["device"] for row in one["devices"]], one["total"]["received"])
    assert 1 == daemon.command("account", "--sink", "nosuch").returncode
    told = daemon.command("account", "--device", "x")
    assert (1, True) == (told.returncode, "No device is called 'x'" in told.stderr)


def test_what_does_not_balance_ends_with_one(daemon, tmp_path):
    """An event that vanished from the log is named with its device and both figures."""
    with closing(sqlite3.connect(tmp_path / "store" / "gateway.db")) as conn, conn:
        conn.execute("DELETE FROM events WHERE seq = 9")
    ran = daemon.command("account", "--sink", "home")
    assert 1 == ran.returncode
    assert "Does not balance: 3 wait by the counters and 2 in the log at counter-a" in ran.stdout
    assert "Keep a copy of the store" in ran.stdout


def test_a_store_without_sinks_has_no_account(tmp_path):
    """Before anything was forwarded the command says so."""
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\npath = "{tmp_path}/none"\n[runtime]\nsocket = "{tmp_path}/control.sock"\n')
    ran = Daemon(tmp_path, config, 1).command("account")
    assert 2 == ran.returncode
    assert "has not run here yet" in ran.stderr
