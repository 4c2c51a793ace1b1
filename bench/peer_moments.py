"""Single moments of the peer table: from a push to the subscriber, and what one poison message does to the others."""

import http.client
import json
import signal
import statistics
import time
from pathlib import Path

from load import Generator
from peer_far_end import Broker, Ear
from peer_loss import heard_one
from peer_pushing import Pushers
from peer_systems import SYSTEMS, Place, System

_PER_S = 30
_BROKER_LIMIT = 131_072
_POISON = 300_000
_LATER = 20
_PATIENCE_S = 48


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
                    while len(pushers.acknowledged) < pushes:
                        time.sleep(0.05)
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


def poison(directory: Path, generator: Generator, *, say) -> dict[type[System], int]:
    """Push one event that the broker refuses for its size, then good ones of another device; count what comes."""
    found = {}
    for make in SYSTEMS:
        say(f"  one poison message: {make.name}")
        place = directory / f"poison-{make.__name__}"
        with Broker(place / "broker", f"max_packet_size {_BROKER_LIMIT}") as broker, Ear(broker.port) as ear:
            system = make(Place(place / "system", broker.port))
            system.start()
            heard_one(system, generator, ear)
            _push_poison(system, generator)
            with Pushers(generator, system.port, system.paths["W1"], devices=1, per_s=4) as pushers:
                while len(pushers.acknowledged) < _LATER:
                    time.sleep(0.05)
            deadline = time.monotonic() + _PATIENCE_S
            while time.monotonic() < deadline and not pushers.acknowledged.keys() <= ear.first.keys():
                time.sleep(0.2)
            system.end(signal.SIGKILL)
            came = len(pushers.acknowledged.keys() & ear.first.keys())
            found[make] = round(_LATER * came / len(pushers.acknowledged))
    return found


def _push_poison(system: System, generator: Generator) -> None:
    """A face record with a field that is larger than the broker takes."""
    record = json.loads(generator.own_body("W2", 80_000))
    record["data"]["rgb_image"] = ""
    record["data"]["comment"] = "x" * _POISON
    body = json.dumps(record).encode()
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=20)
    connection.request("POST", f"{system.paths['W2']}poison", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    if reply.status != 200:
        raise SystemExit(f"bench: the poison was answered with {reply.status}, so it poisons nothing")
