"""Outages of the far ends: everything arrives, each sink in its own order and untouched by the other's trouble."""

import asyncio
import time

import pytest
from load import Load, counter, mixed, terminal

from gateway.simulate.ledger import Ledger
from gateway.simulate.receiver import Fault, Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


def in_order_per_device(events: list) -> bool:
    """Say whether the first copies of each device's events came in the order of its own numbers."""
    last: dict[str, int] = {}
    seen: set[tuple] = set()
    for event in events:
        mark = (event["id"], event["revision"])
        if mark in seen:
            continue
        seen.add(mark)
        if event["device_seq"] <= last.get(event["device"], 0):
            return False
        last[event["device"]] = event["device_seq"]
    return True


@pytest.mark.site_with(window=50, batch=20)
@pytest.mark.slow
async def test_a_broker_that_is_away_delays_its_own_sink_only(site):
    """While the broker is stopped the upstream gets everything; afterwards new events come before the backlog."""
    ledger = Ledger()
    site.daemon.start()
    async with Load(mixed(site.url, ledger)):
        await asyncio.sleep(2)
        await asyncio.to_thread(site.broker.stop)
        down_at = site.upstream.ledger.unique
        await asyncio.sleep(60)
        grown = site.upstream.ledger.unique - down_at
        missed = site.upstream.ledger.unique - site.subscriber.distinct
        assert grown > 300, "the upstream must not notice that the broker is away"
        assert missed > 300, "the broker was not really away"
        await asyncio.to_thread(site.broker.start)
        back_at = time.time()
        await asyncio.sleep(3)
    await asyncio.to_thread(site.settle)
    verdicts = site.judge(ledger)
    assert verdicts["cloud"].duplicates == []
    assert in_order_per_device(site.events_at("cloud"))
    after = [arrival for arrival in site.subscriber.arrivals if arrival.event and arrival.at > back_at]
    newest_first = [arrival.event["seq"] for arrival in after]
    # Live first: something newer comes before something older, and fresh events do not wait for the backlog.
    assert newest_first != sorted(newest_first)


@pytest.mark.site_with(window=50, batch=20)
@pytest.mark.slow
async def test_an_upstream_that_fails_in_every_way_gets_all_in_order(site):
    """An upstream that answers 500, then hangs, then says 429, ends with everything, strictly in order."""
    ledger = Ledger()
    site.daemon.start()
    async with Load(mixed(site.url, ledger)):
        await asyncio.sleep(1)
        for trouble in (
            Outcome(status=500),
            Outcome(fault=Fault.HANG, take=False),
            Outcome(status=429, headers={"Retry-After": "1"}),
        ):
            before = site.upstream.requests
            site.upstream.decide = lambda _request, trouble=trouble: trouble
            at_home = site.subscriber.distinct
            await asyncio.sleep(6)
            assert site.upstream.requests > before, "the fault never happened"
            assert site.subscriber.distinct - at_home > 200, "the broker's sink suffered from the upstream"
        site.upstream.decide = None
        await asyncio.sleep(1)
    await asyncio.to_thread(site.settle)
    verdicts = site.judge(ledger)
    assert verdicts["home"].duplicates == []
    assert in_order_per_device(site.events_at("cloud"))


@pytest.mark.site_with(window=50, batch=20)
async def test_a_reply_that_is_lost_doubles_with_the_same_content(site):
    """An upstream that takes a batch and loses its answer gets that batch again, and nothing else twice."""
    ledger = Ledger()
    site.daemon.start()
    async with Load([counter(site.url, 0, ledger), terminal(site.url, 0, ledger)]):
        await asyncio.sleep(2)
        site.upstream.script.append(Outcome(fault=Fault.NO_REPLY, take=True))
        await asyncio.sleep(3)
    await asyncio.to_thread(site.settle)
    verdicts = site.judge(ledger)
    assert 0 < len(verdicts["cloud"].duplicates) <= 20
    assert site.upstream.ledger.conflicts == []
    assert verdicts["home"].duplicates == []


@pytest.mark.site_with(batch=20)
async def test_one_bad_event_becomes_a_letter_and_the_rest_goes_on(site):
    """An upstream that refuses one event for good gets all others; the one is a letter and can be retried."""
    ledger = Ledger()
    site.daemon.start()
    refused: list[str] = []

    def picky(request):
        if not refused:
            refused.append(request.events[0]["eventid"])
        bad = any(event["eventid"] == refused[0] for event in request.events)
        return Outcome(status=422, take=False) if bad else None

    async with Load([counter(site.url, 0, ledger)]):
        await asyncio.sleep(1)
        site.upstream.decide = picky
        await asyncio.sleep(2)
    await asyncio.to_thread(site.settle)
    account = next(account for account in site.accounts() if account["name"] == "cloud")
    letters = account["lettered"]
    assert letters >= 1
    told = site.daemon.command("letters", "list")
    assert told.returncode == 1
    assert "cloud" in told.stdout
    site.upstream.decide = None
    for number in range(1, letters + 1):
        assert site.daemon.command("letters", "retry", str(number)).returncode == 0
    deadline = time.monotonic() + 10
    while any(account["lettered"] for account in site.accounts()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    site.judge(ledger)


async def test_both_far_ends_away_then_back(site):
    """With both far ends away events are still accepted; both get all of them when they come back."""
    ledger = Ledger()
    await asyncio.to_thread(site.broker.stop)
    site.upstream.stop()
    site.daemon.start()
    async with Load(mixed(site.url, ledger)):
        await asyncio.sleep(3)
    waiting = {account["name"]: account["waiting"] for account in site.accounts()}
    assert min(waiting.values()) > 100, waiting
    await asyncio.to_thread(site.broker.start)
    site.upstream.start()
    await asyncio.to_thread(site.settle)
    for verdict in site.judge(ledger).values():
        assert verdict.duplicates == []
