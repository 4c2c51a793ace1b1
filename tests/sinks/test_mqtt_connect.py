"""Reaching the broker: what is said when it cannot be reached, and how long that takes."""

import datetime as dt
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
import trustme
from brokers import IGNORE, FakeBroker, Mosquitto, Subscriber, free_port
from mqtt_sinks import BOTH_VERSIONS, event, events, make_sink, opened

from gateway.errors import SinkUnavailable

pytestmark = pytest.mark.anyio


async def refusal(sink) -> SinkUnavailable:
    """Open, and give back what it says; it must fail, and closing after it must be harmless."""
    with pytest.raises(SinkUnavailable) as caught:
        await sink.open()
    assert not sink.connected
    await sink.close()
    return caught.value


async def test_a_name_that_does_not_resolve_is_said():
    """An unknown host name is told as such, with the name in the sentence."""
    error = await refusal(make_sink(1883, host="no-such-broker.invalid"))
    assert "mqtt_name" == error.fault
    assert "no-such-broker.invalid" in str(error)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
async def test_a_name_that_cannot_be_one_is_said(host):
    """A malformed host name is a sentence and not a traceback."""
    assert "mqtt_name" == (await refusal(make_sink(1883, host=host))).fault


async def test_a_closed_port_is_said():
    """A port that nobody listens on is told as refused, with the address."""
    port = free_port()
    error = await refusal(make_sink(port))
    assert "mqtt_refused" == error.fault
    assert f"mqtt://127.0.0.1:{port}" in str(error)


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_a_broker_that_says_nothing_is_given_up_in_time(version):
    """A port that accepts and never answers CONNECT costs the time for connecting and no more."""
    async with FakeBroker(connack=None, version=version).listening() as broker:
        began = time.monotonic()
        error = await refusal(make_sink(broker.port, version=version, connect_timeout_s=0.4))
        assert 0.3 < time.monotonic() - began < 2
    assert "mqtt_timeout" == error.fault
    assert ('version = "3.1.1"' in str(error)) is (version == 5)


async def test_a_tls_handshake_that_never_ends_is_given_up_in_time():
    """A port that accepts and never answers TLS costs the time for connecting, and its thread ends too."""
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = make_sink(silent.getsockname()[1], tls=ssl.create_default_context(), connect_timeout_s=0.3)
        began = time.monotonic()
        error = await refusal(sink)
        assert 2 > time.monotonic() - began
    assert "mqtt_timeout" == error.fault
    with anyio.fail_after(2):
        while threading.active_count() > threads:
            await anyio.sleep(0.01)


async def test_a_connection_that_comes_too_late_is_hung_up_unused(monkeypatch):
    """When the name server answers after the wait was given up, the broker sees no CONNECT from that attempt."""
    release = threading.Event()
    real = socket.getaddrinfo

    def slow(*args, **kwargs):
        release.wait(5)
        return real(*args, **kwargs)

    async with FakeBroker().listening() as broker:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        threads = threading.active_count()
        error = await refusal(make_sink(broker.port, connect_timeout_s=0.1))
        assert "mqtt_timeout" == error.fault
        release.set()
        with anyio.fail_after(2):
            while threading.active_count() > threads:
                await anyio.sleep(0.01)
        await anyio.sleep(0.05)
        assert [] == broker.connects


async def test_an_open_that_is_cancelled_leaves_no_connection():
    """Cancelling `open` while CONNECT is unanswered closes the connection at once."""
    async with FakeBroker(connack=None).listening() as broker:
        sink = make_sink(broker.port)
        with anyio.move_on_after(0.1):
            await sink.open()
        assert not sink.connected
        with anyio.fail_after(2):
            while broker.open_connections:
                await anyio.sleep(0.01)
        await sink.close()


# Login


