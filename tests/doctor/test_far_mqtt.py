"""What the doctor says of a broker: each step of the way, with a real mosquitto where one can be brought to it."""

import datetime as dt
import json
import socket
import subprocess
import time

import anyio
import pytest
import trustme
from brokers import CLOSE, IGNORE, FakeBroker, Mosquitto, Subscriber
from far_end_site import broker, codes, look, looked, secret, told

from gateway.clock import kernel
from gateway.doctor import far_mqtt
from gateway.simulate.ports import free_port

pytestmark = pytest.mark.anyio

TRIED = {
    "mqtt_login", "mqtt_lost", "mqtt_name", "mqtt_no_qos_1", "mqtt_not_authorised", "mqtt_refused", "mqtt_timeout",
    "mqtt_tls", "mqtt_unasked", "mqtt_unreachable", "mqtt_unwilling", "mqtt_version",
}  # fmt: skip


def test_every_code_of_a_broker_is_tried_here():
    """The list of what can be found at a broker is the list of what a test below brings about."""
    assert TRIED == far_mqtt.CODES


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_good_broker_is_proven_to_the_acknowledgement(tmp_path, version):
    """A test event arrives on BASE/GATEWAY/doctor, marked, once, not retained, and nothing at all is wrong."""
    with Mosquitto(tmp_path) as running, Subscriber(running.port) as reader:
        findings = look(tmp_path, broker(running.port, f'version = "{version}"'))
        assert set() == codes(findings)
        (message,) = reader.wait_for(lambda messages: messages)
    assert all(finding.known for finding in findings)
    assert any("acknowledged" in finding.sentence for finding in findings)
    assert "gateway/gw7/doctor" == message.topic
    assert not message.retain
    said = json.loads(message.payload)
    assert ("test", True) == (said["kind"], said["test"])
    assert said["id"].startswith("test:")
    assert "seq" not in said


def test_nothing_stays_on_the_broker(tmp_path):
    """Who subscribes behind the look gets neither a retained message nor a Last Will of it."""
    with Mosquitto(tmp_path) as running:
        look(tmp_path, broker(running.port))
        with Subscriber(running.port) as reader:
            time.sleep(0.3)
            assert [] == reader.messages


async def test_the_running_gateway_is_not_thrown_out(tmp_path):
    """The look logs in with a client id of its own, without a will, and says goodbye."""
    async with FakeBroker().listening() as fake:
        findings = await looked(tmp_path, broker(fake.port))
        assert set() == codes(findings)
        with anyio.fail_after(10):
            while fake.open_connections:
                await anyio.sleep(0.01)
    (connect,) = fake.connects
    assert b"gw7-broker-doctor" in connect
    assert b"status" not in connect
    assert 1 == fake.goodbyes


def test_nothing_listens(tmp_path):
    """A closed port is mqtt_refused, behind a name that is well."""
    findings = look(tmp_path, broker(free_port()))
    assert {"mqtt_refused"} == codes(findings)


def test_a_wrong_password(tmp_path):
    """The broker's refusal of a login is mqtt_login, the steps before it are well, and the password is not shown."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(passwords), "gw", "right"], check=True)
    file = secret(tmp_path, "password", "quite-wrong")
    with Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as running:
        findings = look(tmp_path, broker(running.port, f'username = "gw"\npassword_file = "{file}"'))
    assert {"mqtt_login"} == codes(findings)
    assert findings[-1].sentence.startswith("127") or "mqtt://127.0.0.1" in findings[-1].sentence
    assert not any("quite-wrong" in finding.sentence for finding in findings)


@pytest.mark.parametrize(("version", "code"), [("5", "mqtt_not_authorised"), ("3.1.1", "mqtt_lost")])
def test_an_access_list_without_the_topic(tmp_path, version, code):
    """A broker that does not let us write there is told of, also in 3.1.1, where it acknowledges and hangs up."""
    rules = tmp_path / "acl"
    rules.write_text("topic write gateway/gw7/status\n")
    with Mosquitto(tmp_path, f"acl_file {rules}") as running:
        findings = look(tmp_path, broker(running.port, f'version = "{version}"'))
    assert {code} == codes(findings)
    assert "gateway/gw7/doctor" in told(findings, code)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ({"connack": None}, "mqtt_timeout"),
        ({"answer": lambda _: IGNORE}, "mqtt_timeout"),
        ({"connack": b"\x00\x97\x00"}, "mqtt_unwilling"),
        ({"connack": b"\x00\x84\x00"}, "mqtt_version"),
        ({"connack": b"\x00\x00\x02\x24\x00"}, "mqtt_no_qos_1"),
        ({"answer": lambda _: b"\x97"}, "mqtt_unwilling"),
        ({"answer": lambda _: b"\x87"}, "mqtt_not_authorised"),
        ({"answer": lambda _: CLOSE}, "mqtt_lost"),
        ({"answer": lambda _: CLOSE, "farewell": b"\x30\x05\x00\x01a42"}, "mqtt_unasked"),
    ],
)
async def test_a_broker_that_misbehaves(tmp_path, behaviour, code):
    """Each way in which a broker can fail behind TCP has the code that the sink itself would raise."""
    async with FakeBroker(**behaviour).listening() as fake:
        findings = await looked(tmp_path, broker(fake.port), hurried=code == "mqtt_timeout")
    assert {code} == codes(findings)


async def test_a_refused_client_id_is_not_called_a_fault(tmp_path):
    """Of a broker that knows only the sink's own client id nothing is claimed: it is said that it cannot be told."""
    async with FakeBroker(connack=b"\x00\x85\x00").listening() as fake:
        findings = await looked(tmp_path, broker(fake.port))
    assert set() == codes(findings)
    assert "gw7-broker-doctor" in findings[-1].sentence
    assert not findings[-1].known


