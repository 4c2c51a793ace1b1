"""Topics, packet sizes and options, before anything connects."""

import pytest
from brokers import FakeBroker
from hypothesis import given
from hypothesis import strategies as st
from mqtt_sinks import event, make_sink

from gateway.errors import ConfigError, Rejected
from gateway.event import slug
from gateway.sinks.mqtt import MqttOptions
from gateway.sinks.mqtt.topics import Topics, packet_size

HOSTILE = ["a/b", "a+b", "#", "+", "", "Ä", "A", "a b", "a\x00", "a\n", "$sys", "x" * 200, "../x"]


def test_topics_are_base_gateway_device_and_leaf():
    """The status, the events and the state of a device each have one topic, below base and gateway."""
    topics = Topics("site/north", "gw7")
    assert "site/north/gw7/status" == topics.status
    assert "site/north/gw7/counter-a/event" == topics.event("counter-a")
    assert "site/north/gw7/counter-a/state" == topics.state("counter-a")


@pytest.mark.parametrize(
    "base", ["", "a/+/b", "#", "a#", "/a", "a/", "a//b", "a\x00b", "$SYS", "a\nb", "x" * 201]
)
def test_a_base_that_is_not_one_topic_is_refused(base):
    """A base with wildcards, empty levels or control characters is a mistake that names it."""
    with pytest.raises(ConfigError) as caught:
        Topics(base, "gw7")
    assert repr(base) in str(caught.value)


@pytest.mark.parametrize("gateway_id", HOSTILE)
def test_a_gateway_id_that_is_no_slug_is_refused(gateway_id):
    """A gateway id that would change the shape of the topics is a mistake."""
    with pytest.raises(ConfigError):
        Topics("gateway", gateway_id)


@pytest.mark.parametrize("device", HOSTILE)
def test_a_device_id_that_is_no_slug_never_reaches_a_topic(device):
    """An event of a device whose id could be a wildcard or a separator is rejected, not sent elsewhere."""
    topics = Topics("gateway", "gw7")
    for name in (topics.event, topics.state):
        with pytest.raises(Rejected):
            name(device)


@given(st.text())
def test_every_slug_is_a_topic_part(text):
    """Whatever a device is called, its slug can be part of a topic."""
    if part := slug(text):
        assert f"gateway/gw7/{part}/event" == Topics("gateway", "gw7").event(part)


def test_many_devices_do_not_fill_the_memory():
    """Remembered topics stay bounded, and stay right."""
    topics = Topics("gateway", "gw7")
    for number in range(25_000):
        assert f"gateway/gw7/d{number}/event" == topics.event(f"d{number}")
    assert 10_000 >= len(topics._events)


@pytest.mark.anyio
@pytest.mark.parametrize("version", [5, 4])
async def test_the_packet_size_is_what_goes_over_the_wire(version):
    """The computed size equals the bytes on the wire, around every step of the length encoding."""
    sizes = [0, 20, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 16_300, *range(16_310, 16_330), 20_000]
    broker = FakeBroker(version=version, connack=b"\x00\x00\x00" if version == 5 else b"\x00\x00")
    async with broker.listening():
        sink = make_sink(broker.port, version=version)
        await sink.open()
        sent = [event(seq, size=size) for seq, size in enumerate(sizes)]
        await sink.send(sent)
        await sink.close()
    expected = [packet_size("gateway/gw7/counter-a/event", e.payload, version) for e in sent]
    assert expected == [p.wire_bytes for p in broker.events()]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"host": ""}, "host"),
        ({"port": 0}, "port"),
        ({"port": 70_000}, "port"),
        ({"version": 3}, "version"),
        ({"window": 0}, "window"),
        ({"inflight": 0}, "inflight"),
        ({"inflight": 65_536}, "inflight"),
        ({"password": "x"}, "username"),
    ],
)
def test_options_that_cannot_work_are_refused(wrong, word):
    """Each impossible option is a `ConfigError` that names the sink and the option."""
    with pytest.raises(ConfigError) as caught:
        MqttOptions(**{"name": "out", "host": "broker", "gateway_id": "gw7", **wrong})
    assert "'out'" in str(caught.value)
    assert word in str(caught.value)


def test_all_mistakes_are_told_at_once():
    """Two wrong options are two lines."""
    with pytest.raises(ConfigError) as caught:
        MqttOptions(name="out", host="", gateway_id="gw7", version=3)
    assert 2 == len(str(caught.value).splitlines())


def test_the_client_id_is_made_of_gateway_and_sink():
    """Without a client id, gateway and sink name it; a given one stays."""
    assert "gw7-out" == MqttOptions(name="out", host="b", gateway_id="gw7").client_id
    assert "mine" == MqttOptions(name="out", host="b", gateway_id="gw7", client_id="mine").client_id


def test_an_ipv6_address_is_shown_in_brackets():
    """The endpoint of an IPv6 broker can be read."""
    assert "mqtt://[::1]:1883" == MqttOptions(name="out", host="::1", gateway_id="gw7").endpoint
