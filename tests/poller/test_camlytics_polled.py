"""Camlytics on the LAN, asked over a real socket and kept in a real store."""

import json
from datetime import timedelta

import pytest
from camlytics_site import LISBON, HandClock, expected, people, poll, polled
from keeping import rows

from gateway import clock
from gateway.outbox import rfc3339
from gateway.simulate.camlytics import Camlytics, Pc, Says
from gateway.simulate.camlytics.pc import CANARY
from gateway.simulate.ledger import Ledger, compare

pytestmark = pytest.mark.anyio

MORNING = 1_781_690_400.0  # 2026-06-17 10:00 UTC


def made(name="hall", *, rate=8.0, seconds=900, ledger=None, **more):
    return Pc(
        HandClock(MORNING),
        name=name,
        rate=rate,
        start=MORNING - seconds,
        zone=LISBON,
        ledger=ledger or Ledger(),
        **more,
    )


@pytest.fixture
def shifted():
    """Give the gateway a clock that a test can set ahead."""
    ahead = Shifted()
    before = clock.use(ahead)
    yield ahead
    clock.use(before)


class Shifted(clock.SystemClock):
    by_s = 0.0

    def now(self):
        return super().now() + timedelta(seconds=self.by_s)


async def all_read(site, *pcs):
    await site.until(
        lambda: all(pc.stored and pc.unread == 0 for pc in pcs), "not everything of the PC is read"
    )


async def test_everything_that_a_pc_has_stored_is_counted_once(tmp_path):
    """A backlog of many pages is read to its end, and the tallies are those of the people who walked."""
    pc = made()
    with Camlytics(pc) as server:
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await all_read(site, pc)
            assert len(pc.stored) > 300
            assert people(expected(pc)) == people(site.people())
            assert len(pc.stored) == len(site.events())
            assert {"camlytics_rules"} == site.codes()
            assert site.poller.standings()["camlytics.hall"].answers is True


async def test_two_pcs_are_polled_at_once(tmp_path):
    """Two instances share nothing: each has its own place, its own devices and its own people."""
    hall, annex = made("hall"), made("annex")
    with Camlytics(hall) as one, Camlytics(annex) as other:
        async with polled(tmp_path) as site:
            await site.put(poll(one), poll(other))
            await all_read(site, hall, annex)
            assert people(expected(hall) + expected(annex)) == people(site.people())
            names = {event["device"].split("-")[1] for event in site.events()}
            assert {"hall", "annex"} == names


async def test_a_pc_that_is_installed_anew_is_noticed_and_read(tmp_path, shifted):
    """The numbers begin again while it is asked: everything of both numberings is there once, and it is said."""
    pc = made()
    with Camlytics(pc) as server:
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await all_read(site, pc)
            before, count = expected(pc), len(pc.stored)
            server.stop()
            pc.reinstall()
            pc.clock.at += 600
            shifted.by_s = 600
            with server:
                await all_read(site, pc)
            assert people(before + expected(pc)) == people(site.people())
            assert count + len(pc.stored) == len(site.events())
            assert "numbered anew" in site.fault("camlytics_renumbered")


async def test_nothing_secret_of_the_pc_is_in_the_store(tmp_path):
    """Logins, passwords, streams and paths of the PC are in no file of the store, not even in a letter."""
    pc = made(seconds=300)
    with Camlytics(pc) as server:
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await site.until(lambda: server.answers["channels"] > 0, "the channels are not asked for")
            await all_read(site, pc)
            broken = dict(pc.stored[-1].row, event_id=10**6, time="?")
            server.script.append(Says(body=json.dumps([broken]).encode()))
            server.script.append(Says(body=f'{{"password": "{CANARY}"}}'.encode()))
            await site.until(lambda: rows(tmp_path, "SELECT 1 FROM letters"), "no letter is written")
            await site.until(lambda: not server.script, "the poll stands still")
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"hall camera 1" in written
    assert CANARY.encode() not in written


@pytest.mark.parametrize(
    ("says", "code", "words"),
    [
        (Says(body=b"<html>Router login</html>"), "poll_unreadable", "not JSON"),
        (Says(status=500), "poll_error", "500 Internal Server Error"),
        (Says(status=404), "poll_not_found", "404 Not Found to /v1/json/events"),
        (Says(status=503), "poll_busy", "503 Service Unavailable"),
        (Says(status=401), "poll_login", "401 Unauthorized"),
        (Says(status=302, location="http://192.0.2.1/"), "poll_redirect", "http://192.0.2.1/"),
        (Says(breaks=True), "poll_broken", "broke before the answer was whole"),
    ],
)
async def test_each_way_to_be_wrong_is_said_and_gone_when_it_works(tmp_path, says, code, words):
    """The fault names the endpoint and the step; nothing is lost, and it goes when the PC answers."""
    pc = made(seconds=120)
    with Camlytics(pc) as server:
        server.always = says
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await site.until(lambda: code in site.codes(), f"no {code}")
            assert server.url in site.fault(code)
            assert words in site.fault(code)
            assert site.poller.standings()["camlytics.hall"].answers is False
            server.always = None
            await all_read(site, pc)
            await site.until(lambda: code not in site.codes(), f"{code} stays")
            assert people(expected(pc)) == people(site.people())


