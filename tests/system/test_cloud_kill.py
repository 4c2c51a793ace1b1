"""The gateway is killed while it asks the Camlytics cloud: nothing is lost, nothing counts twice, no nonce repeats."""

import mmap
import sqlite3
import struct
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from site_under_test import SMALL_SITE, Daemon, free_port

from gateway.simulate.camlytics_cloud import Cloud, Gate, World

_NOON = 1_777_982_400.0  # 2026-05-05 12:00 UTC
_SPEED = 60.0
_CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-cloud"
[camlytics_cloud.shop]
endpoint = "{endpoint}"
insecure_http = true
key_file = "{directory}/key"
secret_file = "{directory}/secret"
period_s = 2
triggers = [{{trigger = "Enter", direction = "in", zone = "hall"}}, {{trigger = "Exit", direction = "out"}}]
[zones.hall]
"""
)


class Times:
    """The cloud's time, which is right, and the box's, which a test may make wrong; both run fast."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(struct.pack("d", _NOON))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8)
        self._origin = time.monotonic()
        self._now = _NOON
        self.wrong_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Give the time as both have it: on a busy machine they would drift apart between two ticks."""
        return self._now

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.002):
            self._now = _NOON + (time.monotonic() - self._origin) * _SPEED
            self._shared[:8] = struct.pack("d", self._now + self.wrong_s)


@pytest.mark.slow
def test_killed_while_polling(tmp_path):
    """Killed three times, with a clock that is days off in between, the tallies are those of the people."""
    for name, text in (("key", "the-public-key"), ("secret", "the-secret-key")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    times = Times(tmp_path / "clock")
    gate = Gate({"the-public-key": "the-secret-key"})
    driven = str(Path(__file__).parents[1] / "driven_gateway.py")
    port = free_port()
    with Cloud(World(times, earlier_s=7200.0, late=0.1, rate=6.0, seed=9), gate) as cloud:
        config = tmp_path / "config.toml"
        config.write_text(_CONFIG.format(port=port, directory=tmp_path, endpoint=cloud.url))
        daemon = Daemon(tmp_path, config, port, program=(driven, str(tmp_path / "clock")))
        try:
            for number, wrong_s in enumerate((0.0, -3 * 86_400.0, 40 * 86_400.0)):
                times.wrong_s = wrong_s
                time.sleep(0.01)
                asked = gate.asked
                daemon.start()
                _wait(lambda asked=asked, number=number: gate.asked > asked + 4 + 3 * number)
                daemon.kill()
            daemon.start()
            seen = times.now()
            _wait(lambda: times.now() > seen + 420)
            assert daemon.stop() == 0
        finally:
            if daemon.running:
                daemon.kill()
            times.end()
    assert (0, 0) == (gate.refused, gate.throttled)
    nonces = gate.nonces["the-public-key"]
    assert nonces == sorted(set(nonces))
    assert _owed(cloud, seen) == _counted(tmp_path / "store" / "gateway.db", seen)
    assert sum(_owed(cloud, seen).values()) > 500


def _wait(happened, *, wait_s: float = 60.0) -> None:
    deadline = time.monotonic() + wait_s
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def _owed(cloud: Cloud, until: float) -> dict[str, int]:
    """Say what the people did until then, who had five minutes and more to reach the cloud."""
    owed = {"enters": 0, "exits": 0}
    for record in cloud.world.arrivals:
        if record.at <= until:
            for name in owed:
                owed[name] += cloud.world.ledger.facts[record.key][-1].truth.get(name, 0)
    return owed


def _counted(store: Path, until: float) -> dict[str, int]:
    """Give the tallies, less what came after that moment."""
    with closing(sqlite3.connect(store)) as conn:
        counted = dict(
            conn.execute(
                "SELECT measure, sum(amount) FROM tallies WHERE device NOT LIKE 'zone-%' GROUP BY measure"
            )
        )
        after = conn.execute(
            "SELECT json_extract(body, '$.data.enters'), json_extract(body, '$.data.exits') FROM events"
            " WHERE kind = 'count' AND time > ?",
            (until * 1000,),
        ).fetchall()
    return {
        name: counted.get(name, 0) - sum(row[place] for row in after)
        for place, name in enumerate(("enters", "exits"))
    }
