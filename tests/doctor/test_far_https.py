"""What the doctor says of an upstream: each step of the way, and each answer to the test event."""

import json
import socket
import ssl
import time

import pytest
from far_end_site import SECRET, codes, look, secret, told, upstream

from gateway.config import load
from gateway.doctor import far_ends, far_https
from gateway.doctor.box import Box
from gateway.doctor.examining import examine
from gateway.simulate.ports import free_port
from gateway.simulate.receiver import Fault, Outcome, Receiver

TRIED = {
    "https_broken", "https_busy", "https_error", "https_gone", "https_login", "https_name", "https_not_found",
    "https_redirect", "https_refused", "https_test_refused", "https_timeout", "https_tls", "https_unexpected",
    "https_unreachable",
}  # fmt: skip


@pytest.fixture
def start(tmp_path):
    """Start a receiver; give it, with the configuration of a sink for it."""
    started = []

    def begin(more: str = "", **settings) -> tuple[Receiver, str]:
        folder = tmp_path / f"receiver-{len(started)}"
        folder.mkdir()
        receiver = Receiver(folder, keep_data=True, secrets=(SECRET,), **settings)
        started.append(receiver.start())
        file = secret(tmp_path, "signing", SECRET)
        trust = f'ca_file = "{receiver.ca_file}"\n' if receiver.authority else ""
        return receiver, upstream(receiver.url, f'secret_file = "{file}"\n{trust}{more}')

    yield begin
    for receiver in started:
        receiver.stop()


def test_every_code_of_an_upstream_is_tried_here():
    """The list of what can be found at an upstream is the list of what a test below brings about."""
    assert TRIED == far_https.CODES


@pytest.mark.parametrize("batch", [1, 100])
def test_a_good_upstream_gets_one_marked_event(tmp_path, start, batch):
    """The test event comes once, signed and authorised as real ones, in the sink's own form, marked and without a place."""
    token = secret(tmp_path, "token", "upstream-token")
    receiver, toml = start(f'batch = {batch}\nbearer_file = "{token}"', bearer="upstream-token")
    came = []
    receiver.decide = came.append
    findings = look(tmp_path, toml)
    assert set() == codes(findings)
    assert (0, 0, []) == (receiver.bad_signatures, receiver.bad_logins, receiver.malformed)
    (request,) = came
    assert batch > 1 or "application/cloudevents+json" in request.headers["content-type"]
    assert isinstance(json.loads(request.body), list) is (batch > 1)
    (event,) = request.events
    assert "site-gateway.test.v1" == event["type"]
    assert event["id"].startswith("test:")
    assert ("test", True, 0) == tuple(event["data"][name] for name in ("kind", "test", "seq"))


def test_two_looks_have_two_ids(tmp_path, start):
    """A receiver that remembers ids does not take a second look for the first one."""
    receiver, toml = start()
    came = []
    receiver.decide = lambda request: came.append(request.headers["webhook-id"])
    look(tmp_path, toml)
    look(tmp_path, toml)
    assert 2 == len(set(came))


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome(status=401), "https_login"),
        (Outcome(status=404), "https_not_found"),
        (Outcome(status=410), "https_gone"),
        (Outcome(status=422), "https_test_refused"),
        (Outcome(status=413), "https_test_refused"),
        (Outcome(status=429), "https_busy"),
        (Outcome(status=302, headers={"location": "https://new.example/"}), "https_redirect"),
        (Outcome(status=503), "https_error"),
        (Outcome(status=418), "https_unexpected"),
        (Outcome(status=200, body=b"<!doctype html><p>Log in"), "https_unexpected"),
        (Outcome(fault=Fault.NO_REPLY), "https_broken"),
    ],
)
def test_each_answer_has_the_code_of_the_sink(tmp_path, start, outcome, code):
    """What the upstream answers is judged as the sink judges it; the steps before it are well."""
    receiver, toml = start()
    receiver.script.append(outcome)
    findings = look(tmp_path, toml)
    assert {code} == codes(findings)
    assert code == findings[-1].code
    assert any(finding.sentence.startswith("TLS:") for finding in findings)


def test_a_refusal_of_the_test_event_is_no_letter(tmp_path, start):
    """Nothing is kept anywhere when the test event is refused: the store is not even opened."""
    receiver, toml = start()
    receiver.script.append(Outcome(status=400))
    look(tmp_path, toml)
    assert not (tmp_path / "store").exists()


def test_a_wrong_secret_is_a_wrong_login(tmp_path, start):
    """The receiver answers 401 to a signature that does not hold, and no secret is in any sentence."""
    other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
    _, toml = start()
    findings = look(tmp_path, toml.replace(str(tmp_path / "signing"), str(secret(tmp_path, "other", other))))
    assert {"https_login"} == codes(findings)
    assert not any(other[6:] in finding.sentence for finding in findings)