@pytest.fixture
def guarded(tmp_path):
    """A broker that knows one user."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "gw", "right"], check=True)
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as running:
        yield running


@pytest.mark.parametrize("version", BOTH_VERSIONS)
@pytest.mark.parametrize("login", [{"username": "gw", "password": "guess-7"}, {}])
async def test_a_wrong_login_is_said_without_the_password(guarded, version, login):
    """A refused login names the user, not the password, and is not retried by itself."""
    sink = make_sink(guarded.port, version=version, **login)
    error = await refusal(sink)
    assert "mqtt_login" == error.fault
    assert "guess-7" not in str(error)
    assert "guess-7" not in repr(sink._options)
    assert "guess-7" not in str(sink.describe())


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_the_right_login_works(guarded, version):
    """With the right password events are taken."""
    async with opened(guarded.port, version=version, username="gw", password="right") as sink:
        assert {} == await sink.send(events(3))


async def test_a_topic_that_the_access_list_forbids_keeps_its_events_waiting(tmp_path):
    """mosquitto answers "not authorised" and hangs up: that is found out, nothing is given up, and nothing
    is sent behind the forbidden event again and again."""
    rules = tmp_path / "acl"
    rules.write_text("topic write gateway/gw7/status\ntopic write gateway/gw7/counter-b/event\n")
    batch = [*events(2, device="counter-b"), event(2), *events(5, first=3, device="counter-b")]
    with Mosquitto(tmp_path, f"acl_file {rules}", "log_type debug") as broker:
        sink = make_sink(broker.port)
        told, delivered = [], 0
        for _ in range(8):
            await sink.open()
            with pytest.raises(SinkUnavailable) as caught:
                await sink.send(batch[delivered:])
            told.append(caught.value)
            delivered += caught.value.delivered
            with anyio.fail_after(5):  # mosquitto hangs up after its refusal; the core waits longer than that
                while sink.connected:
                    await anyio.sleep(0.01)
        await sink.close()
    assert 2 == delivered
    assert ["mqtt_not_authorised"] * 3 == [error.fault for error in told[-3:]]
    assert "gateway/gw7/counter-a/event" in str(told[-1])
    assert "counter-b/event" not in (tmp_path / "mosquitto.log").read_text().rpartition("Denied")[2]


async def test_a_silent_refusal_of_3_1_1_is_told_as_a_broker_that_hangs_up(tmp_path):
    """mosquitto acknowledges a forbidden 3.1.1 event and hangs up: a person is told to look at its log."""
    rules = tmp_path / "acl"
    rules.write_text("topic write gateway/gw7/status\n")
    with Mosquitto(tmp_path, f"acl_file {rules}") as broker:
        sink = make_sink(broker.port, version=4)
        told = []
        for number in range(4):
            try:
                await sink.open()
                await sink.send([event(number)])
                with anyio.fail_after(2):
                    while sink.connected:
                        await anyio.sleep(0.01)
            except SinkUnavailable as error:
                told.append(str(error))
        await sink.close()
    assert "the broker's log says which" in told[-1]


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secured(tmp_path, authority):
    """Start a broker with a certificate of the test's CA; more lines may follow."""
    running = []

    def start(certificate: trustme.LeafCert, *lines: str) -> Mosquitto:
        ca, cert, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
        authority.cert_pem.write_to_path(ca)
        certificate.private_key_pem.write_to_path(key)
        for number, blob in enumerate(certificate.cert_chain_pems):
            blob.write_to_path(cert, append=number > 0)
        broker = Mosquitto(tmp_path, f"cafile {ca}", f"certfile {cert}", f"keyfile {key}", *lines)
        broker.start()
        running.append(broker)
        return broker

    yield start
    for broker in running:
        broker.kill()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_events_go_through_tls(secured, authority, version):
    """Over TLS several windows of events are acknowledged, and the address says mqtts."""
    broker = secured(authority.issue_cert("127.0.0.1"))
    async with opened(broker.port, tls=trusting(authority), version=version) as sink:
        assert f"mqtts://127.0.0.1:{broker.port}" == sink.describe()["endpoint"]
        for first in range(0, 1500, 500):
            assert {} == await sink.send(events(500, first=first))


