"""A daemon without sinks, and devices at any loopback address that nobody has told it about."""

import json
import signal
import sqlite3
import time
from http.client import HTTPConnection
from pathlib import Path

from site_under_test import Daemon, free_port

CONFIG = """
[gateway]
id = "gw-adoption"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{directory}/store"
ballast_bytes = 0
min_free_bytes = 0
[runtime]
socket = "{directory}/control.sock"
log_format = "json"
[adoption]
{adoption}
{more}
"""
COUNT = """<?xml version="1.0" encoding="utf-8"?>
<RTMetrics SiteId="s" SiteName="S" DeviceId="{name}" DeviceName="{name}"><Properties><Version>1</Version>
<TransmitTime>{at}</TransmitTime><SerialNumber>{serial}</SerialNumber></Properties><ReportData Interval="1">
<Report Date="2025-11-01"><Object Id="0" ObjectType="0" Name="count">
<Count StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="{start}"
 Enters="{enters}" Exits="0" Passings="0" Returns="0" Status="0"/>
</Object></Report></ReportData></RTMetrics>"""
START = 1_761_991_200


def count(serial: str, minute: int = 0, enters: int = 1, name: str = "door") -> bytes:
    start = START + 60 * minute
    return COUNT.format(name=name, serial=serial, at=start + 59, start=start, enters=enters).encode()


class Place:
    """A daemon without sinks, and devices at any loopback address."""

    def __init__(self, directory: Path, adoption: str, more: str = "") -> None:
        self.directory = directory
        self.port = free_port()
        self.config = directory / "config.toml"
        self.write(adoption, more)
        self.daemon = Daemon(directory, self.config, self.port)
        self.daemon.start()

    def write(self, adoption: str, more: str = "") -> None:
        text = CONFIG.format(port=self.port, directory=self.directory, adoption=adoption, more=more)
        self.config.write_text(text)

    def reload(self, adoption: str, more: str = "") -> None:
        before = self.status()["config_hash"]
        self.write(adoption, more)
        self.daemon.signal(signal.SIGHUP)
        self.wait(lambda: self.status()["config_hash"] != before)

    def push(self, *bodies: bytes, address: str = "127.0.0.1", path: str = "/") -> list[int]:
        statuses = []
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=(address, 0))
        for body in bodies:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    def rows(self, query: str, *values) -> list[tuple]:
        with sqlite3.connect(f"file:{self.directory}/store/gateway.db?mode=ro", uri=True) as conn:
            return conn.execute(query, values).fetchall()

    def enters(self, device: str) -> int:
        found = self.rows("SELECT sum(amount) FROM tallies WHERE device = ? AND measure = 'enters'", device)
        return found[0][0] or 0

    def status(self) -> dict:
        return json.loads(self.daemon.asked("status", "--json").stdout)

    def lobby(self) -> dict:
        return json.loads(self.daemon.asked("adopt", "--json").stdout)

    def adopt(self, *words: str) -> str:
        told = self.daemon.asked("adopt", *words)
        assert 0 == told.returncode, told.stderr
        return told.stdout

    def wait(self, true, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.daemon.tail()
            time.sleep(0.05)