def test_nothing_listens(tmp_path):
    """A closed port is https_refused."""
    assert {"https_refused"} == codes(look(tmp_path, upstream(f"https://127.0.0.1:{free_port()}/")))


def test_the_query_of_the_endpoint_is_not_shown(tmp_path):
    """A key in the query of the endpoint is in no sentence."""
    findings = look(tmp_path, upstream(f"https://127.0.0.1:{free_port()}/?key=hunter2hunter2"))
    assert not any("hunter2" in finding.sentence for finding in findings)


def test_a_name_that_nobody_knows(tmp_path, monkeypatch):
    """What the name server does not know is https_name."""

    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "https_name" in codes(look(tmp_path, upstream("https://events.invalid/")))


def test_a_network_without_a_way(tmp_path, monkeypatch):
    """An address that no route leads to is https_unreachable."""

    def no_way(*_args, **_more):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_way)
    assert {"https_unreachable"} == codes(look(tmp_path, upstream("https://192.0.2.1/")))


def test_a_certificate_of_nobody_that_is_known(tmp_path, start):
    """Without the CA of the upstream the code is https_tls, and the sentence names whose certificate it was."""
    receiver, toml = start()
    findings = look(tmp_path, toml.replace(f'ca_file = "{receiver.ca_file}"', ""))
    assert {"https_tls"} == codes(findings)
    assert "made out to" in told(findings, "https_tls")


def test_an_expired_certificate(tmp_path, start):
    """A certificate of the past is https_tls and says when it ended, and no second finding says that it will."""
    _, toml = start(expired=True)
    findings = look(tmp_path, toml)
    assert {"https_tls"} == codes(findings)
    assert "expired" in told(findings, "https_tls")


def test_a_client_certificate_is_wanted(tmp_path, start):
    """An upstream that wants a client certificate and gets none is https_tls or a connection that broke."""
    _, toml = start(ask_client=True)
    (code,) = codes(look(tmp_path, toml))
    assert code in {"https_tls", "https_broken"}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_upstream_that_hangs_costs_seconds(tmp_path, scheme):
    """A far end that takes connections and never says anything is https_timeout within the limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        place = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
        findings = look(tmp_path, upstream(place, "insecure_http = true"), hurried=True)
        took_s = time.monotonic() - began
    assert {"https_timeout"} == codes(findings)
    assert 20 > took_s


def test_an_answer_that_never_comes(tmp_path, start):
    """An upstream that reads the event and hangs is https_timeout as well."""
    receiver, toml = start()
    receiver.script.append(Outcome(fault=Fault.HANG))
    assert {"https_timeout"} == codes(look(tmp_path, toml, hurried=True))


def test_a_sink_that_is_switched_off_says_so(tmp_path):
    """Nothing is sent to a sink that is not enabled; without another one nothing is forwarded at all."""
    findings = look(tmp_path, upstream("https://127.0.0.1:9/", "enabled = false"))
    assert {"no_sink"} == codes(findings)
    assert any("switched off" in finding.sentence for finding in findings)


def test_a_context_is_the_one_of_the_sink(tmp_path, start):
    """The way is gone with the TLS settings of the sink itself: at least TLS 1.2, and certificates are checked."""
    _, toml = start()
    look(tmp_path, toml)
    tls = far_https.far_end(load(tmp_path / "site.toml"), "upstream").tls
    assert ssl.TLSVersion.TLSv1_2 == tls.minimum_version
    assert ssl.CERT_REQUIRED == tls.verify_mode


def test_many_far_ends_that_hang_cost_no_more_than_one(tmp_path):
    """Six far ends that take connections and say nothing are each found out, side by side, within the limit for all."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        port = silent.getsockname()[1]
        toml = "".join(
            f'[sinks.a{number}]\ntype = "https"\nendpoint = "{scheme}://127.0.0.1:{port}/"\ninsecure_http = true\n'
            f'[sinks.b{number}]\ntype = "mqtt"\nendpoint = "{broker}://127.0.0.1:{port}"\nbase = "{broker}"\n'
            f'[camlytics.c{number}]\nendpoint = "{scheme}://127.0.0.1:{port}"\n'
            for number, (scheme, broker) in enumerate((("http", "mqtt"), ("https", "mqtts")))
        )
        (tmp_path / "site.toml").write_text(toml)
        config = load(tmp_path / "site.toml")
        began = time.monotonic()
        findings = list(examine(far_ends.checks(config), Box(config, root=tmp_path), 60.0))
        took_s = time.monotonic() - began
    assert {"a0", "a1", "b0", "b1", "camlytics.c0", "camlytics.c1"} == {
        one.subject for one in findings if one.code
    }
    assert {"https_timeout", "mqtt_timeout", "poll_timeout"} == codes(findings)
    assert 25 > took_s
