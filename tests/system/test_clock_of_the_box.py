"""The whole gateway on a box that boots in 1970, is killed there, and learns the time later."""

import http.client
import json
import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jumping_gateway import BoxClock
from site_under_test import Site

TRUE = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BOOT = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
XML = """<?xml version="1.0" encoding="utf-8"?>
<Metrics SiteId="s" SiteName="S" DeviceId="{name}" DeviceName="D"><Properties><Version>1</Version>
<TransmitTime>{sent}</TransmitTime><SerialNumber>{name}</SerialNumber></Properties><ReportData Interval="1">
<Report Date="2026-11-20"><Object Id="0" ObjectType="0" Name="count">
<Count StartTime="09:00:00" EndTime="09:01:00" UnixStartTime="{start}" Enters="{enters}" Exits="0" Passings="0" Returns="0"
 Status="0"/></Object></Report></ReportData></Metrics>"""


class Box:
    """A site whose gateway runs on a box without a battery; its devices know the time."""

    def __init__(self, directory: Path) -> None:
        self.clock = BoxClock(directory / "clock")
        program = (str(Path(__file__).with_name("jumping_gateway.py")), str(directory / "clock"))
        self.site = Site(directory, program=program)
        self.minute = 0
        config = self.site.daemon.config
        config.write_text(config.read_text().replace('trust = "plausible"', 'trust = "synced"'))

    def push(self, name="3001", *, enters=1) -> None:
        start = int(TRUE.timestamp()) + 60 * self.minute
        self.minute += 1
        body = XML.format(name=name, start=start, sent=start + 62, enters=enters)
        assert 200 == self.ask("POST", "/push", body)[0]

    def ask(self, method, path, body=""):
        connection = http.client.HTTPConnection("127.0.0.1", self.site.daemon.port, timeout=10)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self):
        return json.loads(self.site.daemon.command("status", "--json").stdout)

    def device(self, name="3001"):
        return json.loads(self.site.daemon.command("devices", f"counter-{name}", "--json").stdout)[0]

    def until(self, condition, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.site.daemon.tail()
            time.sleep(0.1)


@pytest.fixture
def box(tmp_path):
    box = Box(tmp_path)
    yield box
    box.site.close()


def codes(status):
    return {fault["code"] for fault in status["faults"]}


def test_a_box_that_boots_in_1970_loses_and_misdates_nothing(box):
    """Over a kill in 1970 and a sync every event arrives once and in order, with its mark and its own day; none is late."""
    box.clock.set(BOOT, synced=False)
    box.site.daemon.start()
    for _ in range(3):
        box.push()
    told = box.status()
    assert (False, "unset") == (told["time_synced"], told["clock"])
    assert "clock_unsynced" in codes(told)
    assert 503 == box.ask("GET", "/UTCTime")[0]
    state = box.device()
    assert (None, None, None, 3) == (
        state["day"],
        state["enters_today"],
        state["clock_offset_s"],
        state["enters_total"],
    )

    box.site.daemon.kill()
    box.clock.set(BOOT, synced=False)
    box.site.daemon.start()
    for _ in range(3):
        box.push()
    received = receipts(box)
    assert 6 == len(received)
    assert sorted(received) == received

    box.clock.set(TRUE + timedelta(minutes=8), synced=True)
    box.until(lambda: "clock_unsynced" not in codes(box.status()))
    for _ in range(3):
        box.push()
    told = box.status()
    assert (True, "synced") == (told["time_synced"], told["clock"])
    assert 200 == box.ask("GET", "/UTCTime")[0]
    box.site.settle()
    for far_end in ("home", "cloud"):
        counts = [event for event in messages(box, far_end) if event["kind"] == "count"]
        assert list(range(9)) == [minute_of(event) for event in counts], far_end
        assert [True] * 6 + [False] * 3 == [event.get("clock_unsynced", False) for event in counts]
        assert {False} == {event["late"] for event in counts}
        assert {"1970", "2026"} == {event["received_at"][:4] for event in counts}
    state = box.device()
    assert ("2026-11-20", 9, 9) == (state["day"], state["enters_today"], state["enters_total"])
    assert "online" == state["liveness"]
    assert [] == json.loads(box.site.daemon.command("letters", "list", "--json").stdout)


def test_a_site_without_any_time_server_works_and_is_told_once(box):
    """A plausible clock that nobody sets: days and numbers are there, the events are marked, and one fault says so."""
    box.clock.set(TRUE, synced=False)
    box.site.daemon.start()
    box.push()
    state = box.device()
    assert ("2026-11-20", 1) == (state["day"], state["enters_today"])
    box.until(lambda: "clock_unsynced" in codes(box.status()))
    (fault,) = [fault for fault in box.status()["faults"] if fault["code"] == "clock_unsynced"]
    assert 1 == fault["count"]
    assert "No time server sets the clock of this box" in fault["sentence"]
    assert "set by nobody" in box.site.daemon.command("status").stdout
    config = box.site.daemon.config
    config.write_text(config.read_text().replace('trust = "synced"', 'trust = "plausible"'))
    box.site.daemon.signal(signal.SIGHUP)
    box.until(lambda: "believed" == box.status()["clock"])
    box.push()
    box.until(lambda: 2 == len(box.site.subscriber.events))
    assert [True, False] == ["clock_unsynced" in event for event in messages(box, "home")]


@pytest.mark.slow
def test_silence_and_return_reach_the_far_ends(box):
    """A counter that falls silent and comes back: one event each at both far ends, and a word in `gateway devices`."""
    box.clock.set(TRUE, synced=True)
    box.site.daemon.start()
    for _ in range(8):
        box.push("3001")
        box.push("3002")
        time.sleep(0.6)
    for _ in range(9):
        box.push("3002")
        time.sleep(0.6)
    box.until(lambda: box.device()["liveness"] == "silent")
    assert "device_silent" in codes(box.status())
    assert "silent" in box.site.daemon.command("devices").stdout
    box.push("3001")
    box.until(lambda: 2 <= len(said(box, "home")) and 2 <= len(said(box, "cloud")))
    for far_end in ("home", "cloud"):
        assert ["silent", "online"] == said(box, far_end)[:2], far_end


def said(box, far_end):
    """Give what a far end was told about the life of the first counter."""
    told = [event for event in messages(box, far_end) if event["kind"] == "liveness"]
    return [event["data"]["state"] for event in told if event["device"] == "counter-3001"]


def receipts(box):
    """Give the instants of receipt in the order of the log."""
    with closing(sqlite3.connect(f"file:{box.site.directory}/store/gateway.db?mode=ro", uri=True)) as conn:
        return [row[0] for row in conn.execute("SELECT received FROM events ORDER BY seq")]


def messages(box, far_end):
    """Give the events of a far end in the order of their first arrival."""
    found = {}
    for message in box.site.events_at(far_end):
        event = message["data"] if "specversion" in message else message
        found.setdefault((event["id"], event["revision"]), event)
    return list(found.values())


def minute_of(event):
    return (datetime.fromisoformat(event["time"]) - TRUE) // timedelta(minutes=1)
