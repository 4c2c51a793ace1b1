"""A few devices of one kind against any address, for a person who wants to see pushes come in."""

import asyncio
import signal
import time
from collections import Counter as Bag
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import tzinfo

from gateway.simulate.clock import pause
from gateway.simulate.device import Device, Figures
from gateway.simulate.ledger import Ledger
from gateway.simulate.wire import Answer, NoReply, Wire

_LOOK_S = 0.5
_PATIENCE_S = 1.5  # a gateway that restarts is not worth a word
_PROGRESS_S = 10.0
_LINGER_S = 10.0
_HOPELESS_S = 30.0  # without any answer ever: it is not there, and no restart


class TalkativeWire(Wire):
    """A wire that remembers how its last exchange went."""

    trouble: str | None = None  # why there was no reply
    status: int | None = None  # of the last reply

    async def open(self) -> None:
        try:
            await super().open()
        except NoReply as error:
            self.trouble = str(error)
            raise

    async def exchange(self, *what: object, **how: object) -> Answer:
        try:
            answer = await super().exchange(*what, **how)  # type: ignore[arg-type]  # handed on as they came
        except NoReply as error:
            self.trouble = str(error)
            raise
        self.trouble, self.status = None, answer.status
        return answer


@dataclass(slots=True)
class Fleet:
    """Devices that share one ledger, and their one destination."""

    url: str
    devices: Sequence[Device]
    ledger: Ledger
    tell: Callable[[str], None]  # a person, while it runs
    _complaint: str = field(default="", init=False)
    _bad_since: float | None = field(default=None, init=False)

    async def run(self, device_s: float | None) -> None:
        """Push for so many seconds of the devices' own clocks, or until Ctrl-C."""
        stop = asyncio.Event()
        for device in self.devices:
            device.wire = TalkativeWire(self.url)
        with ended_by_signals(stop):
            watching = asyncio.create_task(self._watch(stop if device_s is not None else None))
            try:
                runs = (
                    device.run(duration_s=device_s, stop=stop, linger_s=_LINGER_S) for device in self.devices
                )
                await asyncio.gather(*runs)
            finally:
                watching.cancel()

    @property
    def kept(self) -> int:
        """Pushes that nobody took."""
        return sum(device.waiting for device in self.devices)

    def summary(self, zone: tzinfo) -> dict[str, object]:
        """Say what happened, as JSON values; ``totals`` is what a correct tally shows for each local day."""
        figures: Bag[str] = Bag()
        for device in self.devices:
            figures.update(asdict(device.figures))
        totals = [
            {"serial": serial, "day": day.isoformat(), "measure": measure, "amount": amount}
            for (serial, day, measure), amount in sorted(self.ledger.totals(zone).items())
        ]
        named = {part.name: figures[part.name] for part in fields(Figures)}
        return {
            "to": self.url,
            "devices": len(self.devices),
            **named,
            "kept": self.kept,
            "facts": len(self.ledger.obligations()),
            "totals": totals,
        }

    async def _watch(self, stop: asyncio.Event | None) -> None:
        """Tell how it goes; with ``stop`` there is an end to it, and so to waiting for somebody who never answered."""
        last = time.monotonic()
        never = asyncio.Event()
        while True:
            await pause(_LOOK_S, never)
            self._complain()
            if stop is not None and self._is_hopeless():
                self.tell(f"Given up: nothing has answered at {self.url} in {_HOPELESS_S:g} s.")
                stop.set()
                return
            if time.monotonic() - last >= _PROGRESS_S:
                last = time.monotonic()
                taken = sum(device.figures.acknowledged for device in self.devices)
                self.tell(f"{taken} pushes taken, {self.kept} kept by the devices")

    def _complain(self) -> None:
        """Say once that nothing is taken, and once that it is again."""
        found = next((said for device in self.devices if (said := self._trouble(device))), "")
        if not found:
            self._bad_since = None
            if self._complaint:
                self._complaint = ""
                self.tell(f"{self.url} takes pushes now.")
            return
        self._bad_since = self._bad_since or time.monotonic()
        if not self._complaint and time.monotonic() - self._bad_since >= _PATIENCE_S:
            self._complaint = found
            self.tell(found)

    def _is_hopeless(self) -> bool:
        if self._bad_since is None or time.monotonic() - self._bad_since < _HOPELESS_S:
            return False
        wires = [device.wire for device in self.devices]
        return all(isinstance(wire, TalkativeWire) and wire.status is None for wire in wires)

    def _trouble(self, device: Device) -> str | None:
        wire = device.wire
        if not device.waiting or not isinstance(wire, TalkativeWire):
            return None
        if wire.trouble:
            return (
                f"Nothing answers at {self.url} ({wire.trouble}). Trying on: start the gateway there,"
                " or end this with Ctrl-C and correct --to."
            )
        if wire.status is not None and device.figures.refused and wire.status != 200:
            return (
                f"{self.url} answers {wire.status}, which tells a device to keep its push. Trying on: look at"
                " `gateway status`, or check that a gateway listens there at all."
            )
        return None


@contextmanager
def ended_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set ``stop`` at Ctrl-C or when the process is asked to end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
