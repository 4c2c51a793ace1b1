"""The ceiling of memory that the unit sets: load does not reach it, and where it is reached nothing accepted is lost."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import pytest
from killing import IN_A_ROW, chance, may_double, under_load
from memory_group import MemoryGroup, unit_ceiling

MIB = 2**20
_BODY = 2 * MIB - 4096  # the largest that is taken, not quite sent
_HELD = 20 * MIB  # what the senders must bring about, or nothing was tried

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.site_with(**IN_A_ROW)]


@pytest.fixture
def group(site):
    """The daemon of the site runs in it."""
    if why := MemoryGroup.missing():
        pytest.skip(why)
    made = MemoryGroup()
    site.daemon.program = (str(Path(__file__).with_name("grouped_gateway.py")),)
    site.daemon.env["GROUP_UNDER_TEST"] = str(made.folder)
    yield made
    if site.daemon.running:
        site.daemon.stop()
    made.close()


@contextlib.asynccontextmanager
async def bodies_held(port: int, senders: int):
    """Have the largest bodies lie in the daemon's memory, each of them one byte short."""
    async with asyncio.TaskGroup() as all_:
        tasks = [all_.create_task(_hold(port, f"127.0.8.{number % 200 + 1}")) for number in range(senders)]
        yield
        for task in tasks:
            task.cancel()


async def _hold(port: int, source: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: {_BODY}\r\n\r\n"
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            try:
                writer.write(head.encode() + b'{"x": "' + b"A" * (_BODY - 10))
                await writer.drain()
                await asyncio.sleep(5)  # the daemon gives a body longer than this
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.2)


async def most_held(group, before, *, least_s):
    """Look on for so long, and on a busy machine until enough is held; give the most that was held at once."""
    began, held = time.monotonic(), 0
    while (gone_s := time.monotonic() - began) < least_s or (held <= _HELD and gone_s < least_s + 60):
        held = max(held, group.in_use() - before)
        await asyncio.sleep(0.1)
    return held


async def test_memory_ceiling_is_far_away(site, experiment, group, scale):
    """The control run: load, with all the bodies that the port holds at once, stays below what the unit allows softly."""
    experiment.control = True
    group.limit(unit_ceiling("MemoryMax"))
    async with under_load(site, experiment, chance(4721), owing=300):
        before = group.in_use()
        async with bodies_held(site.daemon.port, 60):
            held = await most_held(group, before, least_s=scale.pick(4.0, 60.0))
    experiment.demand(obligations=300, faults=0, doubled=0)
    assert 0 == group.kills()
    assert held > _HELD, f"only {held:,} bytes were held"
    experiment.ceiling("MiB of memory", group.highest() / MIB, unit_ceiling("MemoryHigh") / MIB)


async def test_memory_ceiling_reached(site, experiment, group, scale):
    """Where the kernel ends the daemon for its memory again and again, all that it accepted comes to both far ends."""
    times = scale.pick(3, 40)
    async with under_load(site, experiment, chance(4722), owing=30 * times) as victim:
        for ended in range(1, times + 1):
            await asyncio.sleep(victim.luck.uniform(0.2, 0.7))
            group.limit(group.in_use() + 8 * MIB)
            async with bodies_held(site.daemon.port, 60):
                assert -signal.SIGKILL == await asyncio.to_thread(site.daemon.wait, 60)
            victim.struck = time.monotonic()
            assert ended == group.kills()
            experiment.hit("out of memory")
            group.limit(unit_ceiling("MemoryMax"))
            await asyncio.to_thread(site.daemon.start)
    doubled = sum(may_double(experiment.faults).values())
    experiment.demand(obligations=30 * times, faults=times, doubled=doubled)
    assert site.daemon.starts == times + 1
