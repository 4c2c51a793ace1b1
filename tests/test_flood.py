"""Ten thousand invented serial numbers, at the front door and without the network: everything that could grow has an end."""

import asyncio
import gc
import json
from types import SimpleNamespace

import pytest
from keeping import NOON, count, counter, opened, rows

from gateway.faults import Faults
from gateway.guard import Request
from gateway.intake import Intake, Policy
from gateway.outbox import Letter, Outbox, Rules
from gateway.receiver import Receiver, Reception
from gateway.source import Post, Reading, Reply
from gateway.sources import registry

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """The daemon thins these lines out; here nobody does, and writing ten thousand takes longer than the rest."""
    silent = SimpleNamespace(warning=lambda *_, **__: None)
    monkeypatch.setattr("gateway.receiver.receiver.log", silent)


START = 1_761_991_200
RULES = Rules(max_devices=300, per_address=50, held_devices=60)
LONG = "x" * 1_000


def request(serial: str, address: str, minute: int = 0) -> Request:
    """A minute of a counter, with texts about itself that are as long as it likes."""
    start = START + 60 * minute
    body = (
        f'<RTMetrics SiteName="{LONG}" DeviceId="{LONG}{serial}"><Properties><TransmitTime>{start + 59}</TransmitTime>'
        f"<SerialNumber>{serial}</SerialNumber><SwRelease>{LONG}</SwRelease></Properties>"
        '<ReportData Interval="1"><Report Date="2025-11-01"><Object Id="0" ObjectType="0" Name="count">'
        f'<Count StartTime="18:00:00" EndTime="18:01:00" UnixStartTime="{start}" Enters="1" Exits="0"/>'
        "</Object></Report></ReportData></RTMetrics>"
    )
    return Request("POST", f"/{LONG}", "", {}, body.encode(), address)


def front_door(outbox: Outbox, faults: Faults) -> Receiver:
    reception = Reception(sources=registry(), gateway_id="gw")
    return Receiver(outbox, Intake(outbox, Policy()), reception, faults)


async def flood(receiver: Receiver, first: int, last: int) -> int:
    """Push as so many devices from eight addresses, fifty at a time; give how many were taken."""
    taken = 0
    for start in range(first, last, 50):
        answers = await asyncio.gather(
            *(
                receiver.handle(request(f"f{number}", f"10.0.0.{number % 8}"))
                for number in range(start, min(start + 50, last))
            )
        )
        taken += sum(answer.status == 200 for answer in answers)
    return taken


async def test_ten_thousand_invented_devices_leave_no_more_than_the_first_thousand(tmp_path):
    """Rows, caches and faults stop growing at their bounds; a real device counts on and a new one gets in."""
    faults = Faults()
    async with opened(tmp_path, admission=RULES) as outbox:
        receiver = front_door(outbox, faults)
        assert 200 == (await receiver.handle(request("real", "10.0.9.1"))).status
        taken = await flood(receiver, 0, 1_000)
        gc.collect()
        before, pages = len(gc.get_objects()), outbox.room.look().used
        for minute in range(1, 91):
            taken += await flood(receiver, 1_000 + 100 * (minute - 1), 1_000 + 100 * minute)
            assert 200 == (await receiver.handle(request("real", "10.0.9.1", minute))).status
        gc.collect()
        grown = len(gc.get_objects()) - before
        assert 200 == (await receiver.handle(request("new", "10.0.9.2"))).status
        used = outbox.room.look().used - pages
        assert 10_091 == receiver.counters.posts - 1
        assert taken <= 8 * 50 + 60
        caches = (receiver.senders, outbox._book._pages)
        assert [] == [len(cache) for cache in caches if len(cache) > 8 * 50 + 2]
        decided = outbox._admission.decided
        assert (len(decided.by_itself), len(decided.waiting)) <= (300, 60)
    assert len(faults) < 100
    assert grown < 5_000
    assert used < 2**18
    bounds = {"devices": 302, "verdicts": 302, "held": 60, "tallies": 2 * 302, "letters": 0}
    counted = {table: rows(tmp_path, f"SELECT count(*) FROM {table}")[0][0] for table in bounds}
    assert [] == [table for table, most in bounds.items() if counted[table] > most], counted
    enters = "SELECT sum(amount) FROM tallies WHERE measure = 'enters' AND device = ?"
    assert [(91,), (1,)] == rows(tmp_path, enters, "counter-real") + rows(tmp_path, enters, "counter-new")


