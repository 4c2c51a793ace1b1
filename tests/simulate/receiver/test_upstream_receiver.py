"""The receiving stand-in is strict: a mistake of a sender must show."""

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import ssl
import time

import pytest

from gateway.simulate.receiver import Fault, Outcome, Receiver
from gateway.simulate.receiver.arrivals import Arrivals

KEY = b"0123456789abcdefghijklmnopqrstuv"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json; charset=utf-8"


@pytest.fixture
def receiver(tmp_path):
    """Give a running receiver that knows one secret."""
    with Receiver(tmp_path, secrets=(SECRET,), keep_data=True) as running:
        yield running


def cloud_event(number=1, **changes):
    event = {
        "specversion": "1.0",
        "id": f"e{number}:3",
        "source": "/gateway/g",
        "type": "t",
        "subject": "d",
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "eventid": f"e{number}",
        "revision": "3",
        "sequence": f"{number:016d}",
        "data": {"n": number, "late": False},
        **changes,
    }
    return {name: value for name, value in event.items() if value is not None}


def signed(body, *, key=KEY, name="m1", moment=None, content_type=SINGLE, **headers):
    """Make the headers of a request by hand, without any code of the product."""
    moment = str(int(time.time())) if moment is None else str(moment)
    mac = hmac.new(key, f"{name}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": content_type,
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        **{field.replace("_", "-"): value for field, value in headers.items()},
    }


def post(receiver, body, headers, method="POST"):
    context = ssl.create_default_context(cafile=receiver.ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", receiver.port, context=context, timeout=5)
    try:
        connection.request(method, "/events", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def send(receiver, *events, **settings):
    """Post one event, or several as a batch."""
    content = events[0] if len(events) == 1 else list(events)
    body = json.dumps(content).encode()
    settings.setdefault("content_type", SINGLE if len(events) == 1 else BATCH)
    return post(receiver, body, signed(body, **settings))


def test_a_good_event_is_taken(receiver):
    """A signed event is in the ledger when its answer is there."""
    assert 200 == send(receiver, cloud_event())
    (delivery,) = receiver.ledger.deliveries
    assert ("e1", 3, 1) == (delivery.id, delivery.revision, delivery.request)
    assert [{"n": 1, "late": False}] == list(receiver.ledger.messages())


def test_a_batch_is_taken_in_its_order(receiver):
    """All events of a batch are in the ledger, in order, with the number of their request."""
    assert 200 == send(receiver, cloud_event(2), cloud_event(1), cloud_event(3))
    assert ["e2", "e1", "e3"] == receiver.ledger.ids


def test_a_compressed_body_is_verified_unpacked(receiver):
    """The signature is that of the JSON, not of the gzip."""
    body = json.dumps(cloud_event()).encode()
    packed = gzip.compress(body)
    assert 200 == post(receiver, packed, signed(body, content_encoding="gzip"))
    assert 401 == post(receiver, packed, signed(packed, content_encoding="gzip"))
    assert 1 == receiver.bad_signatures


@pytest.mark.parametrize(
    "change",
    [
        {"key": b"another key, also of 32 bytes..."},
        {"moment": 1_600_000_000},
        {"moment": 32_000_000_000},
        {"moment": "soon"},
        {"moment": "-1"},
        {"webhook_id": "m2"},
        {"webhook_id": ""},
        {"webhook_signature": ""},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1,%%%"},
        {"webhook_signature": "v2,AAAA"},
    ],
)
def test_a_wrong_signature_is_refused_and_counted(receiver, change):
    """Another key, time, id or form is 401, counted, and takes nothing."""
    assert 401 == send(receiver, cloud_event(), **change)
    assert (1, 0) == (receiver.bad_signatures, len(receiver.ledger))


def test_a_changed_body_is_refused(receiver):
    """One changed byte is enough."""
    body = json.dumps(cloud_event()).encode()
    assert 401 == post(receiver, body.replace(b"e1", b"e2"), signed(body))
    assert (1, 0) == (receiver.bad_signatures, len(receiver.ledger))


def test_one_good_signature_of_several_is_enough(receiver):
    """While a secret is changed the other signature does not disturb."""
    body = json.dumps(cloud_event()).encode()
    headers = signed(body)
    wrong = signed(body, key=b"x" * 32)["webhook-signature"]
    headers["webhook-signature"] = f"{wrong} v1a,AAAA {headers['webhook-signature']}"
    assert 200 == post(receiver, body, headers)


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"id": None},
        {"id": "e1:4"},
        {"source": ""},
        {"type": 7},
        {"revision": 3},
        {"revision": "x", "id": "e1:x"},
        {"time": "yesterday"},
        {"datacontenttype": None},
        {"data": "text"},
        {"data": None},
        {"Upper": "x"},
        {"with_underscore": "x"},
    ],
)
def test_what_is_no_cloud_event_is_refused(receiver, change):
    """A missing or malformed attribute is 400, named, and takes nothing, alone or in a batch."""
    assert 400 == send(receiver, cloud_event(1, **change))
    assert 400 == send(receiver, cloud_event(2), cloud_event(1, **change))
    assert (2, 0) == (len(receiver.malformed), len(receiver.ledger))


