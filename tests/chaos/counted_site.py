"""A site whose far ends count: for experiments with millions of events, which nobody could keep."""

import http.client
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from counted_end import LIVE_ENTERS, LIVE_SERIAL, SECRET
from site_under_test import CONFIG, Daemon

from gateway.simulate.broker import Broker
from gateway.simulate.count_xml import DIALECTS, CountXml, Identity, ObjectCounts, Window
from gateway.simulate.ports import free_port
from gateway.simulate.terminal_json import EMPLOYEE, Firmware, Passage

_HERE = Path(__file__).parent
_LIVE = Identity(serial=LIVE_SERIAL)
FAR_ENDS = ("home", "cloud")
_WINDOW = 500  # events that a sink has in flight at most
_BROKERS_WINDOW = 200  # and a broker towards a subscriber: mosquitto has 20
_STORE = 'max_bytes = "60 GiB"\nmin_free_bytes = "200 MiB"'
_SINK = 'order = "live_first"\nrate_per_s = {rate}'


class End:
    """One far end, as a process."""

    def __init__(self, kind: str, where: str) -> None:
        command = [sys.executable, str(_HERE / "counted_end.py"), kind, where]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = json.loads(self._process.stdout.readline())

    def ask(self, *words: object) -> dict:
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)


def given_up(daemon: Daemon, sink: str) -> int:
    """Read from its log how many tries of a sink the daemon gave up: what was on its way may come again."""
    with daemon.log.open() as log:
        told = [json.loads(line) for line in log if '"sink_unavailable"' in line and line.endswith("}\n")]
    return sum((one.get("event"), one.get("sink")) == ("sink_unavailable", sink) for one in told)