async def test_a_page_of_the_book_is_small_whatever_a_device_says(tmp_path):
    """Texts about itself and its path are cut in the book, whatever its source lets through."""
    texts = dict.fromkeys(("serial", "label", "site", "firmware", "hardware"), LONG)
    async with opened(tmp_path) as outbox:
        await outbox.append([count(device=counter(**texts))], NOON, f"/{LONG}")
    (found,) = rows(tmp_path, f"SELECT {', '.join(texts)}, path FROM devices")
    assert [256] * 6 == [len(text) for text in found]


async def test_a_large_newest_fact_is_cut_to_what_a_state_shows(tmp_path):
    """Lists and long texts of it stay in the log; the page keeps numbers and the beginnings of texts."""
    event = count(0, 7, extra={str(number): "y" * 100 for number in range(100)}, note="z" * 5_000)
    async with opened(tmp_path) as outbox:
        await outbox.append([event], NOON)
    ((shown, body),) = rows(tmp_path, "SELECT newest_data, body FROM devices, events")
    assert {"view": "total", "enters": 7, "exits": 0, "note": "z" * 256} == json.loads(shown)
    assert 5_000 == len(json.loads(body)["data"]["note"])


async def test_what_the_notices_of_strangers_say_is_not_told(tmp_path):
    """A crowd with wrong clocks does not push the fault of a real device out of the list."""
    faults = Faults()
    async with opened(tmp_path, admission=Rules(hold=True, per_address=100, held_devices=1_000)) as outbox:
        receiver = front_door(outbox, faults)
        old = request("f1", "10.0.0.1", -24_000_000)  # its clock stands decades ago
        assert 200 == (await receiver.handle(old)).status
        assert [] == [fault.code for fault in faults]
        await outbox.desk.decide(lambda desk: desk.adopt("counter-f1"))
        await outbox.desk.settle(lambda event: event)
        await receiver.handle(request("f1", "10.0.0.1", -24_000_001))
        assert ["clock_not_set"] == [fault.code for fault in faults if fault.subject == "counter-f1"]


async def test_an_empty_push_of_nobody_makes_no_device(tmp_path):
    """`<Metrics/>` from anywhere is kept as a letter and accepted, and no counter at that address appears."""
    faults = Faults()
    async with opened(tmp_path) as outbox:
        receiver = front_door(outbox, faults)
        told = await receiver.handle(Request("POST", "/", "", {}, b"<Metrics/>", "10.0.0.1"))
        assert 200 == told.status
    assert [("parse",)] == rows(tmp_path, "SELECT stage FROM letters")
    assert [] == rows(tmp_path, "SELECT id FROM devices")


class Told:
    """A source that reads every body as one minute of one device."""

    name, family, max_body_bytes = "told", "counter", 1_000

    def __init__(self, *, configured: bool) -> None:
        self.configured = configured

    def recognises(self, _post: Post) -> bool:
        return True

    def parse(self, _post: Post) -> Reading:
        return Reading((count(),), configured=self.configured)

    def accepted(self, _post: Post) -> Reply:
        return Reply(200)

    def refused(self, _post: Post) -> Reply:
        return Reply(503)


@pytest.mark.parametrize(
    ("configured", "vouched", "expected"), [(False, False, 0), (True, False, 1), (False, True, 1)]
)
async def test_what_the_configuration_names_never_waits(tmp_path, configured, vouched, expected):
    """A webhook of a configured system, and a callback with the right header, go straight into the log."""
    async with opened(tmp_path, admission=Rules(hold=True)) as outbox:
        receiver = front_door(outbox, Faults())
        receiver.vouched = vouched
        receiver.reception = Reception(sources=(Told(configured=configured),), gateway_id="gw")
        assert 200 == (await receiver.handle(Request("POST", "/", "", {}, b"x", "10.0.0.1"))).status
        assert (expected, 1 - expected) == (outbox.received, outbox.desk.lobby.events)


async def test_a_letter_that_is_read_again_does_not_get_past_the_door(tmp_path):
    """What a stranger's unreadable push becomes after an update is held like any other word of the stranger."""
    async with opened(tmp_path, admission=Rules(hold=True)) as outbox:
        receiver = front_door(outbox, Faults())
        letter = Letter(
            1, "parse", "", "10.0.0.1", "", 0, retry=False, head={}, body=request("1", "10.0.0.1").body
        )
        assert await receiver.read_again(letter) is None
        assert (0, 1) == (outbox.received, outbox.desk.lobby.events)
