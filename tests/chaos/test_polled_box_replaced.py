"""A box that asked a PC for its events dies, and another one goes on from its backup: it asks again for what came after."""

import asyncio
from functools import partial

import pytest
from camlytics_pc import add, pc_of, read, section, until
from test_box_replaced import clashes, replace_box, stated

from gateway.simulate.camlytics import Camlytics
from gateway.simulate.ledger import Ledger, compare

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.site_with(window=100, batch=20)]


@pytest.fixture
def hall(site):
    """A PC with half an hour of events, asked in small pages."""
    server = Camlytics(pc_of("hall", Ledger(), seconds=1800)).start()
    add(site, section("hall", server.url, "limit = 50", "wait_s = 0", "period_s = 0.1"))
    yield server.pc
    server.stop()


async def test_what_was_polled_behind_the_backup_is_asked_for_again(site, hall, experiment, tmp_path):
    """The far ends have every event of the PC, what both boxes asked for under one id, and no number means two things."""
    file, in_thread = tmp_path / "site.backup", asyncio.to_thread
    await in_thread(site.daemon.start)
    until(lambda: read(hall) >= len(hall.stored) // 5, "nothing is read")
    done = await in_thread(partial(site.daemon.command, "backup", str(file), timeout_s=120))
    assert done.returncode == 0, done.stderr
    until(lambda: hall.unread == 0, site.daemon.tail())
    await in_thread(site.settle)
    by_old = received(site)
    site.daemon.kill()
    experiment.hit("box lost")
    await in_thread(replace_box, site, file, tmp_path / "dead")
    assert received(site) < by_old, "all was in the backup, so nothing was shown"
    until(lambda: received(site) >= by_old, site.daemon.tail())
    await in_thread(partial(site.fresh_event, hall.ledger, timeout_s=120))
    await in_thread(partial(site.settle, timeout_s=300))
    experiment.owe(len(hall.ledger.obligations()))
    events = {name: list(site.events_at(name)) for name in ("home", "cloud")}
    experiment.judge(
        {name: compare(hall.ledger, [stated(one) for one in came]) for name, came in events.items()}
    )
    assert [] == clashes([*events["home"], *events["cloud"]])[:3]
    for account in site.accounts():
        assert account["balanced"] and account["received"] == account["delivered"], account
    # The box goes on where the backup stood: what the lost one sent since then comes again, however much it was.
    experiment.demand(obligations=len(hall.stored), faults=1, doubled=None)
    assert experiment.duplicated > 0, "nothing came twice, so nothing was shown"


def received(site) -> int:
    return min(account["received"] for account in site.accounts())
