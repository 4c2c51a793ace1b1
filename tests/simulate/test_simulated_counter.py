"""What simulated counters put on the wire, read with nothing but the field tables."""

import re
from datetime import datetime, time
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from collector import Collector
from lxml import etree

from gateway.errors import GatewayError
from gateway.simulate.clock import Clock
from gateway.simulate.count_xml import DIALECTS, Identity
from gateway.simulate.counter import Counter

pytestmark = pytest.mark.anyio

SERIAL = "200000000000000001"
START = 1_761_991_200  # 2025-11-01T10:00:00Z
LIVE = [name for name, dialect in DIALECTS.items() if dialect.live_root]
MEASURES = ("Enters", "Exits", "Passings", "Returns")


async def pushed(*, start=START, duration_s=600, who=None, **options):
    """Run a counter on a stepping clock; give its bodies and its ledger."""
    async with Collector() as server:
        device = Counter(
            server.url, identity=who or Identity(serial=SERIAL), clock=Clock(start=start, speed=0), **options
        )
        ledger = await device.run(duration_s=duration_s)
    return [request.body for request in server.requests], ledger


def counts(body):
    """Give (object type, UnixStartTime, the four numbers) of every Count."""
    for thing in etree.fromstring(body).iter("Object"):
        for count in thing.iter("Count"):
            numbers = tuple(int(count.get(name)) for name in MEASURES if count.get(name) is not None)
            yield int(thing.get("ObjectType")), int(count.get("UnixStartTime") or 0), numbers


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_push_is_well_formed_and_names_its_device(dialect):
    """Every body of every dialect parses strictly and has the serial number."""
    mode = "real_time" if DIALECTS[dialect].live_root else "interval"
    bodies, _ = await pushed(dialect=dialect, mode=mode)
    assert bodies
    assert {SERIAL} == {etree.fromstring(body).findtext("Properties/SerialNumber") for body in bodies}


async def test_interval_mode_fills_empty_minutes_with_zeros():
    """Without any people, each minute is still pushed, with zeros, for total, adult and child."""
    bodies, ledger = await pushed(rate=0)
    said = [count for body in bodies for count in counts(body)]
    assert [(view, START + minute * 60, (0, 0, 0, 0)) for minute in range(9) for view in (0, 1, 2)] == said
    assert 27 == len(ledger.facts)


async def test_interval_pushes_hold_as_many_minutes_as_configured():
    """With a five-minute interval each push holds five windows, each minute once over all pushes."""
    bodies, _ = await pushed(interval_min=5, duration_s=1900)
    starts = [[start for view, start, _ in counts(body) if view == 0] for body in bodies]
    assert [5, 5, 5, 5, 5, 5] == [len(some) for some in starts]
    assert [START + minute * 60 for minute in range(30)] == [start for some in starts for start in some]
    assert {"5"} == {etree.fromstring(body).find("ReportData").get("Interval") for body in bodies}


async def test_an_unfinished_minute_is_shown_and_then_corrected():
    """The running minute at the end of a push comes again, whole, in the next one."""
    bodies, ledger = await pushed(unfinished=True, rate=40, duration_s=1200)
    shown = [{start: numbers for view, start, numbers in counts(body) if view == 0} for body in bodies]
    assert all(len(windows) == 2 for windows in shown)
    corrected = 0
    for before, after in pairwise(shown):
        (minute,) = before.keys() & after.keys()
        assert all(early <= late for early, late in zip(before[minute], after[minute], strict=True))
        corrected += before[minute] != after[minute]
    assert corrected
    key = ("count", SERIAL, "0", "total", "count", START + 60, START + 120)
    assert 2 == len(ledger.facts[key])