def test_a_name_that_nobody_knows(tmp_path, monkeypatch):
    """What the name server does not know is mqtt_name, and nothing is tried behind it."""

    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    findings = look(tmp_path, '[sinks.broker]\ntype = "mqtt"\nendpoint = "mqtt://broker.invalid"\n')
    ours = [finding for finding in findings if finding.subject == "broker"]
    assert ["mqtt_name"] == [finding.code for finding in ours]


def test_a_network_without_a_way(tmp_path, monkeypatch):
    """An address that no route leads to is mqtt_unreachable."""

    def no_way(*_args, **_more):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_way)
    assert {"mqtt_unreachable"} == codes(look(tmp_path, broker(1883)))


# TLS

YEAR_2019, YEAR_2020 = (dt.datetime(year, 1, 1, tzinfo=dt.UTC) for year in (2019, 2020))


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def authority():
    return trustme.CA()


@pytest.fixture
def secured(tmp_path, authority):
    """Start a broker with a certificate; give the configuration of a sink that trusts the test's CA."""
    running = []

    def start(certificate: trustme.LeafCert, more: str = "") -> str:
        ca, cert, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
        authority.cert_pem.write_to_path(ca)
        certificate.private_key_pem.write_to_path(key)
        certificate.cert_chain_pems[0].write_to_path(cert)
        lines = (f"cafile {ca}", f"certfile {cert}", f"keyfile {key}")
        running.append(Mosquitto(tmp_path, *lines))
        running[-1].start()
        return broker(running[-1].port, f'ca_file = "{ca}"\n{more}', "mqtts")

    yield start
    for one in running:
        one.kill()


def days(number: int) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=number, hours=1)


def test_a_good_certificate_has_its_day(secured, authority, tmp_path):
    """With a certificate that holds for a year nothing is wrong, and its subject, issuer and last day are said."""
    ends = days(365)
    toml = secured(authority.issue_cert("127.0.0.1", common_name="the broker", not_after=ends))
    findings = look(tmp_path, toml)
    assert set() == codes(findings)
    said = " ".join(finding.sentence for finding in findings)
    assert "of the broker, issued by" in said
    assert ends.date().isoformat() in said
    assert "acknowledged" in said


def test_a_certificate_that_ends_soon_is_a_warning(secured, authority, tmp_path):
    """Twenty days before its end a certificate is told of, with the day, and the look goes on to the end."""
    ends = days(20)
    findings = look(tmp_path, secured(authority.issue_cert("127.0.0.1", not_after=ends)))
    assert {"certificate_expires"} == codes(findings)
    assert ends.date().isoformat() in told(findings, "certificate_expires")
    assert "acknowledged" in findings[-1].sentence


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"not_before": YEAR_2019, "not_after": YEAR_2020}, "2020-01-01"),
        ({"names": ("broker.example",)}, "another"),
    ],
)
def test_a_certificate_that_does_not_hold(secured, authority, tmp_path, how, said):
    """An expired one and one for another name are mqtt_tls, with the days for which it was made out."""
    names = how.pop("names", ("127.0.0.1",))
    findings = look(tmp_path, secured(authority.issue_cert(*names, **how)))
    assert {"mqtt_tls"} == codes(findings)
    assert said in told(findings, "mqtt_tls")
    assert "made out to" in told(findings, "mqtt_tls")


def test_an_authority_that_is_not_known(secured, authority, tmp_path):
    """Without the CA of the broker the code is mqtt_tls, and the sentence says that the CA is missing."""
    toml = secured(authority.issue_cert("127.0.0.1"))
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    findings = look(tmp_path, toml.replace(str(tmp_path / "ca.pem"), str(other)))
    assert {"mqtt_tls"} == codes(findings)
    assert "CA" in told(findings, "mqtt_tls")


@pytest.mark.parametrize(("synced", "code"), [(False, "certificate_clock"), (True, "mqtt_tls")])
def test_a_clock_that_nobody_set_is_blamed_first(secured, authority, tmp_path, monkeypatch, synced, code):
    """A certificate of the future is the clock's fault on a box that nobody told the time, and else its own."""
    toml = secured(authority.issue_cert("127.0.0.1", not_before=days(30), not_after=days(90)))
    monkeypatch.setattr(kernel, "synced", lambda: synced)
    assert {code} == codes(look(tmp_path, toml))


def test_our_own_certificate_has_an_end_too(secured, authority, tmp_path):
    """A client certificate that ends in ten days is told of with its file; without a broker that asks for it."""
    ours, paper = authority.issue_cert("gw7", not_after=days(10)), tmp_path / "ours.pem"
    ours.cert_chain_pems[0].write_to_path(paper)
    key = secret(tmp_path, "ours.key", ours.private_key_pem.bytes().decode())
    more = f'cert_file = "{paper}"\nkey_file = "{key}"'
    findings = look(tmp_path, secured(authority.issue_cert("127.0.0.1"), more))
    assert {"certificate_expires"} == codes(findings)
    assert str(paper) in told(findings, "certificate_expires")


def test_a_port_that_never_answers_tls(tmp_path):
    """A far end that takes the connection and says nothing costs the limit of that step, and is mqtt_timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        findings = look(tmp_path, broker(silent.getsockname()[1], scheme="mqtts"), hurried=True)
        assert 20 > time.monotonic() - began
    assert {"mqtt_timeout"} == codes(findings)
