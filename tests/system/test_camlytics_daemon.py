"""The whole daemon against a made-up Camlytics PC: killed in the middle of a backlog, and by webhook."""

import asyncio
import json
import urllib.request

import pytest
from camlytics_pc import add, pc_of, read, section, until

from gateway.simulate.camlytics import Camlytics, Webhooks
from gateway.simulate.camlytics.pc import CANARY
from gateway.simulate.ledger import Ledger


def test_a_kill_in_the_middle_of_a_backlog_loses_and_doubles_nothing(site):
    """Two PCs with thousands of events, the daemon killed twice while it reads: the far ends have each once."""
    ledger = Ledger()
    pcs = [pc_of("hall", ledger, seconds=1800), pc_of("annex", ledger, seconds=900)]
    servers = [Camlytics(pc).start() for pc in pcs]
    try:
        for server in servers:
            add(site, section(server.pc.name, server.url, "limit = 50", "wait_s = 0", "period_s = 0.1"))
        site.daemon.start()
        for share in (0.2, 0.6):
            until(lambda share=share: read(pcs[0]) >= share * len(pcs[0].stored) > 0, "nothing is read")
            site.daemon.kill()
            site.daemon.start()
        until(lambda: all(pc.unread == 0 for pc in pcs), site.daemon.tail())
        pcs[0].reinstall()
        pcs[0].clock.at += 120
        site.daemon.stop()
        site.daemon.start()
        until(lambda: pcs[0].stored and pcs[0].unread == 0, site.daemon.tail())
        site.settle()
        site.judge(ledger)
        assert CANARY.encode() not in b"".join(
            path.read_bytes() for path in site.directory.rglob("*") if path.is_file()
        )
    finally:
        for server in servers:
            server.stop()


@pytest.mark.parametrize("kind", ["immediate", "hourly"])
def test_webhooks_reach_the_far_ends_once(site, kind):
    """What a PC sends by itself is answered within its five seconds and arrives as the ledger has it."""
    ledger = Ledger()
    mode = {"immediate": "webhook", "hourly": "hourly"}[kind]
    # An aggregate has no origins and counts vehicles too, so here the crowd decides alone.
    pc = pc_of("hall", ledger, seconds=120 if kind == "immediate" else 7200, per_event=kind == "immediate")
    add(site, section("hall", "http://127.0.0.1:48462", f'mode = "{mode}"'))
    site.daemon.start()
    hooks = Webhooks(pc, site.url, kind)

    async def send() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(hooks.run(stop))
        for _ in range(3):
            await asyncio.sleep(0.3)
            pc.clock.at += 60 if kind == "immediate" else 1800
        for _ in range(100):
            await asyncio.sleep(0.05)
            if all(one.statement.sent for one in pc.stored) or kind == "hourly":
                break
        await asyncio.sleep(0.3)
        stop.set()
        await running

    asyncio.run(send())
    assert hooks.taken > 0
    assert hooks.lost == 0
    site.settle()
    site.judge(ledger)


def test_a_webhook_beside_the_poll_is_answered_and_shown_and_not_counted(site):
    """Both ways at once: the PC gets its 2xx, nobody is counted twice, and the status says what to switch off."""
    ledger = Ledger()
    pc = pc_of("hall", ledger, seconds=60)
    with Camlytics(pc) as server:
        add(site, section("hall", server.url, "wait_s = 0", "period_s = 0.1"))
        site.daemon.start()
        until(lambda: pc.stored and pc.unread == 0, site.daemon.tail())
        body = {"channel_id": "c", "event_type": "TripwireCrossed", "event_time": "2026-06-17T10:00:00Z"}
        request = urllib.request.Request(site.url, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert 200 == answer.status
        status = json.loads(site.daemon.asked("status", "--json").stdout)
        said = [fault for fault in status["faults"] if fault["code"] == "camlytics_two_ways"]
        assert 'mode = "poll" is configured' in said[0]["sentence"]
        site.settle()
        site.judge(ledger)