async def test_a_pc_that_is_off_is_named_and_waited_for(tmp_path):
    """Nothing listens there: the fault says so; the PC is read when it is back."""
    pc = made(seconds=120)
    server = Camlytics(pc).start()
    server.stop()
    async with polled(tmp_path) as site:
        await site.put(poll(server))
        await site.until(lambda: "poll_refused" in site.codes(), "no fault")
        assert "nothing listens at this port" in site.fault("poll_refused")
        assert "that computer answers, but nothing listens at this port" in site.fault("poll_refused")
        with server:
            await all_read(site, pc)


async def test_html_for_a_week_is_one_letter(tmp_path):
    """An endpoint that answers HTML is asked again and again, and one answer is kept for a person."""
    with Camlytics(made()) as server:
        server.always = Says(body=b"<html>Router login</html>")
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await site.until(lambda: len(server.targets) >= 4, "it gives up", wait_s=20)
            ((sender, body),) = rows(tmp_path, "SELECT sender, body FROM letters")
            assert ("camlytics.hall", b"<html>Router login</html>") == (sender, body)


async def test_a_broken_record_is_one_letter_and_holds_nothing_up(tmp_path):
    """The record that cannot be read is kept for a person; those around it are counted, and the place moves on."""
    pc = made(seconds=60)
    with Camlytics(pc) as server:
        pc.advance()
        pc.stored[3].row["time"] = "?"
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await all_read(site, pc)
            asks = len(server.targets)
            await site.until(lambda: len(server.targets) > asks + 3, "it stands still")
            assert len(pc.stored) - 1 == len(site.events())
            assert [(1,)] == rows(tmp_path, "SELECT count(*) FROM letters")
            assert "time is not a date" in site.fault("records_unreadable")


async def test_a_slow_answer_is_waited_for_and_an_endless_one_is_not(tmp_path, monkeypatch):
    """An answer within its time is taken, however slow; one beyond it is a fault that says how long was waited."""
    monkeypatch.setattr("gateway.sources.camlytics.steps._MARGIN_S", 0.4)
    monkeypatch.setattr("gateway.sources.camlytics.steps._ERRAND_S", 0.4)
    pc = made(seconds=60)
    with Camlytics(pc) as server:
        server.script.append(Says(body=b"[]", delay_s=0.2))
        server.script.append(Says(body=b"[]", delay_s=30))
        server.script.append(Says(body=b"[]", delay_s=30))
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await site.until(lambda: "poll_timeout" in site.codes(), "no fault", wait_s=15)
            assert "no whole answer within" in site.fault("poll_timeout")
            await all_read(site, pc)


async def test_a_changed_instance_starts_anew_and_the_others_go_on(tmp_path):
    """A reload with a new rule drives that instance from its place, and does not touch its neighbour."""
    hall, annex = made("hall", seconds=120), made("annex", seconds=120)
    with Camlytics(hall) as one, Camlytics(annex) as other:
        async with polled(tmp_path) as site:
            await site.put(poll(one), poll(other))
            await all_read(site, hall, annex)
            neighbour = site.poller._driven["camlytics.annex"]
            await site.put(poll(one, limit=60), poll(other))
            assert neighbour is site.poller._driven["camlytics.annex"]
            hall.clock.at += 60
            await all_read(site, hall)
            assert len(hall.stored) + len(annex.stored) == len(site.events())
            await site.put(poll(other))
            assert ["camlytics.annex"] == list(site.poller.standings())
            assert not [fault for fault in site.faults if fault.subject == "camlytics.hall"]


async def test_the_ledger_of_the_pc_agrees_with_the_store(tmp_path):
    """Every event is there with its truth, and none that nobody made; the order of numbers is not that of time."""
    ledger = Ledger()
    pc = made(seconds=1800, ledger=ledger)
    with Camlytics(pc, inclusive=True) as server:
        async with polled(tmp_path) as site:
            await site.put(poll(server))
            await all_read(site, pc)
            verdict = compare(ledger, (_told(event) for event in site.events()))
    assert verdict.ok, f"{verdict}: {verdict.spurious[:2]} {verdict.wrong[:2]} {verdict.missing[:2]}"


def _told(event):
    return {**event, "time": rfc3339(event["time_ms"])}
