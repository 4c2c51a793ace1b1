"""What a site writes on its card in a day: ``python bench/wear.py [MINUTES]``, as root, for it mounts three small disks.

Each site is the real daemon with both sinks connected and its store on an ext4 of its own in a file. Counted are the
sectors that reach the block device, so the file system's journal and its metadata are in it. Two runs for each site:

live  devices push with two seconds between two pushes on average, as they do where few people pass, only without the
      long pauses: what a push costs is its commit, and two of them share one only when they come together anyway.
      The run ends with a clean stop, so what the write-ahead log owes the file is paid.
aging a store whose events come of age at the true pace, and nobody pushes: what is removed, every ten minutes, and
      everything that an idle gateway writes by itself.

A day is then the events of a day at the price of the first, and 24 hours of the second.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fill import event_from, later

from gateway.control.client import Client
from gateway.outbox import Drafting, Outbox, Settings
from gateway.simulate.broker import Broker
from gateway.simulate.camlytics import Camlytics, Pc
from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter as People
from gateway.simulate.device import Device
from gateway.simulate.ledger import Ledger
from gateway.simulate.ports import free_port
from gateway.simulate.receiver import Receiver
from gateway.simulate.terminal import Terminal

SECTOR = 512
DAY_MIN = 1440
AN_MINUTE = 30.0  # pushes, in the live run
SIZE = 512 * 2**20
SECRET = "whsec_YSBzaWduaW5nIHNlY3JldCBmb3IgdGVzdHMgb25seSE="
CONFIG = """\
[gateway]
id = "wear"
[clock]
trust = "plausible"
[listen]
host = "127.0.0.1"
port = {port}
[store]
path = "{store}"
keep_days = 1
min_free_bytes = 0
ballast_bytes = 0
[runtime]
socket = "{home}/control.sock"
log_format = "json"
[sinks.broker]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{broker}"
[sinks.upstream]
type = "https"
endpoint = "{upstream}"
ca_file = "{ca}"
secret_file = "{home}/secret"
batch = 50
{more}
"""
CAMLYTICS = """
[camlytics.hall]
endpoint = "{url}"
count_origins = ["Pedestrian", "Unknown"]
"""


@dataclass(frozen=True)
class Site:
    """A site as it stands: which devices, and how many people an hour each sees on average over the day."""

    name: str
    people_counters: int
    people_an_hour: float
    terminals: int = 0
    passes_an_hour: float = 0
    interval_counters: int = 0
    crossings_a_minute: float = 0  # that a Camlytics PC tells, which is asked every two seconds

    @property
    def events_a_day(self) -> float:
        """A counter in real time says each minute that it lives, and each person is an event."""
        live = self.people_counters * (DAY_MIN + 24 * self.people_an_hour)
        told = (self.interval_counters + self.crossings_a_minute) * DAY_MIN
        return live + self.terminals * 24 * self.passes_an_hour + told

    def devices(self, url: str, speed: float) -> Iterator[Device]:
        ledger = Ledger()
        for number in range(self.people_counters + self.interval_counters):
            live = number < self.people_counters
            yield People(
                url,
                identity=Identity(serial=f"90000000000000{number:04d}", device_id=f"door-{number}"),
                seed=number,
                mode="real_time" if live else "interval",
                rate=self.people_an_hour / 60 if live else 1.0,
                clock=Clock(speed=speed),
                ledger=ledger,
            )
        for number in range(self.terminals):
            yield Terminal(
                url,
                serial=f"SPT{number:05d}",
                rate=self.passes_an_hour / 60,
                alarms_per_hour=0.0,
                seed=number,
                clock=Clock(speed=speed),
                ledger=ledger,
            )


SITES = (
    Site("shop", people_counters=2, people_an_hour=40),
    Site("gym", people_counters=4, people_an_hour=15, terminals=4, passes_an_hour=15),
    Site("plant", people_counters=0, people_an_hour=0, interval_counters=30, crossings_a_minute=2),
)


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def card(folder: Path) -> Iterator[tuple[Path, str]]:
    """Mount an ext4 of its own as Raspberry Pi OS mounts its card: default journal, noatime."""
    image, place = folder / "card.img", folder / "store"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE)
    # Nothing that the file system would write later by itself.
    run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    device = run("losetup", "--find", "--show", str(image))
    try:
        run("mount", "-o", "noatime", device, str(place))
        try:
            yield place, Path(device).name
        finally:
            run("umount", str(place))
    finally:
        run("losetup", "--detach", device)


def sectors(device: str) -> int:
    os.sync()
    return int(Path("/sys/class/block", device, "stat").read_text().split()[6])


@contextmanager
def gateway(folder: Path, store: Path, more: str) -> Iterator[int]:
    """Run the daemon with a broker and an upstream; everything but the store is elsewhere."""
    with ExitStack() as ends:
        (folder / "broker").mkdir()
        broker = Broker(folder / "broker").start()
        ends.callback(broker.close)
        upstream = Receiver(folder, secrets=(SECRET,)).start()
        ends.callback(upstream.stop)
        (folder / "secret").write_text(SECRET)
        (folder / "secret").chmod(0o600)
        port = free_port()
        told = {"store": store, "home": folder, "broker": broker.port, "upstream": upstream.url, "more": more}
        config = folder / "config.toml"
        config.write_text(CONFIG.format(port=port, ca=upstream.ca_file, **told))
        with (folder / "log").open("wb") as log:
            environment = {**os.environ, "STATE_DIRECTORY": str(folder)}
            words = [sys.executable, "-m", "gateway", "-c", str(config), "run"]
            process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
        ends.callback(process.wait)
        ends.callback(process.terminate)
        while b"gateway_ready" not in (folder / "log").read_bytes():
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield port


def counted(folder: Path) -> Counter[str]:
    """Ask how many commits and events there were."""
    told = Client(folder / "control.sock").get("/status")
    return Counter(commits=int(told["store"]["commits"]), events=int(told["received"]))


def live(site: Site, minutes: float) -> dict[str, float]:
    """Push for so long; give events, commits and bytes."""
    speed = max(AN_MINUTE * DAY_MIN / site.events_a_day, 1.0)
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        store, device = ends.enter_context(card(folder))
        more = ""
        if site.crossings_a_minute:
            more = CAMLYTICS.format(
                url=ends.enter_context(Camlytics(Pc(Clock(), rate=site.crossings_a_minute))).url
            )
        with gateway(folder, store, more) as port:
            devices = list(site.devices(f"http://127.0.0.1:{port}/push", speed))
            asyncio.run(push(devices, 20))  # who is new makes pages that are never made again
            begun, done = sectors(device), counted(folder)
            again = list(site.devices(f"http://127.0.0.1:{port}/push", speed))
            asyncio.run(push(again, minutes * 60))
            time.sleep(2)
            done = counted(folder) - done
        written = (sectors(device) - begun) * SECTOR
    return {**done, "bytes": written, "speed": speed}


async def push(devices: Sequence[Device], seconds: float) -> None:
    stop = asyncio.Event()
    running = [asyncio.create_task(device.run(stop=stop)) for device in devices]
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*running)


def aging(site: Site, minutes: float) -> dict[str, float]:
    """Let events come of age at the pace at which the site makes them, and do nothing else."""
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        store, device = ends.enter_context(card(folder))
        more = ""
        if site.crossings_a_minute:
            more = CAMLYTICS.format(url=ends.enter_context(Camlytics(Pc(Clock(), rate=1e-6))).url)
        ahead = timedelta(minutes=minutes + 4)
        asyncio.run(fill(store, site.events_a_day / DAY_MIN, ahead))
        with gateway(folder, store, more):
            time.sleep(60)  # both sinks have had all of it
            begun, started, done = sectors(device), time.monotonic(), counted(folder)
            time.sleep(minutes * 60)
            written, seconds = (sectors(device) - begun) * SECTOR, time.monotonic() - started
            done = counted(folder) - done
    return {**done, "seconds": seconds, "bytes": written}


async def fill(store: Path, a_minute: float, ahead: timedelta) -> None:
    outbox = await Outbox.open(Settings(directory=store, drafting=Drafting(), min_free_bytes=0))
    writing = asyncio.create_task(outbox.run())
    first = [event_from("W1", device) for device in range(4)]
    begin = datetime.now(UTC) - timedelta(days=1)
    for number in range(int(a_minute * ahead.total_seconds() / 60)):
        received = begin + timedelta(minutes=number / a_minute)
        await outbox.append([later(first[number % 4], number // 4)], received, "/push")
    await outbox.close()
    await writing
    outbox.release()


def main() -> None:
    kind, name = sys.argv[2:4] if len(sys.argv) > 3 else ("", "")
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    if kind:
        site = next(site for site in SITES if site.name == name)
        print(json.dumps({"live": live, "aging": aging}[kind](site, minutes)))
        return
    running = {
        (site.name, kind): subprocess.Popen(
            [sys.executable, __file__, str(minutes), kind, site.name], stdout=subprocess.PIPE, text=True
        )
        for site in SITES
        for kind in ("live", "aging")
    }
    told = {key: json.loads(process.communicate()[0]) for key, process in running.items()}
    print(
        "| site | events a day | an event, B | commits an event | aging and idle, B/h | **a day, MB** | a year, GB |"
    )
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for site in SITES:
        fresh, old = told[site.name, "live"], told[site.name, "aging"]
        each, hour = fresh["bytes"] / fresh["events"], old["bytes"] / old["seconds"] * 3600
        day = site.events_a_day * each + 24 * hour
        share = fresh["commits"] / fresh["events"]
        cells = (f"{site.events_a_day:,.0f}", f"{each:,.0f}", f"{share:.2f}", f"{hour:,.0f}")
        print(f"| {site.name} | {' | '.join(cells)} | **{day / 1e6:,.0f}** | {day * 365 / 1e9:,.0f} |")
    print(json.dumps({" ".join(key): figures for key, figures in told.items()}))


if __name__ == "__main__":
    main()
