"""What simulated face terminals put on the wire, read with nothing but the field tables."""

import base64
import json

import pytest
from collector import Collector, http

from gateway.errors import GatewayError
from gateway.simulate.clock import Clock
from gateway.simulate.device import Line
from gateway.simulate.terminal import Terminal
from gateway.simulate.terminal_json import FIRMWARES, Firmware

pytestmark = pytest.mark.anyio

START = 1_761_991_200
SMALL = 120


async def pushed(firmware=None, *, duration_s=7200, answer=None, line=None, **options):
    """Run a terminal on a stepping clock; give its requests and the terminal."""
    async with Collector(*([answer] if answer else [])) as server:
        device = Terminal(
            server.url,
            serial="SIM7",
            firmware=firmware or Firmware(picture_bytes=SMALL),
            clock=Clock(start=START, speed=0),
            line=line,
            **options,
        )
        await device.run(duration_s=duration_s)
    return server.requests, device


def records(requests):
    return [body["data"] for body in (json.loads(request.body) for request in requests) if body["type"] == 0]


def alarms(requests):
    return [body["data"] for body in (json.loads(request.body) for request in requests) if body["type"] == 1]


async def test_records_tell_of_all_sorts_of_people():
    """Two hours bring employees, visitors and strangers; strangers have no name and no type, or no user."""
    requests, _ = await pushed()
    said = records(requests)
    assert {1, 2, 3} <= {record["recognitionType"] for record in said}
    strangers = [record["user"] for record in said if record["recognitionType"] == 3]
    assert None in strangers
    assert {"name": None, "type": None, "user_id": "", "groups": []} in strangers
    assert not any(record["pass"] for record in said if record["recognitionType"] == 3)
    assert any(record["abnormal_type"] and not record["pass"] for record in said)
    assert len(said) == len({record["uuid"] for record in said})


async def test_the_ledger_has_every_record_and_alarm_once():
    """What was pushed and what the ledger holds are the same records and alarm steps, with the same result."""
    requests, device = await pushed(alarms_per_hour=10)
    truth = {key: one.truth for key, one in device.ledger.obligations().items()}
    expected = {
        ("access", record["uuid"]): ("allowed" if record["pass"] else "denied", record["timestamp"] * 1000)
        for record in records(requests)
    }
    assert expected == {
        key: (said["result"], said["time_ms"]) for key, said in truth.items() if key[0] == "access"
    }
    states = {1: "raised", 2: "clear_failed", 3: "cleared"}
    steps = {("alarm", one["trace_id"], states[one["status"]]): one["event_time"] for one in alarms(requests)}
    assert steps == {key: said["time_ms"] for key, said in truth.items() if key[0] == "alarm"}


async def test_alarms_are_raised_and_then_cleared():
    """Each alarm starts with status 1 and a code; later steps have no code; some clearing fails first."""
    requests, _ = await pushed(alarms_per_hour=20, duration_s=36_000)
    lives = {}
    for step in alarms(requests):
        assert ("code" in step) == (step["status"] == 1)
        assert 13 == len(str(step["event_time"]))
        lives.setdefault(step["trace_id"], []).append(step["status"])
    whole = list(lives.values())[:-1]
    assert {(1, 3), (1, 2, 3)} == {tuple(life) for life in whole}


@pytest.mark.parametrize("version", FIRMWARES)
async def test_each_firmware_writes_its_own_fields(version):
    """Fields, types and headers of a push are those of the firmware's interface guide."""
    requests, _ = await pushed(Firmware(version=version, picture_bytes=SMALL), alarms_per_hour=30)
    one = next(record for record in records(requests) if record["user"] and record["user"]["name"])
    modern = version >= "1.2.1"
    assert modern == ("uuid" in one)
    assert (str if modern else int) is type(one["user"]["user_id"])
    assert modern == (requests[0].headers.get("sn") == "SIM7")
    assert (version >= "1.1.0") == ("content-type" in requests[0].headers)
    assert (version >= "1.1.0") == ("recognitionType" in one)
    assert (version >= "1.3.0") == ("entry_mode" in one) == ("pin" in one["user"]) == bool(alarms(requests))


