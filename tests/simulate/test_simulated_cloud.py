"""The stand-in for the Camlytics cloud keeps the vendor's rules, and says what happened."""

import hashlib
import hmac
import http.client
import io
import json
import ssl

import pytest
from click.testing import CliRunner

from gateway.commands import main
from gateway.simulate.camlytics_cloud import Cloud, Gate, Place, Says, Webhooks, World
from gateway.simulate.ledger import Ledger
from gateway.simulate.receiver.listening import Listening

_NOON = 1_777_982_400.0
_SECRET = "ehsd7485746548574"


class Hands:
    def __init__(self) -> None:
        self.at = _NOON

    def now(self) -> float:
        return self.at


def made(hands: Hands, **how) -> Cloud:
    gate = Gate({"public": _SECRET, "other": _SECRET}, **how.pop("gate", {}))
    return Cloud(World(hands, **{"earlier_s": 3600.0, **how}), gate)


def ask(cloud: Cloud, target: str, *, key: str = "public", sign: str | None = None) -> tuple[int, dict, dict]:
    right = hmac.new(_SECRET.encode(), target.encode(), hashlib.sha512).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=5)
    connection.request("GET", target, headers={"X-Key": key, "X-Sign": right if sign is None else sign})
    answer = connection.getresponse()
    read = (
        answer.status,
        json.loads(answer.read()),
        {name.lower(): text for name, text in answer.getheaders()},
    )
    connection.close()
    return read


def path(method: str, nonce: int, more: str = "") -> str:
    return f"/service/api/v1/{method}?location_id=101&nonce={nonce}{more}"


def test_all_seven_methods_answer_as_the_document_shows():
    """Each method gives the envelope and the fields of the vendor's examples."""
    fields = {
        "channels": {"name", "paid", "active", "id", "location_id"},
        "locations": {"name", "id", "version", "timezone_offset", "hash"},
        "triggers": {"name", "active", "id", "type", "channel_id", "location_id"},
        "events": {
            *("record_id", "event_type", "snapshot_id", "trigger_id", "origin", "suborigin", "age_range", "gender"),
            *("id", "channel_id", "object_id", "location_id", "event_time"),
        },
        "totals/triggers": {"trigger_name", "trigger_id", "count", "channel_id", "location_id"},
        "totals/types": {"count", "type", "channel_id"},
        "histograms": {
            *("trigger_id", "id", "channel_id", "counting_data", "location_id", "lifetime_data", "histogram_time"),
        },
    }  # fmt: skip
    hands = Hands()
    with made(hands) as cloud:
        for nonce, (method, names) in enumerate(fields.items(), 1):
            hands.at += 2
            status, body, headers = ask(cloud, path(method, nonce))
            assert (200, 0, "success") == (status, body["code"], body["msg"]), method
            assert body["result"], method
            assert names == set(body["result"][0]), method
            assert "date" in headers


def test_the_rules_are_enforced():
    """A wrong key, signature, nonce or haste is refused, each in its own way."""
    hands = Hands()
    with made(hands) as cloud:
        assert ask(cloud, path("events", 1), key="nobody")[0] == 401
        assert ask(cloud, path("events", 1), sign="0" * 128)[0] == 403
        assert ask(cloud, path("events", 5))[1]["code"] == 0
        status, _, headers = ask(cloud, path("events", 6))
        assert (429, "1") == (status, headers["retry-after"])
        assert ask(cloud, path("events", 1), key="other")[1]["code"] == 0, "each key has a limit of its own"
        hands.at += 1.0
        assert "Nonce" in ask(cloud, path("events", 5))[1]["msg"]
        hands.at += 1.0
        assert ask(cloud, path("events", 2**31))[0] == 400
        hands.at += 1.0
        assert ask(cloud, path("events", 7))[1]["code"] == 0
        assert ask(cloud, "/elsewhere")[0] == 404
        assert (1, 4) == (cloud.gate.throttled, cloud.gate.refused)


