"""Single moments of the peer table: from a push to the subscriber, and what one poison message does to the others."""

import http.client
import signal
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from broker import Broker
from load import Generator
from peer_far_end import Ear
from peer_loss import heard_one
from peer_pushing import Pushers
from peer_systems import SYSTEMS, Place, System

from gateway.simulate.count_xml import CountXml, Dialect, Identity

_PER_S = 30
BROKER_LIMIT = 29_000  # bytes; a system may put all that comes behind the poison into one message
_NOTES = "".join(f"<Note{number}>{'🚪' * 250}</Note{number}>" for number in range(30))
_LATER = 20
PATIENCE_S = 48


def latency(
    directory: Path, generator: Generator, *, pushes: int, say
) -> dict[tuple[type[System], str], list[float]]:
    """Push on a schedule on one connection; give for each system and workload the ms until the subscriber had it."""
    found = {}
    for make in SYSTEMS:
        say(f"  time to the subscriber: {make.name}")
        place = directory / f"latency-{make.__name__}"
        with Broker(place / "broker") as broker, Ear(broker.port) as ear:
            system = make(Place(place / "system", broker.port))
            system.start()
            heard_one(system, generator, ear)
            for workload in ("W1", "W2"):
                path = system.paths[workload]
                with Pushers(
                    generator, system.port, path, devices=1, workload=workload, per_s=_PER_S
                ) as pushers:
                    pushers.until(pushes, 10 * pushes / _PER_S)
                ear.quiet(for_s=2, at_most_s=30)
                came = {
                    key: ear.first[key] - at for key, at in pushers.acknowledged.items() if key in ear.first
                }
                found[make, workload] = sorted(1000 * seconds for seconds in came.values())
            system.end(signal.SIGKILL)
    return found


def quantile(values: list[float], share: float) -> float:
    return (
        statistics.median(values) if share == 0.5 else values[min(int(len(values) * share), len(values) - 1)]
    )


@dataclass(frozen=True)
class Poisoned:
    """What became of the poison where the broker takes it, and of what came behind it where the broker does not."""

    size: int  # of the message that it is made into
    came: int
    of: int


def poison(directory: Path, generator: Generator, *, say) -> dict[type[System], Poisoned]:
    """Push one event that the broker refuses for its size, then good ones of another device; count what comes."""
    found = {}
    for make in SYSTEMS:
        say(f"  one poison message: {make.name}")
        place = directory / f"poison-{make.__name__}"
        usual, size = _sizes(make, place / "control", generator)
        if not usual <= BROKER_LIMIT < size:
            raise SystemExit(
                f"bench: {make.__name__} makes {usual} bytes of an event and {size} of the poison; "
                f"the broker's limit of {BROKER_LIMIT} must lie between them"
            )
        found[make] = Poisoned(size, _behind_poison(make, place / "poisoned", generator), _LATER)
    return found


def _sizes(make: type[System], place: Path, generator: Generator) -> tuple[int, int]:
    """Give the bytes of the largest message with events, and of the one with the poison, at a broker without a limit."""
    with Broker(place / "broker") as broker, Ear(broker.port) as ear:
        system = make(Place(place / "system", broker.port))
        system.start()
        heard_one(system, generator, ear)
        with Pushers(generator, system.port, system.paths["W1"], devices=1, per_s=4) as pushers:
            pushers.until(_LATER, 60)
        ear.quiet(for_s=2, at_most_s=30)
        usual, ear.largest = ear.largest, 0
        _push_poison(system)
        time.sleep(5)
        system.end(signal.SIGKILL)
        return usual, ear.largest


def _behind_poison(make: type[System], place: Path, generator: Generator) -> int:
    """Give how many of the events behind the poison came."""
    limit = f"max_packet_size {BROKER_LIMIT}"
    with Broker(place / "broker", limit) as broker, Ear(broker.port) as ear:
        system = make(Place(place / "system", broker.port))
        system.start()
        heard_one(system, generator, ear)
        _push_poison(system)
        with Pushers(generator, system.port, system.paths["W1"], devices=1, per_s=4) as pushers:
            pushers.until(_LATER, 60)
        later = sorted(pushers.acknowledged, key=pushers.acknowledged.__getitem__)[:_LATER]
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not ear.first.keys() >= set(later):
            time.sleep(0.2)
        system.end(signal.SIGKILL)
        if ear.largest > BROKER_LIMIT:
            raise SystemExit("bench: the broker took the poison, so it poisons nothing")
        return sum(key in ear.first for key in later)


def _push_poison(system: System) -> None:
    """A counter's sign of life with much that nobody knows: each system passes it on."""
    said = CountXml(Identity(serial="2000000000000000077"), Dialect()).heartbeat(int(time.time()))
    body = said.replace(b"</Properties>", f"{_NOTES}</Properties>".encode())
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=20)
    connection.request("POST", f"{system.paths['W1']}poison", body, {"Content-Type": "text/xml"})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    if reply.status != 200:
        raise SystemExit(f"bench: the poison was answered with {reply.status}, so it poisons nothing")