async def test_records_without_uuid_never_share_a_second():
    """Old firmware tells at most one record per second, so that each can be told from the next."""
    requests, device = await pushed(Firmware(version="0.0.8", picture_bytes=0), rate=120, duration_s=600)
    stamps = [record["timestamp"] for record in records(requests)]
    assert len(stamps) == len(set(stamps)) == len(device.ledger.facts) > 500


async def test_a_trailing_comma_is_the_only_fault():
    """With the comma a strict reader refuses the body; without it the body is the plain one."""
    plain, _ = await pushed(Firmware(picture_bytes=SMALL), alarms_per_hour=10)
    odd, _ = await pushed(Firmware(picture_bytes=SMALL, trailing_comma=True), alarms_per_hour=10)
    assert len(plain) == len(odd) > 0
    for one, other in zip(plain, odd, strict=True):
        with pytest.raises(json.JSONDecodeError):
            json.loads(other.body)
        assert json.loads(one.body) == json.loads(other.body.replace(b",\n}\n}", b"}}"))


@pytest.mark.parametrize("size", [0, 1, 300, 45_000])
async def test_pictures_have_the_size_that_was_asked_for(size):
    """A picture is base64 of a JPEG frame of about that size; at size zero it is one space."""
    requests, _ = await pushed(Firmware(picture_bytes=size), duration_s=60)
    picture = records(requests)[0]["rgb_image"]
    if size == 0:
        assert " " == picture
        return
    raw = base64.b64decode(picture, validate=True)
    assert (b"\xff\xd8\xff", b"\xff\xd9") == (raw[:3], raw[-2:])
    assert max(size, 21) - 3 <= len(raw) <= max(size, 21) + 3


async def test_a_record_comes_again_with_the_same_picture():
    """A resend repeats the record byte for byte, picture included, although bodies are made when sent."""
    requests, _ = await pushed(line=Line(resend=0.5), duration_s=600)
    bodies = {}
    for request in requests:
        bodies.setdefault(json.loads(request.body)["data"]["uuid"], set()).add(request.body)
    assert len(requests) > len(bodies)
    assert {1} == {len(some) for some in bodies.values()}


async def test_canaries_stand_in_every_personal_field():
    """Every canary that the firmware names is found in the bodies, the picture's too."""
    firmware = Firmware(picture_bytes=SMALL, canary="CANARY4711")
    requests, _ = await pushed(firmware)
    everything = b"".join(request.body for request in requests)
    assert 9 == len(firmware.canaries())
    assert [] == [text for text in firmware.canaries() if text.encode() not in everything]
    base64.b64decode(records(requests)[0]["rgb_image"], validate=True)


async def test_a_reply_that_opens_doors_is_noticed():
    """A success whose body speaks of passing is counted, because a terminal in another mode would open."""
    reply = http(200, b'{"code":200,"message":"success","data":{"pass":true}}')
    _, device = await pushed(answer=lambda _: reply, duration_s=600)
    assert device.figures.acknowledged == device.doors_opened > 0
    _, device = await pushed(duration_s=600)
    assert 0 == device.doors_opened


async def test_fifty_thousand_records_survive_an_outage():
    """A terminal that was offline for longer keeps the newest 50,000 records and sends them oldest first."""
    async with Collector() as server:
        device = Terminal(
            server.url,
            serial="SIM7",
            firmware=Firmware(picture_bytes=0),
            rate=600,
            alarms_per_hour=0,
            clock=Clock(start=START, speed=0),
            line=Line(spells=((0, 50_200),)),
        )
        ledger = await device.run(duration_s=50_100, linger_s=0.5)
    sent, dropped = device.figures.acknowledged, device.figures.dropped
    assert 50_000 == device.waiting + sent == device.figures.made - dropped
    assert len(server.requests) == sent > 50 < dropped
    assert list(ledger.obligations()) == list(ledger.facts)[dropped : dropped + sent]


def test_an_unknown_firmware_is_refused():
    """A firmware that nobody made is refused with the list of those that exist."""
    with pytest.raises(GatewayError, match=r"1\.2\.1"):
        Terminal("http://127.0.0.1/", serial="x", firmware=Firmware(version="9"))