def test_what_is_late_is_not_there_before_it_arrived():
    """A record of a location without network appears when the network is back, with its own time."""
    hands = Hands()
    place = Place(id=101, offline=((_NOON - 1000, 2000.0),))
    cloud = made(hands, places=(place,))
    cloud.world.catch_up()
    assert all(record.at < _NOON - 990 for record in cloud.world.arrivals)
    before = len(cloud.world.arrivals)
    hands.at += 1200
    cloud.world.catch_up()
    late = [one for one in cloud.world.arrivals[before:] if one.at < _NOON]
    assert len(late) > 50
    assert all(record.arrives >= _NOON + 1000 for record in late)


def test_one_seed_makes_one_day():
    """The same seed gives the same records, another seed gives others."""
    worlds = [World(Hands(), earlier_s=1800.0, seed=seed) for seed in (4, 4, 5)]
    for world in worlds:
        world.catch_up()
    one, same, other = (world.arrivals for world in worlds)
    assert one == same != other


def test_the_ledger_survives_its_file():
    """What was written is what is read back, with the same totals."""
    world = World(Hands(), earlier_s=1800.0)
    world.catch_up()
    text = io.StringIO()
    world.ledger.dump(text)
    read = Ledger.load(text.getvalue().splitlines())
    zone = world.zone
    assert world.ledger.totals(zone) == read.totals(zone)
    assert sum(amount for (_, _, name), amount in read.totals(zone).items() if name == "enters") > 50


def test_trouble_comes_on_demand():
    """What is scripted comes next, and only then."""
    hands = Hands()
    with made(hands) as cloud:
        cloud.script.append(Says(code=17, msg="Database is away"))
        status, body, _ = ask(cloud, path("events", 1))
        assert (200, 17) == (status, body["code"])
        hands.at += 1
        assert ask(cloud, path("events", 2))[1]["code"] == 0


async def test_webhooks_push_each_record_once(tmp_path, anyio_backend):
    """Everything new goes out once as arrays, without ids and without an offset; a refusal is counted."""
    bodies, statuses = [], [200, 500]

    async def serve(reader, writer):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            bodies.append(json.loads(await reader.readexactly(length)))
            status = statuses.pop(0) if statuses else 200
            writer.write(f"HTTP/1.1 {status} OK\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()
            assert "x-secret: yes" in head

    listening = Listening(serve, 0, None)
    hands = Hands()
    world = World(hands, earlier_s=900.0)
    webhooks = Webhooks(world, f"http://127.0.0.1:{listening.port}/", {"X-Secret": "yes"})
    await webhooks.push()
    await webhooks.push()
    await webhooks.close()
    listening.end()
    items = [item for body in bodies for item in body]
    assert len(items) == len(world.arrivals) == webhooks.pushed + webhooks.refused
    assert webhooks.refused == len(bodies[1])
    assert all(item["id"] is None and "T" not in item["event_time"] for item in items)


def test_it_speaks_tls(tmp_path):
    """With a folder it makes a certificate, which a client can trust."""
    with Cloud(World(Hands()), Gate({}), directory=tmp_path) as cloud:
        context = ssl.create_default_context(cafile=str(cloud.ca_file))
        connection = http.client.HTTPSConnection("127.0.0.1", cloud.port, timeout=5, context=context)
        connection.request("GET", path("events", 1))
        assert connection.getresponse().status == 401
        connection.close()


@pytest.mark.parametrize("words", [["--json"], []])
def test_the_command_runs_and_tells(words, tmp_path):
    """`gateway simulate camlytics-cloud` listens, ends, writes its ledger and says what happened."""
    ledger = tmp_path / "ledger.jsonl"
    given = ["simulate", "camlytics-cloud", "--port", "0", "--minutes", "0.002", "--ledger", str(ledger)]
    done = CliRunner().invoke(main, [*given, *words])
    assert done.exit_code == 0, done.output
    assert '"records"' in done.output if words else "records in the cloud" in done.output
    assert len(ledger.read_text().splitlines()) > 100