async def test_real_time_pushes_are_running_sums_of_their_minute():
    """Each push of a minute adds exactly one person to the one before, and the ledger ends with the last."""
    bodies, ledger = await pushed(mode="real_time", rate=20, duration_s=1800, heartbeat_s=None)
    before = {}
    for body in bodies:
        assert "RTMetrics" == etree.fromstring(body).tag
        for view, start, numbers in counts(body):
            if view == 0:
                assert sum(numbers) == sum(before.get((view, start), ())) + 1
            before[view, start] = numbers
    names = {0: "total", 1: "adult", 2: "child"}
    for (view, start), numbers in before.items():
        key = ("count", SERIAL, "0", names[view], "count", start, start + 60)
        assert numbers == tuple(ledger.obligations()[key].truth.values())
    for minute in {start for _, start in before}:
        parts = zip(before[1, minute], before[2, minute], strict=True)
        assert before[0, minute] == tuple(adult + child for adult, child in parts)


async def test_people_come_in_company():
    """Some different pushes of one minute carry the same TransmitTime, more than chance alone would make."""
    bodies, _ = await pushed(mode="real_time", rate=3, duration_s=36_000, heartbeat_s=None)
    stamps = [etree.fromstring(body).findtext("Properties/TransmitTime") for body in bodies]
    assert len(bodies) == len(set(bodies))
    assert len(set(stamps)) < 0.93 * len(stamps)


async def test_real_time_without_people_has_heartbeats_only():
    """An empty shop in real-time mode sends Diags about once a minute, to its own path, and no counts."""
    async with Collector() as server:
        device = Counter(
            server.url,
            identity=Identity(serial=SERIAL),
            mode="real_time",
            rate=0,
            heartbeat_path="/beat",
            clock=Clock(start=START, speed=0),
        )
        ledger = await device.run(duration_s=3600)
    assert 55 <= len(server.requests) <= 65
    assert {"/beat"} == {request.path for request in server.requests}
    assert {"Diags"} == {etree.fromstring(request.body).tag for request in server.requests}
    assert {"heartbeat"} == {key[0] for key in ledger.facts}


async def test_without_a_heartbeat_an_empty_shop_is_silent():
    """Real-time mode without heartbeat address and without people sends nothing at all."""
    bodies, _ = await pushed(mode="real_time", rate=0, heartbeat_s=None)
    assert [] == bodies


async def test_hx_pushes_closed_seconds():
    """HX V2.1 says Metrics with Interval 0, windows of one second, each once, and type 3 without Count."""
    bodies, _ = await pushed(dialect="hx-v2.1", mode="real_time", rate=20, heartbeat_s=None)
    seen = []
    for body in bodies:
        root = etree.fromstring(body)
        assert ("Metrics", "0") == (root.tag, root.find("ReportData").get("Interval"))
        assert root.findtext("Properties/MacAddress").islower()
        assert root.find("Properties/DST") is None
        (third,) = root.iterfind(".//Object[@ObjectType='3']")
        assert ["GenderCount", "AgeCount", "WorkCardCount"] == [child.tag for child in third]
        for child in root.iter("Count"):
            start, end = (time.fromisoformat(child.get(name)) for name in ("StartTime", "EndTime"))
            assert (end.second - start.second) % 60 == 1
        seen += [(view, start) for view, start, _ in counts(body)]
    assert len(seen) == len(set(seen)) > 100


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name.startswith("brickstream")])
async def test_brickstream_knows_no_passers_by(dialect):
    """Brickstream pushes have neither Passings nor Returns, and the ledger does not claim zeros for them."""
    bodies, ledger = await pushed(dialect=dialect)
    assert not any(b"Passings" in body or b"Returns" in body for body in bodies)
    assert {("enters", "exits")} == {tuple(one.truth) for one in ledger.obligations().values()}


async def test_brickstream_versions_differ_as_documented():
    """v1 has no transmit time and no Unix time; v2 to v5 have both; one site states Unix time zero."""
    first = {name: (await pushed(dialect=name))[0][0] for name in DIALECTS if name.startswith("brick")}
    assert all((b"TransmitTime" in body) == (name != "brickstream-v1") for name, body in first.items())
    assert all((b"UnixStartTime" in body) == (name != "brickstream-v1") for name, body in first.items())
    assert b'UnixStartTime="0"' in first["brickstream-zero"]
    assert b"EndTime =" in first["brickstream-zero"]
    assert b"<Version>5</Version>" in first["brickstream-v5"]


