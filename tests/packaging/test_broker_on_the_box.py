"""The listener of mosquitto that the package brings as an example: who comes in, and what a kill takes."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from brokers import Mosquitto, Subscriber, watch
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from gateway.errors import SinkUnavailable
from gateway.sink import Outgoing, State
from gateway.sinks.mqtt import MqttOptions, MqttSink

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "packaging/mosquitto"
COUNT = 200


@pytest.fixture
def broker(tmp_path):
    """A mosquitto with the example as it is, but for its port and its folders."""
    passwords, program = tmp_path / "passwd", shutil.which("mosquitto_passwd")
    assert program, "mosquitto is not installed: apt-get install mosquitto, or make debian"
    for words in (["-c", "-b", str(passwords), "gateway", "right"], ["-b", str(passwords), "reader", "seen"]):
        subprocess.run([program, *words], check=True, timeout=30)
    rights = tmp_path / "acl"
    shutil.copyfile(EXAMPLE / "site-gateway.acl", rights)
    for file in (passwords, rights):
        file.chmod(0o600)
    running = Mosquitto(tmp_path)
    text = (
        (EXAMPLE / "site-gateway.conf")
        .read_text()
        .replace("listener 1883", f"listener {running.port} 127.0.0.1")
    )
    text = text.replace("/etc/mosquitto/site-gateway.passwd", str(passwords))
    text = text.replace("/etc/mosquitto/site-gateway.acl", str(rights))
    own = ["user root", f"persistence_location {tmp_path}/", f"log_dest file {tmp_path / 'mosquitto.log'}"]
    running.config.write_text(text + "\n".join([*own, ""]))
    with running:
        yield running


@contextlib.asynccontextmanager
async def sink(port, **options):
    """A connected sink of the gateway with one state."""

    async def states():
        return [State("counter-a", b'{"enters_today": 7}')]

    given = {"name": "out", "host": "127.0.0.1", "gateway_id": "gw7", "connect_timeout_s": 5.0, **options}
    made = MqttSink(MqttOptions(port=port, **given), states, lambda: b'{"state":"online"}')
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def event(seq: int) -> Outgoing:
    payload = json.dumps({"seq": seq}).encode()
    return Outgoing(
        seq=seq,
        id=f"a:{seq}",
        revision=0,
        kind="count",
        device="counter-a",
        time="2026-11-21T10:00:00Z",
        payload=payload,
    )


@pytest.mark.parametrize(
    "login", [{}, {"username": "gateway", "password": "wrong"}, {"username": "x", "password": "right"}]
)
async def test_nobody_comes_in_without_the_password(broker, login):
    """Without a name, with a wrong password and with an unknown name the broker says no."""
    with pytest.raises(SinkUnavailable):
        async with sink(broker.port, **login):
            pass


async def test_the_gateway_only_writes_and_the_reader_only_reads(broker):
    """What the gateway sends arrives, and what the reader says reaches nobody."""
    async with sink(broker.port, username="gateway", password="right") as ours:
        with Subscriber(broker.port, "gateway/#", name="reader", password="seen") as reader:
            intruder = _client()
            intruder.on_connect = lambda one, *_: one.publish(
                "gateway/gw7/counter-a/event", b'{"seq": 666}', qos=1
            )
            intruder.connect("127.0.0.1", broker.port)
            _turn(intruder, lambda: False, rounds=10)
            assert {} == await ours.send([event(1)])
            came = await watch(reader, lambda got: any(m.topic.endswith("/event") for m in got))
    assert [b'{"seq": 1}'] == [m.payload for m in came if m.topic.endswith("/event")]


async def test_a_killed_broker_has_all_but_the_last_message(broker):
    """Queued for a reader that is away and retained: at most the one that was acknowledged last is gone."""
    _remembered(broker.port)
    async with sink(broker.port, username="gateway", password="right") as ours:
        assert {} == await ours.send([event(seq) for seq in range(COUNT)])
        broker.kill()
    broker.start()
    assert set(range(COUNT - 1)) <= _read_after(broker.port, COUNT - 1)
    with Subscriber(broker.port, "gateway/+/+/state", name="reader", password="seen") as reader:
        kept = await watch(reader, lambda got: any(m.retain for m in got))
    assert b'{"enters_today": 7}' in {m.payload for m in kept}


async def test_the_default_of_mosquitto_loses_what_it_acknowledged(broker):
    """The control: with its own settings for saving, the same kill takes nearly everything."""
    text = broker.config.read_text().replace("autosave_on_changes true", "autosave_on_changes false")
    broker.config.write_text(text.replace("autosave_interval 1\n", "autosave_interval 1800\n"))
    broker.restart()
    _remembered(broker.port)
    async with sink(broker.port, username="gateway", password="right") as ours:
        assert {} == await ours.send([event(seq) for seq in range(COUNT)])
        broker.kill()
    broker.start()
    assert set() == _read_after(broker.port, 0)


def test_the_page_has_the_example_word_for_word():
    """Who types it off the page has what is tested."""
    page = (ROOT / "docs/mqtt.md").read_text()
    for name in ("site-gateway.conf", "site-gateway.acl"):
        assert (EXAMPLE / name).read_text() in page
        assert f"examples/mosquitto/{name}" in page


def _client() -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id="stays-known", clean_session=False)
    client.username_pw_set("reader", "seen")
    return client


def _remembered(port: int) -> None:
    """Subscribe as one that the broker remembers, and go away."""
    client, done = _client(), []
    client.on_connect = lambda one, *_: one.subscribe("gateway/+/+/event", qos=1)
    client.on_subscribe = lambda *_: done.append(1)
    client.connect("127.0.0.1", port)
    _turn(client, lambda: done)


def _read_after(port: int, enough: int) -> set[int]:
    """Come back and read what was kept."""
    client, seen = _client(), set()
    client.on_message = lambda _one, _data, message: seen.add(json.loads(message.payload)["seq"])
    client.connect("127.0.0.1", port)
    _turn(client, lambda: enough and len(seen) >= enough, rounds=3000 if enough else 10)
    return seen


def _turn(client: Client, over, rounds: int = 100) -> None:
    for _ in range(rounds):
        client.loop(0.1)
        if over():
            client.loop(0.3)
            break
    client.disconnect()