class CountedSite:
    """The daemon, a broker and two far ends that count. Ends what it started, by process id."""

    def __init__(self, directory: Path, *, rate: int = 0) -> None:
        self.directory = directory
        (directory / "broker").mkdir()
        self.broker = Broker(directory / "broker").start()
        self.ends = {"home": End("mqtt", str(self.broker.port)), "cloud": End("https", str(directory))}
        secret = directory / "signing-secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        config, port = directory / "config.toml", free_port()
        told, sink = self.ends["cloud"].told, _SINK.format(rate=rate)
        config.write_text(
            CONFIG.format(
                port=port,
                directory=directory,
                broker_port=self.broker.port,
                mqtt_version=self.broker.version,
                upstream=told["url"],
                ca_file=told["ca"],
                window=_WINDOW,
                batch=200,
                store=_STORE,
                runtime="",
                more="",
                home=sink,
                cloud=sink,
            )
        )
        self.daemon = Daemon(directory, config, port)
        self.store = directory / "store" / "gateway.db"
        self._minute = int(time.time()) // 60 * 60 - 30 * 86_400
        self._lives: list[int] = []  # the seconds of the live counts that were accepted
        self._twice = dict.fromkeys(FAR_ENDS, (0, 0))  # at the last look: came twice, and might have
        self.explained = 0  # doubles, of both far ends and all looks

    def close(self) -> None:
        if self.daemon.running:
            self.daemon.stop(signal.SIGKILL)
        for end in self.ends.values():
            end.stop()
        self.broker.close()

    def far_ends_leave(self) -> None:
        self.broker.stop()
        self.ends["cloud"].ask("leave")

    def far_ends_return(self) -> None:
        self.ends["cloud"].ask("return")
        self.broker.start()

    def ask(self, *words: object) -> dict[str, dict]:
        return {name: end.ask(*words) for name, end in self.ends.items()}

    def rows(self, query: str, *values: object) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as conn:
            return conn.execute(query, values).fetchall()

    def live_count(self, *, timeout_s: float = 60.0) -> float:
        """Have a counter push one minute more; give the seconds until both far ends have it."""
        self._minute += 60
        start, started = self._minute, time.monotonic()
        windows = (
            Window(start, start + 60, {"enters": LIVE_ENTERS, "exits": 0, "passings": 0, "returns": 0}),
        )
        line = ObjectCounts("0", "door", "total", windows)
        body = CountXml(_LIVE, DIALECTS["v1.0"]).counts("RTMetrics", 1, start + 60, [line])
        while not self._push(body):
            assert time.monotonic() - started < timeout_s, f"no push is taken\n{self.daemon.tail()}"
            time.sleep(0.1)
        self._lives.append(start)
        while not all(told["has"] for told in self.ask("has", start).values()):
            assert time.monotonic() - started < timeout_s, f"a new count does not flow\n{self.daemon.tail()}"
            time.sleep(0.02)
        return time.monotonic() - started

    def _push(self, body: bytes) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=10)
        try:
            line.request("POST", "/push", body, {"Content-Type": "application/xml"})
            return line.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()

    def delivered(self) -> dict[str, int]:
        """Say how far each sink's account is in the store; costs the daemon nothing."""
        return dict(self.rows("SELECT name, delivered FROM sinks"))

    def wait_delivered(self, events: int, *, timeout_s: float) -> bool:
        """Wait until both far ends have so many different events; False when the time was not enough."""
        deadline = time.monotonic() + timeout_s
        while any(told["unique"] < events for told in self.ask("count").values()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def judged(self, owed: dict[int, int], *, spare: int = 0) -> dict[str, dict]:
        """Hold the bits of both far ends against how many of each device were acknowledged."""
        path = self.directory / "owed.json"
        path.write_text(json.dumps({"owed": owed, "lives": self._lives}))
        self._wait_for_lives()
        return self.ask("judge", path, spare)

    def _wait_for_lives(self, timeout_s: float = 60.0) -> None:
        """Wait until each subscription has every live count, or long enough."""
        deadline = time.monotonic() + timeout_s
        while any(told["lives"] < len(self._lives) for told in self.ask("count").values()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def doubles_in_flight(self) -> None:
        """Hold what came twice since the last look under what was in flight then.

        Nobody is killed here. So only a far end that the daemon gave up, for slowness say, may get again what was on its
        way at that try, and a subscriber that lost its broker what that had on the way to him.
        """
        for name, told in self.ask("count").items():
            might = _WINDOW * given_up(self.daemon, name) + _BROKERS_WINDOW * max(told["connects"] - 1, 0)
            came, could = self._twice[name]
            again, most = told["doubles"] - came, might - could
            assert again <= most, f"{name}: {again} came twice, explained are {most}"
            self.explained += most
            self._twice[name] = told["doubles"], might

    def use(self) -> dict[str, float]:
        """Look at the daemon: peak memory in MB, descriptors, MB of the WAL and of the file."""
        status = Path(f"/proc/{self.daemon.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        wal = self.store.with_name(self.store.name + "-wal")
        return {
            "memory MB": int(peak.split()[1]) * 1024 / 1e6,
            "descriptors": len(list(Path(f"/proc/{self.daemon.pid}/fd").iterdir())),
            "WAL MB": wal.stat().st_size / 1e6 if wal.exists() else 0.0,
            "store MB": self.store.stat().st_size / 1e6,
        }


class Replay:
    """The program that replays, and the request that it fills in."""

    def __init__(self, directory: Path, *, picture_bytes: int) -> None:
        if shutil.which("gcc") is None:
            pytest.fail(
                "the terminals that replay cannot be built, gcc is missing: apt-get install gcc libc6-dev, or make debian"
            )
        self._program, self._template = directory / "replay", directory / "record"
        build = ["gcc", "-O2", "-D_GNU_SOURCE", "-o", str(self._program), str(_HERE / "replay.c")]
        subprocess.run(build, check=True)
        person = Passage(
            serial="SCALE777777",
            time=1_234_567_890,
            kind=EMPLOYEE,
            number=1,
            allowed=True,
            abnormal=0,
            score=0.9,
            uuid="00777777-0000-4000-8000-555555555555",
        )
        firmware = Firmware(picture_bytes=picture_bytes)
        body = firmware.record(person)
        heads = {
            "Host": "gateway",
            **firmware.headers(person.serial, person.time),
            "Content-Length": len(body),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in heads.items())
        self._template.write_bytes(f"POST /push HTTP/1.1\r\n{head}\r\n".encode() + body)
        self.bytes = len(body)

    def start(
        self, port: int, *, terminals: int, records: int, seconds: float, first: int = 0
    ) -> subprocess.Popen:
        sizes = map(str, (terminals, records, first, seconds))
        return subprocess.Popen(
            [str(self._program), str(port), str(self._template), *sizes], stdout=subprocess.PIPE, text=True
        )
