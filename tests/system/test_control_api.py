"""The daemon's own API, asked by a client that is made from the description that the daemon itself serves."""

import json
import socket
import time
import urllib.request
from pathlib import Path

import pytest
from described_client import Asked, Operation, UnixClient, objection, operations, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from site_under_test import SMALL_SITE, Daemon

from gateway.control.description import READS, description
from gateway.simulate.ports import free_port

CONFIG = (
    SMALL_SITE
    + """
[gateway]
id = "gw-test"
[sinks.home]
type = "mqtt"
endpoint = "mqtt://127.0.0.1:{closed}"
[zones.hall]
doors = ["counter-sn-1"]
"""
)
FIXTURES = Path(__file__).parent.parent / "fixtures"
OPERATIONS = [one for one in operations(description()) if one.path != "/tail"]
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")
_FEW = settings(
    max_examples=6,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def daemon(tmp_path_factory):
    """A daemon with a zone, a sink that cannot be reached, some events, and a letter."""
    directory = tmp_path_factory.mktemp("control")
    port = free_port()
    config = directory / "gateway.toml"
    config.write_text(CONFIG.format(directory=directory, port=port, closed=free_port()))
    running = Daemon(directory, config, port)
    running.start()
    bodies = [path.read_bytes() for path in sorted(FIXTURES.glob("people_counter/*/body"))[:12]]
    bodies += [path.read_bytes() for path in sorted(FIXTURES.glob("face_terminal/*/body"))[:12]]
    for body in [*bodies, b"neither XML nor JSON"]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", body, method="POST")
        urllib.request.urlopen(request, timeout=20).read()
    yield running
    assert running.running, "the daemon outlived all of this"
    assert running.stop() == 0
    log = running.log.read_text()
    assert "Traceback" not in log, log[-3_000:]


@pytest.fixture
def client(daemon):
    return UnixClient(daemon.config.parent / "control.sock")


@pytest.fixture(scope="session")  # tests of one file do not run in one go
def document(daemon):
    return UnixClient(daemon.config.parent / "control.sock").document()


def test_the_description_is_served_as_it_is_written(document):
    """What the daemon serves is the description that this client is made from, and names every thing to read."""
    assert json.loads(json.dumps(description())) == document
    assert {f"/read/{name}" for name in READS} <= set(document["paths"])


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("fits", [True, False], ids=["fitting", "hostile"])
def test_every_operation_answers_as_it_is_described(client, document, operation, fits):
    """Asked for what fits or for what does not, an operation gives described statuses and bodies only."""

    @_FEW
    @given(requests(operation, fits=fits))
    def asked(request: Asked) -> None:
        assert objection(document, operation, client.send(request)) is None, request

    asked()


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/letters/99999999999999999999/retry", 404),
        ("/letters/" + "9" * 5_000 + "/drop", 404),
        ("/letters/-1/drop", 404),
        ("/letters/١/drop", 404),
        ("/letters/1/burn", 404),
    ],
)
def test_a_letter_of_no_number_is_not_there(client, target, status):
    """A number that no store can hold is no letter, and no fault of the daemon."""
    assert status == client.send(Asked("POST", target.replace("١", "%D9%A1"))).status


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/occupancy", b'{"zone":"hall","people":9223372036854775807}'),
        ("/adopt", b'{"window_min":' + b"9" * 400 + b"}"),
        ("/capture", b'{"device":"x","minutes":' + b"9" * 400 + b"}"),
        ("/replay", b'{"sink":"home","first":1e999,"last":2}'),
        ("/adopt", b'{"device":"\\ud800"}'),
        ("/erase", b'{"person":"\\udfff"}'),
        ("/adopt", b"[" * 50_000),
        ("/adopt", b'{"device":"' + b"x" * 100_000 + b'"}'),
    ],
)
def test_numbers_and_texts_that_no_store_holds_are_refused(client, target, body):
    """A number beyond 64 bits, half a character, depth and size get a sentence each, and nothing is changed."""
    answered = client.send(Asked("POST", target, body))
    assert answered.status in (400, 409), answered
    assert json.loads(answered.body)["problem"]


def test_a_negative_count_is_not_the_whole_log(client):
    """Where SQLite would read -1 as "all", nothing is given."""
    assert [] == json.loads(client.send(Asked("GET", "/read/entries?count=-1")).body)["done"]


@_FEW
@given(st.data())
def test_what_is_not_described_is_not_there(client, data):
    """Other paths give 404, other methods 405, each with a sentence in JSON."""
    known = {one.path for one in OPERATIONS} | {"/tail"}
    path = "/" + data.draw(
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#%"), max_size=30)
    )
    if path not in known:
        answered = client.send(Asked("GET", path))
        assert answered.status in (404, 405), path
        assert json.loads(answered.body)["problem"]
    operation: Operation = data.draw(st.sampled_from(OPERATIONS))
    others = [method for method in _METHODS if method.lower() != operation.method]
    method = data.draw(st.sampled_from(others))
    answered = client.send(Asked(method, operation.path.replace("{number}", "1").replace("{name}", "home")))
    assert answered.status == 405, (method, operation.path)


def test_a_reader_that_hangs_up_costs_nothing(client, daemon):
    """Following the pushes and going away leaves the daemon as it was."""
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(daemon.config.parent / "control.sock"))
            raw.sendall(b"GET /tail HTTP/1.1\r\nHost: gateway\r\n\r\n")
            assert raw.recv(12) == b"HTTP/1.1 200"
    time.sleep(0.1)
    assert client.send(Asked("GET", "/status")).status == 200
