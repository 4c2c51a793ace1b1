"""The ledger against what the sources read: it must find every fault, and none where there is none."""

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from collector import Collector

from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import DIALECTS, Identity
from gateway.simulate.counter import Counter
from gateway.simulate.device import Line
from gateway.simulate.facts import count_key
from gateway.simulate.ledger import Ledger, compare
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import FIRMWARES, Firmware
from gateway.source import Post
from gateway.sources import registry

pytestmark = pytest.mark.anyio

START = 1_761_991_200
BAD = Line(resend=0.2, reorder=0.2, spells=((120, 300),), retry_s=0.01)
ZONE = ZoneInfo("Europe/Lisbon")


def read(requests):
    """Turn pushes into events as JSON, each (id, revision) once, as a gateway without faults would deliver them."""
    delivered = {}
    for request in requests:
        post = Post(
            method="POST",
            path=request.path,
            headers=request.headers,
            body=request.body,
            address="127.0.0.1",
            received_at=datetime.now(UTC),
        )
        source = next(source for source in registry() if source.recognises(post))
        for event in source.parse(post).events:
            revision = event.revision
            while (known := delivered.get((event.id, revision))) and known["data"] != event.data:
                revision += 1
            delivered.setdefault((event.id, revision), as_json(event, revision))
    return list(delivered.values())


def as_json(event, revision):
    stated = {"id": event.id, "revision": revision, "kind": str(event.kind), "device": event.device.id}
    stated |= {"time": event.time.isoformat(), "data": event.data, "late": False}
    return stated | ({"end": event.end.isoformat()} if event.end else {})


async def counted(dialect, line=None, *, seed=3):
    mode = "real_time" if DIALECTS[dialect].live_root else "interval"
    async with Collector() as server:
        device = Counter(
            server.url,
            identity=Identity(serial="200000000000000001", zone=ZONE),
            mode=mode,
            dialect=dialect,
            rate=12,
            seed=seed,
            clock=Clock(start=START, speed=0),
            line=line,
        )
        ledger = await device.run(duration_s=1200)
    return ledger, read(server.requests)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def minute_counts(anyio_backend):
    """The ledger and the deliveries of a real-time counter on a bad line."""
    return await counted("v1.0", BAD)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_counters_of_every_dialect_are_read_as_they_were_meant(dialect):
    """What the source reads on a line with resends, reordering and an outage agrees with the ledger."""
    ledger, events = await counted(dialect, BAD)
    verdict = compare(ledger, events)
    assert (True, []) == (verdict.ok, verdict.duplicates), (
        verdict.missing[:2],
        verdict.spurious[:2],
        verdict.wrong[:2],
    )
    assert len(ledger.obligations()) > 15


@pytest.mark.parametrize("version", FIRMWARES)
@pytest.mark.parametrize("comma", [False, True], ids=["plain", "comma"])
async def test_terminals_of_every_firmware_are_read_as_they_were_meant(version, comma):
    """What the source reads of records and alarms agrees with the ledger, trailing commas or not."""
    async with Collector() as server:
        device = Terminal(
            server.url,
            serial="SIM7",
            firmware=Firmware(version=version, picture_bytes=90, trailing_comma=comma),
            alarms_per_hour=20,
            clock=Clock(start=START, speed=0),
            line=BAD,
        )
        ledger = await device.run(duration_s=3600)
    verdict = compare(ledger, read(server.requests))
    assert (True, []) == (verdict.ok, verdict.duplicates), (
        verdict.missing[:2],
        verdict.spurious[:2],
        verdict.wrong[:2],
    )
    assert len(ledger.obligations()) > 100


async def test_a_doubled_close_is_repaired_to_the_same_numbers():
    """Pushes whose root is closed twice are read with the numbers that were meant."""
    async with Collector() as server:
        device = Counter(
            server.url,
            identity=Identity(serial="1234"),
            mode="real_time",
            dialect="hx-v2.1",
            double_close=True,
            clock=Clock(start=START, speed=0),
        )
        ledger = await device.run(duration_s=600)
    assert compare(ledger, read(server.requests)).ok


async def test_the_unfinished_minute_ends_with_its_correction():
    """Interval pushes that show the running minute are read with the corrected numbers in the end."""
    async with Collector() as server:
        device = Counter(
            server.url,
            identity=Identity(serial="1234"),
            unfinished=True,
            rate=40,
            clock=Clock(start=START, speed=0),
            line=Line(reorder=0.3),
        )
        ledger = await device.run(duration_s=1800)
    assert compare(ledger, read(server.requests)).ok


async def test_a_dropped_event_is_missing(minute_counts):
    """Taking away all revisions of one fact makes exactly that fact missing."""
    ledger, events = minute_counts
    gone = next(event for event in events if event["kind"] == "count")
    verdict = compare(ledger, [event for event in events if event["id"] != gone["id"]])
    assert ([], []) == (verdict.spurious, verdict.wrong)
    assert 1 == len(verdict.missing)


