"""Far ends that answer oddly: an upstream that is busy, moved or hidden behind a web page, a broker with narrow limits.

An upstream that says yes and then loses what it took, or a broker that acknowledges and forgets before its subscriber
has it, is not ours to mend: `gateway replay` sends a range again when somebody asks. So these experiments never let a
far end lose what it said yes to.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lined_site import FAR_ENDS, IMPATIENT, LinedSite, owed, settled, suffer, turns
from load import LINE, SPEED, Load, counter, few, terminal
from odd_broker import with_broker
from troubles import of_answers

from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import Identity
from gateway.simulate.counter import Counter
from gateway.simulate.ledger import Ledger, compare
from gateway.simulate.receiver import Fault, Outcome
from gateway.simulate.subscriber import Subscriber

pytestmark = [pytest.mark.anyio]


@pytest.fixture
def lines(site) -> Iterator[LinedSite]:
    built = LinedSite(site)
    yield built
    built.close()


def in_order_per_device(events: list) -> bool:
    """Say whether the first copies of each device's events came in the order of its own numbers."""
    first = {(event["id"], event["revision"]): event for event in reversed(events)}
    last: dict[str, int] = {}
    for event in reversed(first.values()):
        if event["device_seq"] <= last.get(event["device"], 0):
            return False
        last[event["device"]] = event["device_seq"]
    return True


@pytest.mark.slow
@pytest.mark.site_with(**IMPATIENT)
async def test_upstream_that_answers_oddly(lines, experiment, scale):
    """Whatever else than yes the upstream answers, nothing is lost, dropped or doubled, and order per device holds."""
    ledger = Ledger()
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        await asyncio.sleep(0.5)
        for _ in range(scale.pick(1, 3)):
            answers = of_answers(lines)
            for trouble in scale.pick(random.Random("answers").sample(answers, 3), answers):
                await suffer(lines, experiment, trouble, hold_s=scale.pick(0.1, 3.0))
        await owed(ledger, 30)
    await settled(lines, experiment, ledger)
    assert in_order_per_device(lines.site.events_at("cloud"))
    experiment.demand(obligations=scale.pick(30, 100), faults=scale.pick(3, 27), doubled=0)


@pytest.mark.site_with(**IMPATIENT)
async def test_reply_of_the_upstream_lost(lines, experiment, scale):
    """An upstream that takes a batch and loses its answer gets that batch again, identical, and nothing else twice."""
    ledger, times = Ledger(), scale.pick(2, 30)
    upstream = lines.site.upstream
    lines.site.daemon.start()
    async with Load([counter(lines.url, 0, ledger), terminal(lines.url, 0, ledger)]):
        for number in range(times):
            await asyncio.sleep(0.5)
            began, there = time.time(), lines.doubles("cloud")
            upstream.script.append(Outcome(fault=(Fault.NO_REPLY, Fault.CUT)[number % 2], take=True))
            deadline = time.monotonic() + 30
            while lines.doubles("cloud") == there:
                assert time.monotonic() < deadline, "the batch did not come again"
                await asyncio.sleep(0.02)
            experiment.hit("reply lost")
            lines.note("cloud", began)
        await owed(ledger, 30)
    await settled(lines, experiment, ledger)
    assert 0 < lines.doubles("cloud") <= lines.site.batch * times
    lines.site.doubles_in_flight("cloud", lines.site.batch)
    lines.doubles_only_in_trouble("cloud")
    assert 0 == lines.doubles("home")
    experiment.demand(obligations=30, faults=times, doubled=lines.site.batch * times)


OVERSIZE = {
    "announced over MQTT 5": ("5", "max_packet_size 2300"),
    "refused over MQTT 5": ("5", "message_size_limit 2300"),
    "disconnecting over MQTT 3.1.1": ("3.1.1", "max_packet_size 2300"),
}
_DEVICES = 4  # of `few`
_LONG = "🚪" * 250  # what a person typed on one device; only its heartbeats carry it


