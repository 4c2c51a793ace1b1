"""What a simulated device does on good and bad lines; the truth must not depend on the line."""

import asyncio
import time

import pytest
from collector import TAKEN, Collector, accept, http

from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.device import Line
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import Firmware

pytestmark = pytest.mark.anyio

START = 1_761_991_200
NO_REPLY = None


def counter(url, line=None, *, speed=0, seed=7, **more):
    clock = Clock(start=START, speed=speed)
    return Counter(
        url, identity=Identity(serial="200000000000000001"), clock=clock, line=line, seed=seed, **more
    )


def terminal(url, line=None, *, speed=0, **more):
    clock = Clock(start=START, speed=speed)
    return Terminal(
        url, serial="SIM1", clock=clock, line=line, firmware=Firmware(picture_bytes=300), seed=7, **more
    )


def distinct(requests):
    """Each body once, in order of first arrival."""
    return list(dict.fromkeys(request.body for request in requests))


async def test_a_good_line_needs_one_connection_and_sends_nothing_twice():
    """Without faults every push arrives once, in order, on one keep-alive connection."""
    async with Collector() as server:
        device = counter(server.url)
        ledger = await device.run(duration_s=600)
    assert device.figures.made == device.figures.acknowledged == len(server.requests) > 0
    assert len(distinct(server.requests)) == len(server.requests)
    assert {1} == {request.connection for request in server.requests}
    assert set(ledger.facts) == set(ledger.obligations())


@pytest.mark.parametrize(
    "bad",
    [http(500), http(503, b"full"), NO_REPLY, http(204), http(202)],
    ids=["500", "503", "none", "204", "202"],
)
async def test_a_counter_sends_again_until_it_gets_a_200(bad):
    """Anything but a complete 200 makes the counter send the same bytes again, and nothing overtakes them."""
    async with Collector(lambda request: bad if request.number < 3 else accept(request)) as server:
        device = counter(server.url, Line(retry_s=0.01))
        await device.run(duration_s=300)
    bodies = [request.body for request in server.requests]
    assert [bodies[0]] * 4 == bodies[:4]
    assert device.figures.made == device.figures.acknowledged == len(set(bodies)) > 1


@pytest.mark.parametrize(
    "bad",
    [
        http(200),
        http(200, b'{"code":200,"msg":"success","data":{}}'),
        http(200, b'{"code":500,"message":"success","data":{}}'),
        http(200, b'{"code":200,"message":"failed","data":{}}'),
        http(200, b'{"code":200,"message":"success","data":null}'),
        http(500, TAKEN),
        NO_REPLY,
    ],
    ids=["empty", "no message", "code", "failed", "no data", "500", "none"],
)
async def test_a_terminal_keeps_a_record_until_the_reply_is_the_documented_success(bad):
    """Any reply that breaks the vendor's table leaves the record unacknowledged in the terminal."""
    async with Collector(lambda request: bad if request.number < 2 else accept(request)) as server:
        device = terminal(server.url, Line(retry_s=0.01))
        ledger = await device.run(duration_s=300)
    bodies = [request.body for request in server.requests]
    assert [bodies[0]] * 3 == bodies[:3]
    assert set(ledger.facts) == set(ledger.obligations())


async def test_what_was_never_answered_is_no_obligation():
    """Statements whose reply never came are sent, and not acknowledged."""
    async with Collector(lambda _: NO_REPLY) as server:
        device = terminal(server.url, Line(retry_s=0.01), speed=600)
        ledger = await device.run(duration_s=120, linger_s=0.2)
    said = [statement for statements in ledger.facts.values() for statement in statements]
    assert {} == ledger.obligations()
    assert any(statement.sent for statement in said)
    assert device.waiting == device.figures.made > 0


async def test_a_lost_reply_makes_the_same_bytes_come_again():
    """With lost replies some bodies arrive more than once, byte for byte, and each is acknowledged once."""
    async with Collector() as server:
        device = terminal(server.url, Line(resend=0.4))
        await device.run(duration_s=1200)
    assert len(server.requests) > device.figures.made == len(distinct(server.requests))
    assert device.figures.resent + device.figures.made == device.figures.attempts
    assert device.figures.made == device.figures.acknowledged


async def test_the_line_does_not_change_what_is_said():
    """The same seed says the same bytes on a perfect line and on one with every fault."""
    bad = Line(resend=0.3, reorder=0.3, spells=((60, 300),), retry_s=0.01)
    bodies = []
    for line in (Line(), bad):
        async with Collector() as server:
            await counter(server.url, line, mode="real_time").run(duration_s=900)
            bodies.append(distinct(server.requests))
    assert sorted(bodies[0]) == sorted(bodies[1])
    assert bodies[0] != bodies[1], "the second line never put anything out of order"


