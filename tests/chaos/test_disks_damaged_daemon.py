"""Pages of the store damaged under the daemon, down and at work: it comes up by itself and says what is gone."""

import asyncio
import contextlib
import random
import time

import pytest
from load import Load, mixed
from regions import damage, in_database
from trouble import acknowledged_more, faults, fresh, until

from gateway.errors import GatewayError
from gateway.outbox.connection import FILE_NAME
from gateway.simulate.ledger import Ledger, compare
from gateway.simulate.receiver import Outcome

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FAR_ENDS = ("home", "cloud")
AWAY = Outcome(status=503)
# What a store cannot do without: with these gone nobody knows what was owed. Copies of a store are damaged there.
SPARED = ("file header", "sqlite_master", "freelist", "overflow", "_sqlite")


class Systemd:
    """Starts the daemon again whenever it ends by itself."""

    def __init__(self, site) -> None:
        self.site, self.stopped, self.starting = site, False, False

    async def run(self) -> None:
        while True:
            if not self.stopped and not self.site.daemon.running:
                self.starting = True
                with contextlib.suppress(AssertionError):  # it ended while it started: again
                    await asyncio.to_thread(self.site.daemon.start)
                self.starting = False
            await asyncio.sleep(0.1)

    async def end(self, how) -> None:
        """End the daemon and leave it down."""
        self.stopped = True
        with contextlib.suppress(ProcessLookupError, AssertionError):  # it may be about to end by itself
            await asyncio.to_thread(how)

    @property
    def salvages(self) -> int:
        return self.site.daemon.log.read_text().count('"event": "store_salvaged"')


async def found(site, systemd, before: int) -> None:
    """Wait until the damage was found: by whoever reads the page, or else by the check after an unclean stop."""
    systemd.stopped = False
    await until(lambda: site.daemon.running and not systemd.starting, "it is started")
    last = time.monotonic() + 4.0
    # A start that rescues right now is left alone: killed behind its work, and before its word, it would never be told.
    while systemd.salvages == before and (
        time.monotonic() < last or systemd.starting or not site.daemon.running
    ):
        await asyncio.sleep(0.1)
    if systemd.salvages == before:
        await systemd.end(site.daemon.kill)
        systemd.stopped = False
    await until(lambda: systemd.salvages > before, "the damage is found", but=site.daemon.log)
    await until(lambda: _told(site), "the status says what was salvaged")


def _told(site) -> bool:
    with contextlib.suppress(GatewayError):  # it is down, and comes up
        told = faults(site).get("store_salvaged")
        return told is not None and "saved" in told["sentence"] and "damaged file" in told["action"]
    return False


def places_lost(site) -> bool:
    with contextlib.suppress(GatewayError):
        said = str(faults(site).get("store_salvaged"))
        return "How far the sinks had got is lost" in said or "sinks" in said.partition("Left out")[2]
    return True  # it went down again, and nobody could ask


def pages(store, chance):
    """Choose pages of different trees, the log itself among them."""
    there = [one for one in in_database(store) if not one.name.startswith(SPARED)]
    log = [one for one in there if one.name.startswith("events ")]
    return [chance.choice(log), chance.choice(there)]


@pytest.mark.site_with(window=100, batch=20)
async def test_damage_under_the_daemon(site, tmp_path, experiment, scale):
    """It keeps what can be read, says what it lost and balances its accounts; nothing spurious or wrong is delivered."""
    chance, ledger, lost = random.Random(91), Ledger(), dict.fromkeys(FAR_ENDS, 0)
    store = tmp_path / "store" / FILE_NAME
    devices, anew = mixed(site.url, ledger, seed=91), 0
    await asyncio.to_thread(site.daemon.start)
    systemd = Systemd(site)
    keeping = asyncio.create_task(systemd.run())
    async with Load(devices):
        for number in range(scale.pick(1, 6)):
            site.upstream.decide = lambda _request: AWAY
            await acknowledged_more(devices, scale.pick(40, 150))
            before = {account["name"]: account["lost"] for account in await accounts(site)}
            salvages = systemd.salvages
            if number % 2 == 0:
                await systemd.end(site.daemon.stop)
            for page in pages(store, chance):
                damage(store, page, chance.choice(("zero", "garbage")), chance)
                experiment.hit(f"page of {page.name.split()[0]}")
            ended = time.monotonic()
            await found(site, systemd, salvages)
            anew += places_lost(site)
            site.upstream.decide = None
            await fresh(site, ledger)
            experiment.recovered(time.monotonic() - ended)
            for account in await accounts(site):
                grown = account["lost"] - before[account["name"]]
                lost[account["name"]] += grown if grown >= 0 else account["lost"]
    await asyncio.to_thread(site.settle, timeout_s=120.0)
    keeping.cancel()
    assert all(account["balanced"] for account in site.accounts())
    judge(site, experiment, ledger, lost)
    # Each end of the daemon makes no more than a window come again, at each far end; where the places are lost too, all
    # that was saved goes out once more.
    doubled = 2 * (site.window * (site.daemon.starts - 1) + anew * site.accounts()[0]["received"])
    experiment.demand(obligations=scale.pick(20, 400), faults=scale.pick(2, 12), doubled=doubled)


async def accounts(site):
    return await asyncio.to_thread(site.accounts)


def judge(site, experiment, ledger, lost):
    """Hold both far ends against the ledger; no more may be gone than the accounts say was lost."""
    experiment.owe(len(ledger.obligations()))
    for far_end in FAR_ENDS:
        verdict = compare(ledger, site.events_at(far_end))
        # A fact that ends with an older statement: the newest one was on a damaged page.
        older = [one for one in verdict.wrong if " ends as " in one]
        gone = len(verdict.missing) + len(older)
        experiment.remarks.append(f"{far_end}: {gone} gone, {lost[far_end]} said to be lost")
        assert gone <= lost[far_end], f"{far_end}: {verdict.missing[:3]} {older[:3]}"
        experiment.found(
            wrong=len(verdict.wrong) - len(older),
            duplicated=len(verdict.duplicates),
            spurious=len(verdict.spurious),
        )
