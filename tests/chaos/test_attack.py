"""A site under attack: hostile requests from several addresses while real devices push."""

import asyncio
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import CORPUS, counted, post
from lined_site import owed
from load import Load, counter, mixed
from memory_group import unit_ceiling

from gateway.simulate.ledger import Ledger

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

RSS_MOST = unit_ceiling("MemoryHigh")
ATTACKERS = [f"127.0.7.{number}" for number in range(1, 9)]
# These are well-formed statements of invented devices: they would count, and nobody attacks with them here.
HARMLESS = [case for case in CORPUS if not (case.status == 200 and not case.letters)]
REFUSED = [case for case in HARMLESS if not case.letters]
LETTERED = [case for case in HARMLESS if case.letters]
# Attacked by name: the ledger knows nothing of forged statements, so a forged one that counted would be spurious.
PINS = '[devices.d0]\nid = "counter-200000000000000000"\naddress = "127.0.0.1"\n'


async def attack(port: int, wire: bytes, source: str) -> bool:
    """Send one hostile request; say whether it was answered: what is closed without a word may never have been read."""
    with suppress(OSError, TimeoutError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        try:
            async with asyncio.timeout(2):
                writer.write(wire)
                await writer.drain()
                writer.write_eof()
                return (await reader.read(64)).startswith(b"HTTP/1.1 ")
        finally:
            writer.transport.abort()
    return False


async def mixture(port: int, seed: int, until: float, done: list[int], least: tuple[int, int]) -> None:
    """Attack with random requests, whole, cut and bent, until the time is over and, within bounds, enough happened."""
    last = until + 30.0
    chance = random.Random(seed)
    source = ATTACKERS[seed % len(ATTACKERS)]
    while time.monotonic() < until or (
        time.monotonic() < last and (done[0] < least[0] or done[1] < least[1])
    ):
        wire = chance.choice(LETTERED if chance.random() < 0.1 else REFUSED).wire
        if chance.random() < 0.2:
            wire = wire[: chance.randrange(1, len(wire))]
        elif chance.random() < 0.2:
            forged = counted(
                "200000000000000000", minute=chance.randrange(600), enters=999, sent=1_795_400_000
            )
            wire = post(forged)
            came = await attack(port, wire, source)
            done[1] += came
            continue
        came = await attack(port, wire, source)
        done[0] += came


def memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


async def watch(pid: int, seen: dict[str, int], stop: asyncio.Event) -> None:
    while not stop.is_set():
        process = Path(f"/proc/{pid}")
        figures = {
            "memory": memory(pid),
            "descriptors": len(list((process / "fd").iterdir())),
            "threads": len(list((process / "task").iterdir())),
        }
        for name, figure in figures.items():
            seen[name] = max(seen.get(name, 0), figure)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.2)


@pytest.mark.site_with(more=PINS)
async def test_attack_control(site, experiment):
    """The same devices, pinned as well, with nobody who attacks: nothing is missing and nothing comes again."""
    ledger = Ledger()
    experiment.control = True
    site.daemon.start()
    async with Load(mixed(site.url, ledger)):
        await owed(ledger, 100)
    await asyncio.to_thread(site.settle)
    experiment.owe(len(ledger.obligations()))
    site.judge(ledger, told=experiment.judge)
    experiment.demand(obligations=100, faults=0, doubled=0)


@pytest.mark.site_with(more=PINS)
async def test_attack_on_the_device_port(site, experiment, scale):
    """Hostile requests of eight addresses cost no obligation and invent nothing; what the daemon takes is bounded."""
    ledger, done, seen, stop = Ledger(), [0, 0], {}, asyncio.Event()
    least = scale.pick((50, 6), (1_500, 201))
    site.daemon.start()
    until = time.monotonic() + scale.pick(3.0, 240.0)
    watching = asyncio.create_task(watch(site.daemon.pid, seen, stop))
    async with Load(mixed(site.url, ledger)):
        port = site.daemon.port
        await asyncio.gather(*(mixture(port, seed, until, done, least) for seed in range(2 * len(ATTACKERS))))
        await owed(ledger, 100)
    stop.set()
    await watching
    experiment.hit("hostile request", done[0])
    experiment.hit("forged push of a pinned device", done[1])
    ended = time.monotonic()
    async with Load([counter(site.url, 20, ledger)]):
        await asyncio.sleep(1.0)
    await asyncio.to_thread(site.settle)
    experiment.recovered(time.monotonic() - ended)
    experiment.owe(len(ledger.obligations()))
    site.judge(ledger, told=experiment.judge)
    experiment.ceiling("memory", seen["memory"], RSS_MOST)
    experiment.ceiling("descriptors", seen["descriptors"], 400)
    experiment.ceiling("threads", seen["threads"], 60)
    assert "Traceback" not in site.daemon.log.read_text()
    # What a stranger sends makes nothing come again, unless the daemon is so busy that it gives up a far end.
    given_up = site.daemon.log.read_text().count('"event": "sink_unavailable"')
    experiment.demand(obligations=scale.pick(100, 2_000), faults=sum(least), doubled=given_up * site.window)
    assert done[1] >= least[1]