@pytest.mark.parametrize("how", OVERSIZE)
@pytest.mark.site_with(**IMPATIENT)
async def test_broker_takes_no_large_event(lines, experiment, scale, how):
    """Events that are too large for the broker become letters, one by one; everything behind them flows."""
    version, limit = OVERSIZE[how]
    lines.configure((f'version = "{lines.site.broker.version}"', f'version = "{version}"'))
    with_broker(lines.site, limit)
    ledger, minutes = Ledger(), scale.pick(2, 40)
    who = Identity(serial="2000000000000000077", device_id="door-77", device_name=_LONG, site_id=_LONG)
    clock = Clock(speed=SPEED)
    speech = {"mode": "real_time", "rate": 5.0, "heartbeat_s": 120.0, "line": LINE}
    wordy = Counter(lines.url, identity=who, clock=clock, ledger=ledger, **speech)
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        await wordy.run(duration_s=minutes * 60.0)
        over = datetime.now(UTC)
        experiment.recovered(await lines.new_since(over))
        await owed(ledger, 40)
    large = {key for key in ledger.obligations() if key[0] == "heartbeat" and key[1] == who.serial}
    account = await drained(lines, "home")
    assert len(large) == account["lettered"] >= minutes // 2
    experiment.hit(f"event too large, {how}", account["lettered"])
    home, cloud = (compare(ledger, lines.site.events_at(far_end)) for far_end in FAR_ENDS)
    experiment.owe(len(ledger.obligations()))
    experiment.judge({"home": replace(home, missing=list(large ^ set(home.missing))), "cloud": cloud})
    assert large == set(home.missing)
    # A broker that announces its limit is not tried. Else a try of such an event can end a connection, with a window on
    # the way: three in company, and as many again where the end comes before the answers to those that went ahead. How
    # often it is tried alone depends on how soon the broker is back, but then nothing else is on the way.
    tries = 0 if how.startswith("announced") else 8 * account["lettered"]
    experiment.demand(obligations=40, faults=minutes // 2, doubled=tries * lines.site.window)
    assert 0 == lines.doubles("cloud")


async def drained(lines: LinedSite, far_end: str) -> dict:
    """Wait until nothing waits for any sink; give the account of one."""
    # Each event that ends the connection is found out by itself, which takes some seconds.
    for _ in turns(600):
        accounts = await asyncio.to_thread(lines.site.accounts)
        if all(account["waiting"] == 0 for account in accounts):
            break
    else:
        raise AssertionError(f"not drained: {accounts}\n{lines.site.daemon.tail()}")
    account = next(account for account in accounts if account["name"] == far_end)
    owed = account["received"] - account["lettered"]
    assert await asyncio.to_thread(lines.site.subscriber.wait_for, owed, 10)
    assert account["balanced"], account
    return account


@pytest.mark.site_with(**IMPATIENT)
async def test_broker_with_receive_maximum_1(lines, experiment, scale):
    """A broker that takes one message at a time gets one at a time, and each cut of the line doubles at most that one."""
    with_broker(lines.site, "max_inflight_messages 1")
    ledger, times = Ledger(), scale.pick(2, 60)
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        for _ in range(times):
            await asyncio.sleep(scale.pick(0.3, 0.5))
            began = datetime.now(UTC)
            assert lines.home.cut() > 0
            experiment.hit("line cut at Receive Maximum 1")
            experiment.recovered(await lines.new_since(began))
            sinks = (await asyncio.to_thread(lines.status))["sinks"]
            shown = next(sink for sink in sinks if sink["name"] == "home")["connection"]
            assert (1, 1) == (shown["receive_maximum"], shown["inflight"])
        await owed(ledger, 30)
    await settled(lines, experiment, ledger)
    assert lines.doubles("home") <= times
    assert 0 == lines.doubles("cloud")
    experiment.demand(obligations=30, faults=times, doubled=times)


@pytest.mark.site_with(**IMPATIENT)
async def test_broker_that_forgets_everything(lines, experiment, scale):
    """A broker that lost its sessions and retained messages is shown all of them again, and no event is lost on the way."""
    broker = with_broker(lines.site)
    ledger, times = Ledger(), scale.pick(1, 20)
    lines.site.daemon.start()
    async with Load(few(lines.url, ledger)):
        await asyncio.sleep(1.0)
        for _ in range(times):
            known = await all_shown(lines, set())
            lines.home.refuse()  # it forgets nothing that nobody has: see the top of this file
            connects = lines.site.subscriber.connects
            await asyncio.to_thread(lines.still)
            broker.forget()
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(lines.back, connects)
            assert {} == await asyncio.to_thread(retained, lines), "the broker forgot nothing"
            experiment.hit("broker forgot all")
            began = datetime.now(UTC)
            lines.home.listen()
            experiment.recovered(await lines.new_since(began))
            assert known <= await all_shown(lines, known)
        await owed(ledger, 30)
    await settled(lines, experiment, ledger)
    assert 0 == lines.doubles("cloud")
    in_flight = lines.site.window * times  # whenever it went
    experiment.demand(obligations=30, faults=times, doubled=in_flight)


async def all_shown(lines: LinedSite, wanted: set[str]) -> set[str]:
    """Wait until the broker shows the status and a state of each device, or these topics; give all topics."""
    for _ in turns():
        shown = (await asyncio.to_thread(retained, lines)).keys()
        if wanted <= shown and len(shown) > _DEVICES:
            return set(shown)
    raise AssertionError(f"the broker shows {shown}")


def retained(lines: LinedSite) -> dict[str, bytes]:
    """Read everything that the broker keeps."""
    name = f"newcomer-{time.monotonic_ns()}"
    broker = lines.site.broker
    newcomer = Subscriber(
        broker.host, broker.port, topics=("gateway/#",), client_id=name, version=broker.version
    ).start()
    time.sleep(0.3)
    newcomer.stop()
    return {arrival.topic: arrival.payload for arrival in newcomer.arrivals if arrival.retained}
