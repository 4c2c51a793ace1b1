"""The device port of the running daemon, with raw bytes over a real socket."""

import http.client
import json
import re
import select
import signal
import socket
import sqlite3
import time
from pathlib import Path

import pytest
from site_under_test import Daemon, free_port

FIXTURES = Path(__file__).parents[1] / "fixtures"
CONFIG = """
[gateway]
id = "gw-receiving"
[clock]
trust = "plausible"
[listen]
host = "127.0.0.1"
port = {port}
{listen}
[store]
path = "{directory}/store"
ballast_bytes = 0
letters_per_sender = 5
{store}
[runtime]
socket = "{directory}/control.sock"
[site]
zone = "Europe/Lisbon"
"""


def body_of(source: str, case: str) -> bytes:
    return (FIXTURES / source / case / "body").read_bytes()


class Bare:
    """A daemon without sinks."""

    def __init__(self, directory: Path, *, listen: str = "", store: str = "") -> None:
        self.directory = directory
        port = free_port()
        config = directory / "config.toml"
        config.write_text(CONFIG.format(port=port, directory=directory, listen=listen, store=store))
        self.daemon = Daemon(directory, config, port)
        self.daemon.start()

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict | None = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer
        finally:
            connection.close()

    def rows(self, query: str, *values) -> list[tuple]:
        with sqlite3.connect(f"file:{self.directory}/store/gateway.db?mode=ro", uri=True) as conn:
            return conn.execute(query, values).fetchall()

    def status(self) -> dict:
        return json.loads(self.daemon.asked("status", "--json").stdout)

    def faults(self) -> dict[str, dict]:
        return {fault["code"]: fault for fault in self.status()["faults"]}

    def close(self) -> None:
        if self.daemon.running:
            self.daemon.stop()


@pytest.fixture
def bare(tmp_path):
    site = Bare(tmp_path)
    yield site
    site.close()


COUNT = b"""<?xml version="1.0" encoding="utf-8"?>
<RTMetrics SiteId="s" SiteName="S" DeviceId="door-7" DeviceName="D"><Properties><Version>1</Version>
<TransmitTime>%d</TransmitTime><SerialNumber>%s</SerialNumber></Properties><ReportData Interval="1">
<Report Date="2025-11-01"><Object Id="0" ObjectType="0" Name="count">
<Count StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="%d" Enters="%d" Exits="0" Passings="0" Returns="0" Status="0"/>
</Object></Report></ReportData></RTMetrics>"""
RECORD = json.dumps(
    {
        "type": 0,
        "data": {
            "deviceSN": "SPT1",
            "recognitionType": 1,
            "uuid": "11111111-2222-4333-8444-555555555555",
            "pass": True,
            "mode": 0,
            "entry_mode": 1,
            "abnormal_type": 0,
            "timestamp": 1761991200,
            "rgb_image": "",
            "user": {"name": "Nobody", "user_id": "77", "type": 1, "pin": "4321"},
        },
    }
).encode()


def count(transmit: int, enters: int, *, serial: bytes = b"2000", start: int = 1761991200) -> bytes:
    return COUNT % (transmit, serial, start, enters)


