"""What a 200 is worth: what was acknowledged and never came, after a kill, a stop, or nothing at all."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

from broker import Broker
from load import Generator
from peer_far_end import Cable, Ear
from peer_pushing import Pushers
from peer_systems import Place, System

_PUSHING_S = 5
_LEAST = 500  # acknowledged
_QUIET_S = 12
_AT_MOST_S = 90


@dataclass(frozen=True)
class Loss:
    acknowledged: int
    lost: int

    def __str__(self) -> str:
        return f"{self.lost:,} of {self.acknowledged:,}"


def lost(make: type[System], directory: Path, generator: Generator, how: str, *, uplink: bool) -> Loss:
    """Push, end the system in the middle of it, start it again on what it kept, and wait for what comes.

    ``how`` is "kill", "stop" (the signal of its own unit) or "control": it goes on running. Without an ``uplink`` the
    cable to the broker is out while devices push and comes back with the second life.
    """
    with Broker(directory / "broker") as broker, Ear(broker.port) as ear:
        cable = Cable(broker.port)
        cable.plug()
        system = make(Place(directory / "system", cable.port))
        system.start()
        heard_one(system, generator, ear)
        if not uplink:
            cable.pull()
            time.sleep(0.5)
        with Pushers(generator, system.port, system.paths["W1"], devices=4) as pushers:
            time.sleep(_PUSHING_S)
            if how != "control":
                system.end(signal.SIGKILL if how == "kill" else system.stop_signal)
        if not uplink:
            cable.plug()
        if how != "control":
            system.start()
        ear.quiet(for_s=_QUIET_S, at_most_s=_AT_MOST_S)
        system.end(signal.SIGKILL)
        cable.pull()
        missing = pushers.acknowledged.keys() - ear.first.keys()
        if len(pushers.acknowledged) < _LEAST:
            raise SystemExit(
                f"bench: {make.__name__} acknowledged {len(pushers.acknowledged)} pushes: nothing is shown"
            )
        return Loss(len(pushers.acknowledged), len(missing))


def heard_one(system: System, generator: Generator, ear: Ear) -> None:
    """Push now and then until one event came out at the far end: before that nobody is measured."""
    with Pushers(generator, system.port, system.paths["W1"], devices=1, per_s=5):
        deadline = time.monotonic() + 60
        while not ear.heard:
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {type(system).__name__} publishes nothing: it must not be measured")
            time.sleep(0.05)
    ear.quiet(for_s=1, at_most_s=10)