async def test_another_seed_says_something_else():
    """Two seeds do not tell of the same people."""
    bodies = []
    for seed in (1, 2):
        async with Collector() as server:
            await counter(server.url, seed=seed).run(duration_s=600)
            bodies.append(distinct(server.requests))
    assert set(bodies[0]).isdisjoint(bodies[1])


async def test_a_spell_without_network_is_made_up_for_afterwards():
    """Nothing is sent during the spell; afterwards all of it comes, in order, on a new connection."""
    seen = []
    async with Collector() as server:
        device = counter(server.url, Line(spells=((300, 1200),)))
        server.answer = lambda request: seen.append(device.clock.now() - START) or http(200)
        await device.run(duration_s=2400)
    assert [] == [at for at in seen if 300 <= at < 1500]
    assert 2 == server.connections
    assert [request.body for request in server.requests] == sorted(
        (request.body for request in server.requests), key=lambda body: body.split(b"<TransmitTime>")[1]
    )
    assert device.figures.made == device.figures.acknowledged == 39


async def test_a_spell_that_outlasts_the_script_is_waited_for():
    """What is kept at the end of the script is still sent when the network comes back."""
    async with Collector() as server:
        device = counter(server.url, Line(spells=((100, 5000),)))
        await device.run(duration_s=600)
    assert device.figures.made == device.figures.acknowledged > 5


async def test_a_full_buffer_drops_the_oldest():
    """A terminal that may keep 10 records sends the last 10 after an outage, and counts what it dropped."""
    async with Collector() as server:
        device = terminal(server.url, Line(keeps=10, spells=((0, 3000),)), alarms_per_hour=0)
        ledger = await device.run(duration_s=2990, linger_s=5)
    assert 10 == len(server.requests) == len(ledger.obligations())
    assert device.figures.made - 10 == device.figures.dropped > 0
    newest = list(ledger.facts)[-10:]
    assert newest == list(ledger.obligations())


async def test_a_device_that_keeps_nothing_tries_once():
    """With keeps=0 a refused push is lost and the next one goes out."""
    async with Collector(lambda request: http(500) if request.number == 0 else http(200)) as server:
        device = counter(server.url, Line(keeps=0, retry_s=0.01))
        await device.run(duration_s=300)
    assert len(distinct(server.requests)) == len(server.requests) == device.figures.made
    assert (1, device.figures.made - 1) == (device.figures.dropped, device.figures.acknowledged)


async def test_an_outage_of_the_server_is_survived():
    """Pushes of a time in which nobody listens arrive after the server is back on its port."""
    async with Collector() as server:
        device = counter(server.url, Line(retry_s=0.02), speed=600)
        task = asyncio.create_task(device.run(duration_s=600))
        await asyncio.sleep(0.3)
        await server.__aexit__()
        await asyncio.sleep(0.3)
        assert device.waiting
        await server.__aenter__()
        ledger = await task
    assert device.figures.unanswered
    assert set(ledger.facts) == set(ledger.obligations())


async def test_stop_ends_the_device_at_once():
    """A device that runs for ever returns its ledger soon after the stop event, also while it waits."""
    stop = asyncio.Event()
    async with Collector() as server:
        task = asyncio.create_task(counter(server.url, speed=1).run(stop=stop))
        await asyncio.sleep(0.05)
        before = time.monotonic()
        stop.set()
        assert {} == (await task).facts
    assert time.monotonic() - before < 1


async def test_a_fast_clock_makes_minutes_pass_quickly():
    """At 600 times the speed, ten minutes of pushes take about one second and carry ten minutes of stamps."""
    async with Collector() as server:
        device = counter(server.url, speed=600)
        before = time.monotonic()
        await device.run(duration_s=600)
    assert 0.9 < time.monotonic() - before < 5
    assert 8 <= len(server.requests) <= 9


async def test_a_wrong_clock_shows_in_every_stamp():
    """A device whose clock is an hour ahead states windows an hour ahead."""
    first = []
    for skew_s in (0, 3600):
        async with Collector() as server:
            clock = Clock(start=START, speed=0, skew_s=skew_s)
            await Counter(server.url, identity=Identity(serial="1"), clock=clock).run(duration_s=120)
        first.append(int(server.requests[0].body.split(b'UnixStartTime="')[1].split(b'"')[0]))
    assert [START, START + 3600] == first
