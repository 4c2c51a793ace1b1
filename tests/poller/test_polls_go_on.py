"""What one page or one far end can do: it holds up nothing behind it, loses nothing unsaid, and fills nothing."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from camlytics_site import LISBON, HandClock, poll, polled
from keeping import count, counter, rows
from scripted_polls import Scripted

from gateway.errors import StoreUnavailable, Unreadable
from gateway.event import event_id
from gateway.poller.shelf import Shelf
from gateway.simulate.camlytics import Camlytics, Pc, Says
from gateway.source import Answer, Aside, Page, Reading
from gateway.sources.camlytics.walltime import ms_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def server():
    with Camlytics(Pc(HandClock(0.0), rate=0)) as listening:
        listening.always = Says(body=b"[]", content_type="application/json")
        yield listening


def _gives(page):
    """Give a page once, and then nothing new."""
    return lambda _answer, cursor: (
        page if not cursor else Page(reading=Reading(()), cursor=cursor, save=False)
    )


def _moved(directory):
    return bool(rows(directory, "SELECT 1 FROM polls"))


async def test_an_event_on_which_the_gateway_fails_becomes_a_letter(tmp_path, server, monkeypatch):
    """A bug with one event of a page costs that event: the others are kept, and the place moves on."""
    events = tuple(count(minute) for minute in range(3))
    async with polled(tmp_path) as site:
        keep = site.poller._intake.keep

        async def failing(given, *args, **how):
            if any(event.id == events[1].id for event in given):
                raise ZeroDivisionError
            return await keep(given, *args, **how)

        monkeypatch.setattr(site.poller._intake, "keep", failing)
        await site.put(Scripted(server.url, reads=_gives(Page(reading=Reading(events), cursor={"at": 1}))))
        await site.until(lambda: _moved(tmp_path), "the place does not move")
        assert [events[0].id, events[2].id] == [event["id"] for event in site.events()]
        assert [("the gateway failed on it (ZeroDivisionError)",)] == rows(
            tmp_path, "SELECT reason FROM letters"
        )
        assert "records_unreadable" in site.codes()


async def test_all_records_that_could_not_be_read_are_in_letters(tmp_path, server):
    """Hundreds of broken records of one answer are few letters, and none of them is missing there."""
    asides = [
        Aside(reason="odd", body=json.dumps({"event_id": at, "x": "y" * 200}).encode()) for at in range(400)
    ]
    page = Page(reading=Reading(()), cursor={"at": 400}, aside=asides)
    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=_gives(page)))
        await site.until(lambda: _moved(tmp_path), "the place does not move")
    letters = [json.loads(body) for (body,) in rows(tmp_path, "SELECT body FROM letters ORDER BY number")]
    assert list(range(400)) == [one["event_id"] for letter in letters for one in letter]
    assert 2 <= len(letters) <= 5


async def test_what_is_in_no_letter_is_counted_in_the_words_of_one(tmp_path, server):
    """An answer with more broken records than are kept says in its first letter and in its fault how many there were."""
    asides = [Aside(reason="odd", body=b"[%d]" % at) for at in range(3)]
    page = Page(reading=Reading(()), cursor={"at": 1}, aside=asides, left_out=350)
    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=_gives(page)))
        await site.until(lambda: _moved(tmp_path), "the place does not move")
        assert "353 records of" in site.fault("records_unreadable")
    assert [("odd (and 2 more records) (and 350 that are in no letter)",)] == rows(
        tmp_path, "SELECT reason FROM letters"
    )


async def test_remembering_records_takes_time_by_their_number_only():
    """Two hundred thousand broken records of one answer cost a second and not a minute, and a thousand are remembered."""

    async def keep_letter(**_letter):
        pass

    shelf = Shelf(SimpleNamespace(keep_letter=keep_letter), "test.one", "test")
    asides = [Aside(reason="odd", body=b"%d" % at) for at in range(200_000)]
    answer = Answer(status=200, headers={}, body=b"", received_at=datetime.now(UTC))
    began = time.process_time()
    assert 200_000 == await shelf.records(answer, asides)
    assert time.process_time() - began < 8.0
    assert 0 == await shelf.records(answer, asides[-1_000:])
    assert 1_000 == await shelf.records(answer, asides[-2_000:-1_000])


async def test_a_page_of_many_events_is_kept_in_pieces_and_the_place_moves_with_the_last(
    tmp_path, server, monkeypatch
):
    """Others have their turn in between; what fails half-way leaves the place, and the second time nothing is twice."""
    monkeypatch.setattr("gateway.poller.loop._STORE_S", 0.01)
    monkeypatch.setattr("gateway.poller.loop._PIECE", 10)
    page = Page(reading=Reading(tuple(count(minute) for minute in range(35))), cursor={"at": 1})
    sizes, places, failures, others = [], [], [StoreUnavailable()], []
    async with polled(tmp_path) as site:
        keep = site.poller._intake.keep

        async def failing(given, *args, cursor=None, **how):
            sizes.append(len(given))
            places.append(cursor is not None)
            asyncio.get_running_loop().call_soon(others.append, len(sizes))
            if len(sizes) == 3 and failures:
                raise failures.pop()
            kept = await keep(given, *args, cursor=cursor, **how)
            assert _moved(tmp_path) == (cursor is not None)
            return kept

        monkeypatch.setattr(site.poller._intake, "keep", failing)
        await site.put(Scripted(server.url, reads=_gives(page)))
        await site.until(lambda: _moved(tmp_path), "the place does not move")
        assert [10, 10, 10, 10, 10, 10, 5] == sizes
        assert [False] * 6 + [True] == places
        assert [1, 2, 3, 4, 5, 6, 7] == others
        assert [count(minute).id for minute in range(35)] == [event["id"] for event in site.events()]
        await site.until(lambda: site.poller.standings()["test.one"].events == 35, "they are not counted")


async def test_all_that_was_read_and_is_not_taken_is_in_letters(tmp_path, server, monkeypatch):
    """Events that the store refuses are nowhere else: however many, none is left out of the letters."""

    async def refusing(given, *args, cursor=None, **how):
        if given:
            raise Unreadable("no more are taken up")
        return await keep(given, *args, cursor=cursor, **how)

    page = Page(reading=Reading(tuple(count(minute) for minute in range(70))), cursor={"at": 1})
    async with polled(tmp_path) as site:
        keep = site.poller._intake.keep
        monkeypatch.setattr(site.poller._intake, "keep", refusing)
        await site.put(Scripted(server.url, reads=_gives(page)))
        await site.until(lambda: _moved(tmp_path), "the place does not move")
    kept = b"".join(body for (body,) in rows(tmp_path, "SELECT body FROM letters"))
    assert all(count(minute).id.encode() in kept for minute in range(70))


async def test_a_system_cannot_invent_devices_without_end(tmp_path, server, monkeypatch):
    """Beyond the bound a new device is a letter and a fault; what known devices say is kept as before."""
    monkeypatch.setattr("gateway.intake.MOST_OF_A_SOURCE", 3)
    events = tuple(count(at, device=counter(f"counter-{at}")) for at in range(5))
    page = Page(reading=Reading((*events, count(9, device=counter("counter-1")))), cursor={"at": 1})
    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=_gives(page)))
        await site.until(lambda: _moved(tmp_path), "the place does not move")
        assert 4 == len(site.events())
        assert "records_unreadable" in site.codes()
    source = events[0].device.source
    assert [(3,)] == rows(tmp_path, "SELECT count(*) FROM devices WHERE source = ?", source)


async def test_a_poll_after_webhooks_begins_where_they_ended(tmp_path):
    """What the webhooks of a PC have counted, sums to the end of their hour, is not read and counted again."""
    morning = datetime(2026, 6, 17, 10, 0, tzinfo=UTC)
    pc = Pc(
        HandClock(morning.timestamp()), name="hall", rate=8.0, start=morning.timestamp() - 1800, zone=LISBON
    )
    channel = replace(counter("camlytics-hall-c1"), source="camlytics")
    until = datetime(2026, 6, 17, 9, 45, tzinfo=UTC)
    hourly = replace(count(0, device=channel), time=until.replace(minute=30), end=until)
    hourly = replace(hourly, id=event_id(channel.id, "sums", order=ms_of(hourly.time) // 1000))
    with Camlytics(pc) as server:
        async with polled(tmp_path) as site:
            await site.outbox.append([hourly], morning)
            await site.put(poll(server))
            await site.until(lambda: pc.stored and pc.unread == 0, "not everything of the PC is read")
            await site.until(lambda: len(site.events()) > 1, "nothing is kept")
            times = [event["time_ms"] for event in site.events()[1:]]
    assert ms_of(until) < min(times)
    assert min(times) < ms_of(until) + 300_000
