"""An upstream that refuses one event for good; outages of every other kind are in tests/chaos."""

import asyncio
import time

import pytest
from load import Load, counter

from gateway.simulate.ledger import Ledger
from gateway.simulate.receiver import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


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
        await asyncio.sleep(0.5)
        site.upstream.decide = picky
        await asyncio.sleep(1)
    await asyncio.to_thread(site.settle)
    account = next(account for account in site.accounts() if account["name"] == "cloud")
    letters = account["lettered"]
    assert letters >= 1
    told = site.daemon.asked("letters", "list")
    assert told.returncode == 1
    assert "cloud" in told.stdout
    site.upstream.decide = None
    for number in range(1, letters + 1):
        assert site.daemon.asked("letters", "retry", str(number)).returncode == 0
    deadline = time.monotonic() + 10
    while any(account["lettered"] for account in site.accounts()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    site.judge(ledger)