async def test_an_unknown_authority_is_said(secured, authority):
    """A broker whose CA is not trusted is refused, and the sentence says that the CA is missing."""
    broker = secured(authority.issue_cert("127.0.0.1"))
    error = await refusal(make_sink(broker.port, tls=ssl.create_default_context()))
    assert "mqtt_tls" == error.fault
    assert "CA" in str(error)


async def test_an_expired_certificate_is_said(secured, authority):
    """A certificate of the past is refused as expired."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    broker = secured(authority.issue_cert("127.0.0.1", not_after=past))
    error = await refusal(make_sink(broker.port, tls=trusting(authority)))
    assert "mqtt_tls" == error.fault
    assert "expired" in str(error)


@pytest.mark.parametrize("name", ["broker.example", "192.0.2.1"])
async def test_a_certificate_for_another_name_is_said(secured, authority, name):
    """A certificate for somebody else is refused, and the sentence says so."""
    broker = secured(authority.issue_cert(name))
    error = await refusal(make_sink(broker.port, tls=trusting(authority)))
    assert "mqtt_tls" == error.fault
    assert "another" in str(error)


async def test_a_client_certificate_opens_the_door(secured, authority):
    """A broker that asks for a client certificate takes one of its CA, and without one it is a fault of TLS."""
    broker = secured(authority.issue_cert("127.0.0.1"), "require_certificate true")
    error = await refusal(make_sink(broker.port, tls=trusting(authority)))
    assert "mqtt_tls" == error.fault
    assert "client certificate" in str(error)
    context = trusting(authority)
    authority.issue_cert("gw7.example").configure_cert(context)
    async with opened(broker.port, tls=context) as sink:
        assert {} == await sink.send(events(10))


async def test_tls_towards_a_plain_port_is_said(tmp_path):
    """TLS with a port that does not speak it is a fault of TLS."""
    with Mosquitto(tmp_path) as broker:
        error = await refusal(make_sink(broker.port, tls=ssl.create_default_context()))
    assert "mqtt_tls" == error.fault


async def test_a_plain_connection_to_a_tls_port_is_said(secured, authority):
    """Without TLS, a TLS port closes; the sentence offers TLS as the reason."""
    broker = secured(authority.issue_cert("127.0.0.1"))
    error = await refusal(make_sink(broker.port))
    assert "TLS" in str(error)


# What brokers answer


@pytest.mark.parametrize(
    ("version", "connack", "fault"),
    [
        (5, b"\x00\x01", "mqtt_version"),  # a broker that knows only 3.1.1
        (5, b"\x00\x84\x00", "mqtt_version"),
        (4, b"\x00\x01", "mqtt_version"),
        (5, b"\x00\x85\x00", "mqtt_client_id"),
        (4, b"\x00\x02", "mqtt_client_id"),
        (5, b"\x00\x86\x00", "mqtt_login"),
        (4, b"\x00\x04", "mqtt_login"),
        (4, b"\x00\x05", "mqtt_login"),
        (5, b"\x00\x88\x00", "mqtt_unwilling"),
        (5, b"\x00\x89\x00", "mqtt_unwilling"),
        (5, b"\x00\x9a\x00", "mqtt_unwilling"),
        (4, b"\x00\x03", "mqtt_unwilling"),
        (5, b"\x00\x00\x02\x24\x00", "mqtt_no_qos_1"),
        (5, b"\xff\xff\xff\xff\xff", "mqtt_version"),  # not MQTT at all
    ],
)
async def test_each_refusal_has_its_fault(version, connack, fault):
    """Every way in which a broker refuses CONNECT has a stable code and a sentence with the address."""
    async with FakeBroker(version=version, connack=connack).listening() as broker:
        error = await refusal(make_sink(broker.port, version=version))
        assert f":{broker.port}" in str(error)
    assert fault == error.fault


@pytest.mark.parametrize(
    ("said", "as_what"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "a web server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no MQTT"),
    ],
)
async def test_another_service_at_the_port_is_no_matter_of_the_version(said, as_what):
    """What answers with something else than CONNACK is told as the wrong port, with what it is where that shows."""
    async with FakeBroker(connack=None).listening() as other:
        sink = make_sink(other.port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speak, other, said)
            error = await refusal(sink)
    assert "mqtt_refused" == error.fault
    assert as_what in str(error) and "port" in str(error)
    assert "version" not in str(error)


async def speak(other: FakeBroker, said: bytes) -> None:
    """Answer CONNECT as another service does."""
    while not other.connects:
        await anyio.sleep(0.01)
    other.write(said)


async def test_the_wrong_version_says_which_option_to_set():
    """A broker that speaks only 3.1.1 is told with the option and its value."""
    async with FakeBroker(connack=b"\x00\x01").listening() as broker:
        assert 'version = "3.1.1"' in str(await refusal(make_sink(broker.port)))


async def test_a_broker_that_hangs_up_on_the_status_is_told_as_such():
    """A broker that closes on the first message is told with the topic of that message."""
    async with FakeBroker(answer=lambda _: "close").listening() as broker:
        error = await refusal(make_sink(broker.port))
    assert "mqtt_lost" == error.fault
    assert "gateway/gw7/status" in str(error)


async def test_a_broker_that_never_acknowledges_the_status_is_given_up():
    """`open` does not claim to be connected before the broker acknowledged something."""
    async with FakeBroker(answer=lambda _: IGNORE).listening() as broker:
        error = await refusal(make_sink(broker.port, connect_timeout_s=0.3))
    assert "mqtt_timeout" == error.fault


async def test_what_a_person_may_know_is_described(tmp_path):
    """The description has the endpoint, the version and what the broker announced."""
    with Mosquitto(tmp_path, "max_packet_size 5000", "max_inflight_messages 7") as broker:
        async with opened(broker.port) as sink:
            said = sink.describe()
            assert (True, "5", 7, 5000, "gateway/gw7", "gw7-out") == tuple(
                said[key]
                for key in ("connected", "version", "receive_maximum", "max_packet", "topics", "client_id")
            )
            assert dt.datetime.fromisoformat(said["connected_since"]).tzinfo is not None
        assert False is sink.describe()["connected"]


# Two clients with one id


@pytest.mark.parametrize("version", BOTH_VERSIONS)
async def test_a_client_id_that_somebody_else_uses_is_said(tmp_path, version):
    """When another client takes our id again and again, the fault says so, and each `open` waits for the core."""
    with Mosquitto(tmp_path) as broker:
        sink = make_sink(broker.port, version=version)
        told = []
        for _ in range(4):
            try:
                await sink.open()
            except SinkUnavailable as error:
                told.append(error.fault)
                continue
            with Subscriber(broker.port, "nothing", name="gw7-out"), anyio.fail_after(5):
                while sink.connected:
                    await anyio.sleep(0.01)
        assert "mqtt_client_id_taken" in told
        assert not {"mqtt_lost"} & set(told)
        await sink.close()


async def test_options_of_the_same_sink_are_comparable():
    """Options are values: equal when everything that was set is equal, so that a reload can tell what changed."""
    options = make_sink(1883)._options
    assert options == make_sink(1883)._options
    assert options != replace(options, port=1884)


_HANGS = """
import socket, sys, time
sys.path[:0] = sys.argv[1:]
socket.getaddrinfo = lambda *args, **kwargs: time.sleep(60)
import anyio
from gateway.errors import SinkUnavailable
from mqtt_sinks import make_sink

async def main():
    try:
        await make_sink(1883, connect_timeout_s=0.1).open()
    except SinkUnavailable as error:
        print(error.fault)

anyio.run(main)
"""


async def test_a_name_server_that_hangs_does_not_hold_up_the_end_of_the_process():
    """A process whose lookup still hangs ends at once."""
    paths = [str(place) for place in (Path(__file__).parent, Path(__file__).parent.parent)]
    began = time.monotonic()
    done = await anyio.run_process([sys.executable, "-c", _HANGS, *paths])
    assert b"mqtt_timeout" == done.stdout.strip()
    assert 20 > time.monotonic() - began