@pytest.mark.parametrize("path", ["/", "/Reocrd", "/a/very/long/way", "//double", "/%E6%B5%8B?x=1"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_any_path_is_accepted(bare, method, path):
    """A push is understood whatever path and method the installer typed, and whatever type it claims."""
    status, body, _ = bare.ask(
        method, path, count(1761991230, 2), {"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (200, b"") == (status, body)
    assert [(2,)] == bare.rows("SELECT amount FROM tallies WHERE measure = 'enters'")


def test_the_reply_is_in_the_device_dialect(bare):
    """A terminal gets its JSON with both words for success, and no reply holds the word that opens doors."""
    status, body, answer = bare.ask("POST", "/Record", RECORD)
    assert 200 == status
    assert {"code": 200, "msg": "success", "message": "success", "data": {}} == json.loads(body)
    assert b"pass" not in body
    assert answer.getheader("content-type").startswith("application/json")


def test_secrets_reach_neither_disk_nor_log(bare):
    """Name, PIN and card numbers of a record are in no file of the store and in no log line."""
    bare.ask("POST", "/Record", RECORD)
    bare.ask("POST", "/x", b'{"type": 9, "data": {"user": {"name": "Nobody", "pin": "4321"}, "deviceSN": ')
    bare.daemon.stop()
    for file in (bare.directory / "store").iterdir():
        content = file.read_bytes()
        assert b"4321" not in content, file
        assert b"Nobody" not in content, file
    assert "4321" not in bare.daemon.log.read_text()


def test_the_camera_own_number_wins_in_any_order(bare):
    """Several sums of one minute within one second, in any order and resent, end in the camera's number."""
    sums = [(1761991230, 1), (1761991230, 3), (1761991230, 2), (1761991229, 1), (1761991230, 3)]
    for transmit, enters in sums:
        assert 200 == bare.ask("POST", "/", count(transmit, enters))[0]
    assert [(3,)] == bare.rows("SELECT amount FROM tallies WHERE measure = 'enters'")
    device = json.loads(bare.daemon.asked("devices", "counter-2000", "--json").stdout)[0]
    assert 1 == device["duplicates"]
    assert 3 == device["enters_total"]
    assert 3 == device["last_enters"]


def test_a_get_is_shown_and_never_answered_200(bare):
    """A GET on a device path is not a success, tells a person what to do, and shows up in the status."""
    status, body, _ = bare.ask("GET", "/Record")
    assert 404 == status
    assert b"/Record" in body
    assert "/Record" in {visitor["path"] for visitor in bare.status()["visitors"]}
    status, body, _ = bare.ask("GET", "/UTCTime")
    assert 200 == status
    assert re.fullmatch(rb"\d{14}", body)


def test_what_nobody_recognises_is_a_letter(bare):
    """An unknown body is accepted and kept with the reason; one sender cannot fill the shelf."""
    for number in range(8):
        assert 200 == bare.ask("POST", "/x", b"temperature=21;number=%d" % number)[0]
    told = json.loads(bare.daemon.asked("letters", "list", "--json").stdout)
    assert 5 == len(told)
    assert "no source recognises" in told[0]["reason"]
    shown = bare.daemon.asked("letters", "show", str(told[-1]["number"]))
    assert "number=7" in shown.stdout
    fault = bare.faults()["unreadable_pushes"]
    assert "127.0.0.1" in fault["sentence"] and "docs/people-counter.md" in fault["action"]
    assert 0 == bare.daemon.asked("letters", "drop", str(told[0]["number"])).returncode
    assert 4 == len(json.loads(bare.daemon.asked("letters", "list", "--json").stdout))


def test_a_truncated_push_is_accepted_in_its_dialect(bare):
    """A counter's broken XML is kept and answered like a good one, so that the camera goes on."""
    status, body, _ = bare.ask("POST", "/", count(1761991230, 2)[:-40])
    assert (200, b"") == (status, body)
    assert [("parse",)] == bare.rows("SELECT stage FROM letters")


def test_an_empty_push_is_told_so(bare):
    """A POST without content is no event and no letter; the answer says what is wrong."""
    status, body, _ = bare.ask("POST", "/", b"")
    assert 400 == status
    assert b"empty" in body


def test_a_terminal_that_asks_for_the_door_is_refused(bare):
    """The question whether to open gets no success, no 'pass', and a fault that names the setting."""
    question = {
        "deviceSN": "SPT1",
        "recognizeStatus": 1,
        "qrcode_content": "",
        "entry_mode": 1,
        "user": {"user_id": "5"},
    }
    status, body, _ = bare.ask("POST", "/", json.dumps(question).encode())
    assert status >= 400
    assert b"pass" not in body
    fault = bare.faults()["terminal_asks_to_open_door"]
    assert "remote_authentication_address" in fault["sentence"] + fault["action"]
    assert [] == bare.rows("SELECT * FROM events")


def test_the_status_names_the_file_that_it_was_given(bare):
    """Options are to be changed in the file that the gateway runs with, and that one is to be reloaded."""
    config = bare.daemon.config
    config.write_text(
        f'{config.read_text()}\n[sinks.far]\ntype = "mqtt"\nendpoint = "mqtt://127.0.0.1:{free_port()}"\n'
    )
    assert 0 == bare.daemon.asked("reload").returncode
    deadline = time.monotonic() + 30
    while "mqtt_refused" not in bare.faults():
        assert time.monotonic() < deadline, bare.faults()
        time.sleep(0.1)
    told = f"the configuration, {config}; after a change: sudo gateway -c {config} reload"
    assert told in bare.daemon.asked("status").stdout


def test_hostile_texts_in_a_push_stay_texts(bare):
    """Topic wildcards, markup and control characters in a device's names do no harm on the way to a person."""
    evil = count(1761991230, 2, serial=b"+/#&lt;script&gt;&#10;x").replace(b"door-7", b"&lt;b&gt;d\xc3\xa9")
    assert 200 == bare.ask("POST", "/", evil)[0]
    (device,) = bare.rows("SELECT id FROM devices")
    assert re.fullmatch(r"counter-[a-z0-9_-]+", device[0])
    listed = bare.daemon.asked("devices")
    assert 0 == listed.returncode, listed.stderr
    assert 2 == len(listed.stdout.splitlines())


def test_a_full_store_refuses_in_each_dialect(tmp_path):
    """Without room a counter gets a non-200 and a terminal gets no answer at all; nothing is claimed to be kept."""
    site = Bare(tmp_path, store="min_free_bytes = 1_000_000_000_000_000")
    try:
        assert 503 == site.ask("POST", "/", count(1761991230, 2))[0]
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            site.ask("POST", "/", RECORD)
        assert 503 == site.ask("POST", "/", b"whatever this is")[0]
        assert [] == site.rows("SELECT * FROM events")
        assert "disk_full" in site.faults()
        assert 1 == site.daemon.asked("status").returncode
    finally:
        site.close()


def test_an_address_that_is_not_allowed_is_not_served(tmp_path):
    """Only listed networks may connect; the box itself always may, so this uses another loopback address."""
    site = Bare(tmp_path, listen='allow = ["10.0.0.0/8"]')
    try:
        assert 200 == site.ask("POST", "/", count(1761991230, 2))[0]
    finally:
        site.close()


def test_no_sink_is_said(bare):
    """Without a sink the gateway receives, keeps, and says that nothing is forwarded yet."""
    told = bare.daemon.asked("status")
    assert 1 == told.returncode
    assert "nothing is forwarded yet" in told.stdout
    assert "[sinks.NAME]" in told.stdout


def test_tail_shows_raw_beside_normalised(bare):
    """A watcher sees a push within a second, with the PIN masked and the meaning beside it."""
    import subprocess
    import sys

    watcher = subprocess.Popen(
        [sys.executable, "-m", "gateway", "-c", str(bare.daemon.config), "tail", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(60):  # until the watcher is connected
            bare.ask("POST", "/Record", RECORD)
            if select.select([watcher.stdout], [], [], 0.5)[0]:
                break
        push = json.loads(watcher.stdout.readline())
    finally:
        watcher.terminate()
        watcher.wait(5)
    assert "face_terminal" == push["source"]
    assert "4321" not in push["raw"]
    assert "allowed" == push["events"][0]["data"]["result"]


def test_commands_work_with_the_daemon_down(bare):
    """Status, devices, sinks, letters and tail read the store when nothing answers, and say so."""
    bare.ask("POST", "/", count(1761991230, 2))
    bare.ask("POST", "/x", b"nonsense")
    bare.daemon.stop()
    assert 2 == bare.daemon.asked("status").returncode
    devices = bare.daemon.asked("devices", "--json")
    assert "counter-2000" == json.loads(devices.stdout)[0]["device"]
    assert "not running" in devices.stderr
    assert 1 == len(json.loads(bare.daemon.asked("letters", "list", "--json").stdout))
    assert "counter-2000" in bare.daemon.command("tail").stdout
    assert [] == json.loads(bare.daemon.asked("sinks", "--json").stdout)
    assert 2 == bare.daemon.asked("letters", "drop", "1").returncode


def test_a_thousand_pushes_on_one_connection(bare):
    """Keep-alive has no limit that a replaying device would run into."""
    connection = http.client.HTTPConnection("127.0.0.1", bare.daemon.port, timeout=10)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    local = connection.sock.getsockname()
    for number in range(1_100):
        connection.request("POST", "/", count(1761991230 + number * 60, 1, start=1761991200 + number * 60))
        answer = connection.getresponse()
        answer.read()
        assert 200 == answer.status
    assert local == connection.sock.getsockname()
    connection.close()
    assert [(1_100,)] == bare.rows("SELECT count(*) FROM events")


def test_a_broken_configuration_does_not_stop_receiving(bare):
    """After a restart with a broken file the gateway receives with the last good one and says what is wrong."""
    bare.daemon.stop()
    good = bare.daemon.config.read_text()
    bare.daemon.config.write_text(good + "\n[stoer]\npath = 7\n")
    bare.daemon.start()
    assert 200 == bare.ask("POST", "/", count(1761991230, 2))[0]
    bare.daemon.config.write_text(good)
    fault = bare.faults()["config_rejected"]
    assert "stoer" in fault["sentence"]
    assert "store" in fault["sentence"], "a suggestion is missing"
    bare.daemon.signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while "config_rejected" in bare.faults():
        assert time.monotonic() < deadline


def ask_from(bare, source: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(
        "127.0.0.1", bare.daemon.port, timeout=10, source_address=(source, 0)
    )
    connection.request("POST", "/", body)
    status = connection.getresponse().status
    connection.close()
    return status


def test_two_devices_with_one_identity_are_told(bare):
    """Pushes of one serial from two addresses in turn are a fault; one change of address is none."""
    assert 200 == ask_from(bare, "127.0.0.2", count(1761991230, 1))
    assert 200 == ask_from(bare, "127.0.0.3", count(1761991231, 2))
    assert "identity_shared" not in bare.faults()
    assert 200 == ask_from(bare, "127.0.0.2", count(1761991232, 3))
    assert "127.0.0.2 and 127.0.0.3" in bare.faults()["identity_shared"]["sentence"]


def test_a_clock_that_is_an_hour_off_is_told(bare):
    """The fault says which device, how much and which way; a clock that is right again clears it."""
    now = int(time.time())
    bare.ask("POST", "/", count(now + 3600, 1, start=now + 3540))
    deadline = time.monotonic() + 15
    while "clock_off" not in bare.faults():
        assert time.monotonic() < deadline
    sentence = bare.faults()["clock_off"]["sentence"]
    assert "counter-2000" in sentence
    assert "ahead" in sentence


def test_hostile_beginnings_do_not_hold_up_others(bare):
    """A body made to be slow to mask does not delay an honest push by more than a moment."""
    import threading

    evil = b"{" + b"content-type:image/" * 50_000
    sender = threading.Thread(target=lambda: bare.ask("POST", "/x", evil))
    sender.start()
    started = time.monotonic()
    assert 200 == bare.ask("POST", "/", count(1761991230, 2))[0]
    assert time.monotonic() - started < 3
    sender.join()