async def test_midnight_ends_the_day_it_belongs_to():
    """The last minute of a local day ends at 00:00:00 and stands under that day's date; the next has its own."""
    zone = ZoneInfo("America/New_York")
    start = int(datetime(2025, 11, 1, 23, 58, tzinfo=zone).timestamp())
    who = Identity(serial=SERIAL, zone=zone)
    bodies, _ = await pushed(start=start, who=who, interval_min=4, rate=0)
    reports = etree.fromstring(bodies[0]).findall(".//Report")
    assert ["2025-11-01", "2025-11-02"] == [report.get("Date") for report in reports]
    ends = [[count.get("EndTime") for count in report.iter("Count")][:2] for report in reports]
    assert [["23:59:00", "00:00:00"], ["00:01:00", "00:02:00"]] == ends


@pytest.mark.parametrize(("month", "expected"), [(1, ("0", "0")), (7, ("0", "1"))])
async def test_summer_time_is_declared_beside_the_zone(month, expected):
    """Lisbon declares Timezone 0 all year and DST 1 in summer only, and local times follow."""
    zone = ZoneInfo("Europe/Lisbon")
    start = int(datetime(2025, month, 5, 12, 0, tzinfo=zone).timestamp())
    bodies, _ = await pushed(start=start, who=Identity(serial=SERIAL, zone=zone))
    root = etree.fromstring(bodies[0])
    assert expected == (root.findtext("Properties/Timezone"), root.findtext("Properties/DST"))
    assert "12:00:00" == root.find(".//Count").get("StartTime")


async def test_typed_texts_arrive_unchanged():
    """Hostile names survive the XML exactly, and the Wi-Fi key is sent in clear as the device does."""
    name = "<b>\"Tür\" & '门'</b>"
    who = Identity(serial=SERIAL, device_name=name, site_name=name, wifi_password="k3y<&>")
    bodies, _ = await pushed(who=who)
    root = etree.fromstring(bodies[0])
    assert name == root.get("DeviceName") == root.get("SiteName") == root.find(".//Object").get("DeviceName")
    assert ("Wifi", "k3y<&>") == tuple(
        root.findtext(f"Properties/{tag}") for tag in ("ConnectionType", "WifiPassword")
    )


async def test_a_doubled_close_is_no_xml():
    """The oddity of a root that is closed twice is refused by a strict parser and is well formed without it."""
    bodies, _ = await pushed(double_close=True)
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(bodies[0])
    etree.fromstring(re.sub(rb"</Metrics>\s*$", b"", bodies[0]))


async def test_zones_are_objects_of_their_own():
    """With three zones, people are spread over three Object ids whose sums are everybody."""
    bodies, ledger = await pushed(zones=3, rate=30, child_mode=False)
    assert {"0", "1", "2"} == {
        thing.get("Id") for body in bodies for thing in etree.fromstring(body).iter("Object")
    }
    assert {"total"} == {key[3] for key in ledger.facts}


async def test_the_day_profile_empties_the_night():
    """With a profile whose weight is zero at this hour nobody comes, and with a weight of one somebody does."""
    for weight, expected in ((0, False), (1, True)):
        bodies, _ = await pushed(profile=[weight] * 24, rate=10)
        assert expected == any(sum(numbers) for body in bodies for _, _, numbers in counts(body))


def test_impossible_wishes_are_explained():
    """An unknown dialect, and a mode that the dialect does not have, are refused by name."""
    who = Identity(serial=SERIAL)
    with pytest.raises(GatewayError, match=r"v9.*hx-v2\.1"):
        Counter("http://127.0.0.1/", identity=who, dialect="v9")
    with pytest.raises(GatewayError, match="no real-time mode"):
        Counter("http://127.0.0.1/", identity=who, dialect="brickstream-v2", mode="real_time")


@pytest.mark.parametrize("dialect", LIVE)
async def test_live_dialects_have_an_interval_mode_too(dialect):
    """The same firmware in interval mode pushes whole minutes under Metrics."""
    bodies, _ = await pushed(dialect=dialect, mode="interval")
    assert {"Metrics"} == {etree.fromstring(body).tag for body in bodies}
