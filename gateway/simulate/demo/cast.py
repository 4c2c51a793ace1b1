"""Who pushes in the demo: a few doors of one shop, each in another dialect or mode."""

from dataclasses import dataclass, field

from gateway.event import device_id
from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import DIALECTS, CountXml, Identity, ObjectCounts, Window
from gateway.simulate.device import Device
from gateway.simulate.early import EarlyCounter, EarlyTerminal
from gateway.simulate.ledger import Ledger

_HEARTBEAT_S = 20.0
_SAMPLE_SERIAL = "2100000000000099"


@dataclass(frozen=True, slots=True)
class Member:
    """One device, and what the gateway calls it."""

    name: str
    serial: str
    id: str
    says: str  # its dialect and mode
    device: Device
    counts: bool  # a counter; else a terminal


@dataclass(slots=True)
class Cast:
    """All devices on one ledger; each has its own clock, which runs ``speed`` times as fast as ours."""

    url: str
    speed: float
    ledger: Ledger = field(default_factory=Ledger)
    members: list[Member] = field(default_factory=list)

    def gather(self) -> "Cast":
        """Make the devices; nothing is sent yet."""
        self._counter("Front door", dialect="v1.0", mode="interval", rate=20.0, unfinished=True)
        self._counter("Side door", dialect="v1.0", mode="real_time", rate=60.0, heartbeat_s=_HEARTBEAT_S)
        self._counter("Gallery", dialect="hx-v2.1", mode="real_time", rate=45.0, heartbeat_s=_HEARTBEAT_S)
        self._counter("Car park", dialect="brickstream-v4", mode="interval", rate=10.0)
        serial = "SPDEMO00001"
        terminal = EarlyTerminal(
            self.url,
            serial=serial,
            rate=20.0,
            alarms_per_hour=60.0,
            clock=Clock(speed=self.speed),
            ledger=self.ledger,
        )
        self._add("Staff entrance", serial, "terminal", "records, alarms", terminal)
        return self

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(member.id for member in self.members)

    def _counter(self, name: str, *, dialect: str, mode: str, **how: object) -> None:
        number = len(self.members) + 1
        identity = Identity(
            serial=f"21000000000000{number:02d}",
            device_id=name.lower().replace(" ", "-"),
            device_name=name,
            site_name="Demo shop",
            mac=f"02:00:5E:10:00:{number:02X}",
            address=f"192.0.2.{number}",
        )
        counter = EarlyCounter(
            self.url,
            identity=identity,
            dialect=dialect,
            mode=mode,  # type: ignore[arg-type]  # one of two words, written above
            clock=Clock(speed=self.speed),
            ledger=self.ledger,
            **how,  # type: ignore[arg-type]  # keywords, written above
        )
        says = dialect if DIALECTS[dialect].live_root is None else f"{dialect} {mode.replace('_', ' ')}"
        self._add(name, identity.serial, "counter", says, counter)

    def _add(self, name: str, serial: str, family: str, says: str, device: Device) -> None:
        known_as = device_id(family, serial=serial, mac=None, label=None, token=None, address="")
        self.members.append(Member(name, serial, known_as, says, device, counts=family == "counter"))


def sample_push(now: float) -> bytes:
    """Write the push of one more counter, for a person to send by hand."""
    identity = Identity(serial=_SAMPLE_SERIAL, device_id="by-hand", device_name="By hand")
    start = int(now) // 60 * 60 - 60
    window = Window(start, start + 60, {"enters": 3, "exits": 1, "passings": 0, "returns": 0})
    line = ObjectCounts("0", "count", "total", [window])
    return CountXml(identity, DIALECTS["v1.0"]).counts("Metrics", 1, int(now), [line])
