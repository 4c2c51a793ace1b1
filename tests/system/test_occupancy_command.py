"""`gateway occupancy` and `gateway devices DEVICE --day`, with the real gateway: up, killed, reloaded and down."""

import asyncio
import json
import signal
import time
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest
from keeping import count, counter, fill, opened
from site_under_test import SMALL_SITE, Daemon, free_port

from gateway.control.client import Client
from gateway.simulate.count_xml import DIALECTS, CountXml, Identity, ObjectCounts, Window

CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-zones"
[site]
zone = "UTC"
[zones.hall]
doors = ["counter-200000000000000001"]
doors_out = ["counter-missing"]
reset = "{reset}"
capacity = 10
"""
)
SERIAL = "200000000000000001"


@pytest.fixture
def daemon(tmp_path):
    config = tmp_path / "config.toml"
    port = free_port()
    # Twelve hours from now there is no reset, whatever the time of day is.
    reset = f"{(datetime.now(UTC).hour + 12) % 24:02}:00"
    config.write_text(CONFIG.format(port=port, directory=tmp_path, reset=reset))
    made = Daemon(tmp_path, config, port)
    yield made
    if made.running:
        made.stop()


def push(daemon, minutes_ago, enters, exits=0):
    start = int(time.time()) // 60 * 60 - minutes_ago * 60
    counts = {"enters": enters, "exits": exits, "passings": 0, "returns": 0}
    line = ObjectCounts("0", "count", "total", [Window(start, start + 60, counts)])
    body = CountXml(Identity(serial=SERIAL), DIALECTS["v1.0"]).counts("Metrics", 1, int(time.time()), [line])
    connection = HTTPConnection("127.0.0.1", daemon.port, timeout=10)
    connection.request("POST", "/", body, {"Content-Type": "text/xml"})
    assert 200 == connection.getresponse().status
    connection.close()


def zones(daemon):
    """Ask over the socket, as the command does."""
    rows = Client(daemon.config.parent / "control.sock").get("/read/occupancy")["done"]
    return {row["device"]: row for row in rows}


def hall(daemon):
    return zones(daemon)["zone-hall"]


@pytest.mark.slow
def test_a_zone_over_its_life(daemon):
    """People are counted, set and shown; after kill -9 and a reload everything is as before, and a door is missed."""
    daemon.start()
    assert hall(daemon)["occupancy"] is None
    push(daemon, 3, 5, 1)
    told = hall(daemon)
    assert (4, 4, 40, 5, 5) == tuple(
        told[name] for name in ("occupancy", "occupancy_raw", "percent", "enters_today", "enters_last_minute")
    )
    done = daemon.command("occupancy", "hall", "--set", "9")
    assert (0, "Zone hall now has 9 people; the count had 5 fewer.\n") == (done.returncode, done.stdout)
    daemon.kill()
    daemon.start()
    assert (9, "set") == tuple(hall(daemon)[name] for name in ("occupancy", "occupancy_from"))
    assert 5 == hall(daemon)["enters_last_hour"]
    text = daemon.command("occupancy")
    assert "partial" in text.stdout and "hall" in text.stdout
    refused = daemon.command("occupancy", "cellar", "--set", "1")
    assert (1, "") == (refused.returncode, refused.stdout)
    assert "no zone 'cellar'" in refused.stderr
    daemon.config.write_text(
        daemon.config.read_text() + '[zones.back]\ndoors = ["counter-200000000000000001/0"]\n'
    )
    daemon.signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while len(zones(daemon)) < 2:
        assert time.monotonic() < deadline, daemon.tail()
        time.sleep(0.1)
    push(daemon, 0, 2)
    rows = zones(daemon)
    assert (11, True) == (rows["zone-hall"]["occupancy"], rows["zone-hall"]["over_capacity"])
    assert 2 == rows["zone-back"]["occupancy"]
    ask = Client(daemon.config.parent / "control.sock").get
    deadline = time.monotonic() + 20
    while "counter-missing" not in str(ask("/status")["faults"]):
        assert time.monotonic() < deadline, ask("/status")
        time.sleep(0.2)
    assert "zone-hall" not in str(ask("/read/devices"))
    daemon.stop()
    down = daemon.command("occupancy", "--json")
    assert 11 == json.loads(down.stdout)[0]["occupancy"], "without the gateway it is read from the store"


def test_a_day_of_a_device_is_shown(daemon, tmp_path):
    """Totals, hours and gaps of a day are printed and given as JSON; a gap is exit status 1, and a wrong day says so."""

    async def filled():
        start = datetime(2026, 10, 4, tzinfo=UTC)
        events = [
            count(time=datetime.fromtimestamp(start.timestamp() + at * 60, UTC), device=counter("counter-x"))
            for at in range(1440)
            if at not in (61, 62)
        ]
        async with opened(tmp_path / "store") as outbox:
            await fill(outbox, events)

    asyncio.run(filled())
    shown = daemon.command("devices", "counter-x", "--day", "2026-10-04")
    assert 1 == shown.returncode, shown.stderr
    assert "1438 of 1440 minutes are known, 2 are missing: not complete." in shown.stdout
    assert "missing from 2026-10-04T01:01+00:00 to 2026-10-04T01:03+00:00" in shown.stdout
    daemon.start()
    told = json.loads(daemon.command("devices", "counter-x", "--day", "2026-10-04", "--json").stdout)[0]
    assert (1438, 58) == (told["totals"]["enters"], told["hours"][1]["enters"])
    for words, sentence in (
        (("devices", "counter-x", "--day", "4.10."), "is not a day"),
        (("devices", "--day", "today"), "Say which device"),
        (("devices", "nobody", "--day", "today"), "No device is called nobody"),
    ):
        refused = daemon.command(*words)
        assert refused.returncode and sentence in refused.stderr + refused.stdout
