"""The people, devices, PCs and clouds of one simulated site, all on one stage and one ledger."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from driven_time import Stage

from gateway.simulate.camio import Camio
from gateway.simulate.camlytics import Camlytics, Pc
from gateway.simulate.camlytics_cloud import Cloud, Gate, Place, World
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.crowd import SHOP_DAY
from gateway.simulate.device import Device, Line
from gateway.simulate.ledger import Ledger
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import Firmware

ZONE = ZoneInfo("America/New_York")
HOUR_S = 3600.0
CALLBACK_SECRET = "token 41d0c9e2-invented-for-a-test"
CLOUD_KEYS = {"public-key-of-a-test": "secret-key-of-a-test"}

MORE = """
[site]
zone = "America/New_York"
doors = ["counter-7700000000000000", "counter-7700000000000001"]
doors_out = ["counter-7700000000000002"]
reset = "04:00"
capacity = 30

[zones.hall]
doors = ["counter-7700000000000006", "counter-7700000000000007"]
reset = "05:30"
reset_to = 2

[callbacks]
enabled = true
port = {callbacks}
secret_file = ["{directory}/callback-secret"]

[camlytics.hall]
endpoint = "{hall}"
rules = [{{rule = "Enter", direction = "in", zone = "hall"}}, {{rule = "Exit", direction = "out", zone = "hall"}}]

[camlytics.yard]
endpoint = "{yard}"
zone = "America/Chicago"
rules = [{{rule = "Enter", direction = "in"}}, {{rule = "Exit", direction = "out"}}]

[camlytics_cloud.shops]
endpoint = "{cloud}"
insecure_http = true
key_file = "{directory}/cloud-key"
secret_file = "{directory}/cloud-secret"
locations = [101, 102]
triggers = [{{trigger = "Enter", direction = "in"}}, {{trigger = "Exit", direction = "out"}}]
period_s = 60
overlap_s = 1200
"""


@dataclass(frozen=True)
class Custom:
    """When people come, for how long what is broken stays so (1 for a whole day, less in a part of one), and the doors."""

    profile: Sequence[float] | None = SHOP_DAY
    part: float = 1.0
    doors: int = 12

    @property
    def hour_s(self) -> float:
        """An hour of a whole day, as long as it is in this one."""
        return HOUR_S * self.part


class StoppingClock:
    """A clock behind which nothing happens any more from a moment on, so that a day can come to rest."""

    def __init__(self, stage: Stage, end: float) -> None:
        self._stage, self._end = stage, end

    def now(self) -> float:
        return min(self._stage.now, self._end)


@dataclass
class Polled:
    """What the gateway asks: two PCs and a cloud."""

    hall: Camlytics
    yard: Camlytics
    cloud: Cloud

    @property
    def unread(self) -> int:
        return self.hall.pc.unread + self.yard.pc.unread

    def start(self) -> "Polled":
        for one in (self.hall, self.yard, self.cloud):
            one.start()
        return self

    def stop(self) -> None:
        for one in (self.hall, self.yard, self.cloud):
            one.stop()


def counters(url: str, stage: Stage, ledger: Ledger, custom: Custom) -> list[Device]:
    """Doors in three dialects: every mode, some with a wrong clock, some behind a bad cable."""
    made: list[Device] = []
    for number in range(custom.doors):
        dialect = ("v1.0", "hx-v2.1", "brickstream-v4")[number % 3]
        live = dialect != "brickstream-v4" and number >= 6
        luck = random.Random(number)
        hour_s = custom.hour_s
        spells = ((luck.uniform(2, 20) * hour_s, luck.uniform(0.2, 3) * hour_s),) if number % 2 else ()
        made.append(
            Counter(
                url,
                identity=Identity(
                    serial=f"77000000000000{number:02d}",
                    device_id=f"door-{number}",
                    device_name=f"Door {number}",
                    mac=f"02:00:5E:77:00:{number:02X}",
                    zone=ZONE,
                ),
                dialect=dialect,
                mode="real_time" if live else "interval",
                rate=1.5,
                profile=custom.profile,
                interval_min=15 if number == 0 else 1,
                unfinished=number == 3,
                heartbeat_s=120.0,
                seed=number,
                clock=stage.clock(skew_s=(0.0, 0.0, 0.0, 95.0, -240.0)[number % 5]),
                line=Line(resend=0.02, reorder=0.02, spells=spells, retry_s=0.05),
                ledger=ledger,
            )
        )
    return made


def terminals(url: str, stage: Stage, ledger: Ledger, custom: Custom) -> list[Device]:
    """Four terminals of three firmwares; one replays six hours."""
    spell = (5 * custom.hour_s, 6 * custom.hour_s)
    return [
        Terminal(
            url,
            serial=f"SPDAY{number:05d}",
            firmware=Firmware(version=version, picture_bytes=2_000),
            rate=0.5,
            profile=custom.profile,
            alarms_per_hour=2.0,
            zone=ZONE,
            seed=number,
            clock=stage.clock(),
            line=Line(resend=0.02, spells=(spell,) if number == 1 else (), retry_s=0.05),
            ledger=ledger,
        )
        for number, version in enumerate(("1.3.0", "1.3.0", "1.2.1", "1.1.0"))
    ]


def camio(url: str, stage: Stage, ledger: Ledger) -> Device:
    """Camio's callbacks, some of which come twice."""
    return Camio(
        url,
        headers={"Authorization": CALLBACK_SECRET},
        rate=0.3,
        clock=stage.clock(),
        line=Line(resend=0.05, retry_s=0.05),
        ledger=ledger,
    )


def polled(stage: Stage, ledger: Ledger, end: float, custom: Custom) -> Polled:
    """Two PCs, one of them in another zone and installed anew at noon, and an account with a shop that was offline."""
    clock = StoppingClock(stage, end)
    start = stage.now

    def pc(name: str, zone: ZoneInfo, **how: object) -> Camlytics:
        return Camlytics(
            Pc(
                clock,
                name=name,
                zone=zone,
                rate=1.0,
                profile=custom.profile,
                ledger=ledger,
                start=start,
                **how,
            )
        )

    places = (
        Place(id=101, offline=((start + 9 * custom.hour_s, 2.5 * custom.hour_s),)),
        Place(id=102, skew_s=40.0, channels=1),
    )
    world = World(clock, places=places, rate=0.7, profile=custom.profile, zone=ZONE, late=0.05, ledger=ledger)
    return Polled(
        pc("hall", ZONE),
        pc("yard", ZoneInfo("America/Chicago")),
        Cloud(world, Gate(CLOUD_KEYS)),
    )


def secrets(directory: Path) -> None:
    """Write the files that the configuration names."""
    public, secret = next(iter(CLOUD_KEYS.items()))
    for name, text in (
        ("callback-secret", CALLBACK_SECRET),
        ("cloud-key", public),
        ("cloud-secret", secret),
    ):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