@pytest.mark.parametrize(
    ("body", "settings"),
    [
        (b"{", {}),
        (b"[]", {"content_type": SINGLE}),
        (b"{}", {"content_type": BATCH}),
        (b"{}", {"content_type": "application/json"}),
        (b"{}", {"content_encoding": "zstd"}),
        (b"{}", {"content_encoding": "gzip"}),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content_encoding": "gzip"}),
    ],
)
def test_a_body_that_is_not_what_it_claims_is_refused(receiver, body, settings):
    """Type and compression must be those of the headers."""
    assert 400 == post(receiver, body, signed(body, **settings))
    assert 1 == len(receiver.malformed)


def test_only_post_is_answered(receiver):
    """Another method is 405."""
    assert 405 == post(receiver, b"", {}, method="PUT")


def test_the_ledger_tells_duplicates_from_conflicts():
    """The same id and revision is a duplicate; with other content beside ``late`` it is a conflict."""
    ledger = Arrivals(keep_data=False)
    ledger.take([cloud_event(1)], 1)
    ledger.take([cloud_event(1, data={"late": True, "n": 1})], 2)
    assert (1, [("e1", 3)], []) == (ledger.unique, ledger.duplicates, ledger.conflicts)
    ledger.take([cloud_event(1, data={"n": 2})], 3)
    ledger.take([cloud_event(1, revision="4")], 4)
    assert (2, [("e1", 3)] * 2, [("e1", 3)]) == (ledger.unique, ledger.duplicates, ledger.conflicts)
    assert 4 == len(ledger)


def test_the_script_comes_before_the_decision(receiver):
    """Scripted outcomes are used up in order, then the decision is asked, then everything is taken."""
    receiver.script.extend([Outcome(status=503), Outcome(status=202)])
    receiver.decide = lambda request: Outcome(status=418) if request.number == 3 else None
    assert [503, 202, 418, 200] == [send(receiver, cloud_event(n)) for n in range(1, 5)]
    assert ["e2", "e4"] == receiver.ledger.ids


def test_what_is_not_in_order_uses_up_no_outcome(receiver):
    """A bad signature does not spend the script."""
    receiver.script.append(Outcome(status=503))
    assert 401 == send(receiver, cloud_event(), webhook_id="other")
    assert 503 == send(receiver, cloud_event())


@pytest.mark.parametrize("fault", [Fault.NO_REPLY, Fault.RESET, Fault.CUT, Fault.HANG])
def test_faults_break_the_exchange(receiver, fault):
    """Each fault is an error for the client; only the ones after the body have taken the event."""
    receiver.script.append(Outcome(fault=fault, body=b"cut"))
    context = ssl.create_default_context(cafile=receiver.ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", receiver.port, context=context, timeout=0.3)
    body = json.dumps(cloud_event()).encode()
    connection.request("POST", "/events", body, signed(body))
    with pytest.raises((OSError, http.client.HTTPException)):
        connection.getresponse().read()
    connection.close()
    assert (0 if fault is Fault.RESET else 1) == len(receiver.ledger)


def test_it_starts_again_on_the_same_port_with_the_same_certificate(receiver):
    """Ledger, port and CA outlive a stop; in between nobody listens."""
    port, ca = receiver.port, receiver.ca_file.read_bytes()
    send(receiver, cloud_event(1))
    receiver.stop()
    with pytest.raises(ConnectionRefusedError):
        send(receiver, cloud_event(2))
    receiver.start()
    assert 200 == send(receiver, cloud_event(3))
    assert (port, ca) == (receiver.port, receiver.ca_file.read_bytes())
    assert ["e1", "e3"] == receiver.ledger.ids


def test_a_port_in_use_is_said_at_start(receiver, tmp_path):
    """A second receiver on the same port fails where it is started."""
    with pytest.raises(OSError, match="address already in use"):
        Receiver(tmp_path, tls=False, port=receiver.port).start()


def test_waiting_for_events(receiver):
    """The wait ends when they are there, and says when they do not come."""
    send(receiver, cloud_event(1), cloud_event(2))
    assert receiver.wait_for(2)
    assert not receiver.wait_for(3, timeout_s=0.05)


def test_nonsense_does_not_end_the_receiver(receiver):
    """A broken request line or length breaks its own connection only."""
    for raw in (b"\r\n\r\n", b"POST\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n"):
        context = ssl.create_default_context(cafile=receiver.ca_file)
        connection = http.client.HTTPSConnection("127.0.0.1", receiver.port, context=context, timeout=5)
        connection.connect()
        connection.sock.sendall(raw)
        assert b"" == connection.sock.recv(10)
        connection.close()
    assert 200 == send(receiver, cloud_event())