async def test_a_fact_that_ends_too_early_is_wrong(minute_counts):
    """Without its last revision a running minute ends with old numbers, which is wrong and not missing."""
    ledger, events = minute_counts
    counts = [event for event in events if event["kind"] == "count" and event["data"]["view"] == "total"]
    last = max(counts, key=lambda event: event["data"]["enters"] + event["data"]["exits"])
    newest = max(event["revision"] for event in counts if event["id"] == last["id"])
    cut = [event for event in events if (event["id"], event["revision"]) != (last["id"], newest)]
    verdict = compare(ledger, cut)
    assert ([], [], 1) == (verdict.missing, verdict.spurious, len(verdict.wrong))


async def test_order_of_arrival_does_not_matter(minute_counts):
    """Deliveries in reverse order give the same clean verdict, because revisions decide."""
    ledger, events = minute_counts
    assert compare(ledger, events[::-1]).ok


async def test_doubles_are_told_apart_from_conflicts(minute_counts):
    """The same event again is a duplicate; with another number it is wrong as well; `late` may differ."""
    ledger, events = minute_counts
    mark = (events[0]["id"], events[0]["revision"])
    verdict = compare(ledger, [*events, events[0] | {"late": True}])
    assert (True, [mark]) == (verdict.ok, verdict.duplicates)
    verdict = compare(ledger, [*events, events[0] | {"received_at": "2025"}])
    assert ([mark], 1) == (verdict.duplicates, len(verdict.wrong))


async def test_one_fact_under_two_ids_is_wrong(minute_counts):
    """A window that is delivered under a second id would be counted twice, and is found."""
    ledger, events = minute_counts
    verdict = compare(ledger, [*events, events[-1] | {"id": "other"}])
    assert 1 == len(verdict.wrong)
    assert "two ids" in verdict.wrong[0]


async def test_invented_facts_are_spurious(minute_counts):
    """A window, a device and a kind that no device stated are each spurious."""
    ledger, events = minute_counts
    count = next(event for event in events if event["kind"] == "count")
    invented = [
        count | {"id": "a", "time": "2020-01-01T00:00:00.000Z"},
        count | {"id": "b", "device": "counter-999"},
        count | {"id": "c", "kind": "weather"},
    ]
    assert 3 == len(compare(ledger, [*events, *invented]).spurious)


async def test_events_are_found_in_their_envelope(minute_counts):
    """CloudEvents around the same events give the same verdict."""
    ledger, events = minute_counts
    wrapped = [{"specversion": "1.0", "id": "x", "data": event} for event in events]
    verdict = compare(ledger, wrapped)
    assert (True, []) == (verdict.ok, verdict.duplicates)


async def test_a_ledger_survives_its_file(minute_counts):
    """A ledger that was written and read again judges alike, and has the same lines."""
    ledger, events = minute_counts
    file = io.StringIO()
    ledger.dump(file)
    again = Ledger.load(file.getvalue().splitlines())
    assert ledger.facts == again.facts
    assert compare(again, events).ok
    assert all(json.loads(line)["key"] for line in file.getvalue().splitlines())


def test_statements_in_flight_bind_nobody():
    """Sent and unacknowledged may have arrived or not; never sent must not; acknowledged must."""
    ledger = Ledger()
    key = count_key("77", "0", "total", "count", (START, START + 60))
    first, second, third = (ledger.state(key, {"enters": number}) for number in (1, 2, 3))
    first.sent = first.acknowledged = second.sent = True

    def delivered(enters):
        window = SimpleNamespace(
            start=datetime.fromtimestamp(START, UTC), end=datetime.fromtimestamp(START + 60, UTC)
        )
        data = {"object": "0", "view": "total", "name": "count", "enters": enters}
        times = {"time": window.start.isoformat(), "end": window.end.isoformat()}
        return {"id": "i", "revision": enters, "kind": "count", "device": "counter-77", "data": data, **times}

    assert compare(ledger, [delivered(1)]).ok
    assert compare(ledger, [delivered(1), delivered(2)]).ok
    assert not compare(ledger, [delivered(1), delivered(3)]).ok
    assert not compare(ledger, []).ok
    assert 1 == len(compare(ledger, [delivered(3) | {"revision": 0}, delivered(2)]).wrong)
    unsent = Ledger()
    unsent.state(key, {"enters": 1})
    assert 1 == len(compare(unsent, [delivered(1)]).spurious)
    third.sent = third.acknowledged = True
    assert not compare(ledger, [delivered(1), delivered(2)]).ok


def test_totals_sum_windows_by_local_day_and_never_views():
    """Totals add the newest acknowledged windows of a local day; adult and child have measures of their own."""
    ledger = Ledger()
    midnight = int(datetime(2025, 11, 2, tzinfo=ZONE).timestamp())
    for start, view, enters in ((midnight - 60, "total", 4), (midnight, "total", 2), (midnight, "adult", 1)):
        for number in range(enters + 1):  # running sums: only the last one counts
            statement = ledger.state(
                count_key("77", "0", view, "count", (start, start + 60)), {"enters": number}
            )
            statement.sent = statement.acknowledged = True
    days = {(day.isoformat(), measure): amount for (_, day, measure), amount in ledger.totals(ZONE).items()}
    assert {
        ("2025-11-01", "enters"): 4,
        ("2025-11-02", "enters"): 2,
        ("2025-11-02", "adult_enters"): 1,
    } == days
