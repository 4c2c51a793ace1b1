"""What a receiver gets when nothing goes wrong."""

import base64
import dataclasses
import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.simulate.receiver import Outcome

pytestmark = pytest.mark.anyio

OTHER = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def keep_requests(receiver):
    """Make the receiver keep every request that was in order."""
    kept = []
    receiver.decide = kept.append  # returns None: no opinion, so the request is taken
    return kept


def ids(events):
    return [event.id for event in events]


async def test_single_events_arrive_one_per_request_in_order(receiver, build_sink, make_events):
    """With batch 1 every event is a request of its own, and all come in the order of the log."""
    events = make_events(5)
    assert {} == await build_sink(receiver).send(events)
    assert ids(events) == receiver.ledger.ids
    assert 5 == receiver.requests
    assert [1, 2, 3, 4, 5] == [delivery.request for delivery in receiver.ledger.deliveries]


async def test_a_batch_is_cut_to_the_size_the_receiver_asked_for(receiver, build_sink, make_events):
    """With batch 4, ten events come as 4, 4 and 2, in order."""
    events = make_events(10)
    assert {} == await build_sink(receiver, batch=4).send(events)
    assert ids(events) == receiver.ledger.ids
    assert [1, 1, 1, 1, 2, 2, 2, 2, 3, 3] == [delivery.request for delivery in receiver.ledger.deliveries]


async def test_no_events_make_no_request(receiver, build_sink):
    """An empty batch is done without a request."""
    assert {} == await build_sink(receiver).send([])
    assert 0 == receiver.connections


async def test_opening_makes_no_request(receiver, build_sink):
    """Opening the sink does not touch the receiver."""
    await build_sink(receiver).open()
    assert 0 == receiver.connections


@pytest.mark.parametrize("batch", [1, 3])
async def test_the_cloud_event_has_every_attribute_and_the_payload_unchanged(
    receiver, build_sink, make_events, batch
):
    """Attributes follow from the event, the data is the payload byte for byte."""
    requests = keep_requests(receiver)
    event = make_events(1, first=41)[0]
    await build_sink(receiver, batch=batch).send([event])
    (request,) = requests
    (got,) = request.events
    expected = {
        "specversion": "1.0",
        "id": f"{event.id}:1",
        "source": "/gateway/gw7",
        "type": "site-gateway.count.v1",
        "subject": "counter-d1",
        "time": "2026-03-04T05:06:07.000Z",
        "datacontenttype": "application/json",
        "eventid": event.id,
        "revision": "1",
        "sequence": "0000000000000041",
        "data": json.loads(event.payload),
    }
    assert expected == got
    assert event.payload in request.body
    kind = "cloudevents-batch" if batch > 1 else "cloudevents"
    assert f"application/{kind}+json; charset=utf-8" == request.headers["content-type"]


async def test_a_correction_is_another_cloud_event(receiver, build_sink, make_events):
    """The same id with a higher revision, beyond 2**31, has another CloudEvents id and is no duplicate."""
    first = make_events(1)
    second = make_events(1, revision=2**53 - 1)
    sink = build_sink(receiver)
    await sink.send(first)
    await sink.send(second)
    assert {(first[0].id, 1), (first[0].id, 2**53 - 1)} == set(receiver.ledger.first)
    assert [] == receiver.ledger.duplicates


async def test_hostile_ids_do_not_break_headers_or_json(receiver, build_sink, make_events):
    """Quotes, line ends, full stops and foreign letters in ids arrive as they are, with a good signature."""
    odd = 'a"b\\c\r\nx: y.門\x00'
    event = dataclasses.replace(make_events(1)[0], id=odd, device='d"\n')
    requests = keep_requests(receiver)
    await build_sink(receiver).send([event])
    assert odd == requests[0].events[0]["eventid"]
    assert 'd"\n' == requests[0].events[0]["subject"]
    assert "." not in requests[0].headers["webhook-id"]


@pytest.mark.parametrize("gzip", [True, False])
async def test_large_bodies_are_compressed_only_when_wanted(receiver, build_sink, make_events, gzip):
    """With gzip the body on the wire is smaller than the events; without, it is the events."""
    requests = keep_requests(receiver)
    await build_sink(receiver, batch=100, gzip=gzip).send(make_events(100))
    (request,) = requests
    assert gzip == (request.wire_bytes < len(request.body) // 2)
    assert gzip == (request.headers.get("content-encoding") == "gzip")
    assert 100 == len(request.events)


async def test_small_bodies_are_not_compressed(receiver, build_sink, make_events):
    """A body below one packet is sent as it is."""
    requests = keep_requests(receiver)
    await build_sink(receiver).send(make_events(1))
    assert "content-encoding" not in requests[0].headers


@pytest.mark.parametrize("batch", [1, 300])
async def test_an_independent_verifier_accepts_every_signature(
    receiver, build_sink, make_events, secret, batch
):
    """The published verifier accepts body and headers, unpacked, and refuses a changed body."""
    requests = keep_requests(receiver)
    await build_sink(receiver, batch=batch).send(make_events(300, filler=300 if batch > 1 else 0))
    assert 300 // batch == len(requests)
    for request in requests:
        Webhook(secret).verify(request.body, dict(request.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body + b" ", dict(request.headers))


async def test_while_a_secret_changes_both_sides_of_the_change_accept(
    start_receiver, build_sink, make_events, secret
):
    """A request signed with two secrets is good for a receiver that knows either one."""
    for known in (secret, OTHER):
        receiver = start_receiver(secrets=(known,))
        await build_sink(receiver, secrets=(OTHER, secret)).send(make_events(2))
        assert 2 == receiver.ledger.unique
        assert 0 == receiver.bad_signatures


async def test_without_a_secret_the_request_has_an_id_and_no_signature(
    start_receiver, build_sink, make_events
):
    """An unsigned sink still names its requests, so that the receiver can tell a repeated one."""
    receiver = start_receiver(secrets=())
    requests = keep_requests(receiver)
    await build_sink(receiver, secrets=()).send(make_events(1))
    assert "webhook-signature" not in requests[0].headers
    assert requests[0].headers["webhook-id"] == requests[0].headers["idempotency-key"]


@pytest.mark.parametrize("batch", [1, 5])
async def test_a_request_keeps_its_id_when_it_is_repeated(receiver, build_sink, make_events, batch):
    """The same events have the same webhook id from another sink object, as after a crash."""
    requests = keep_requests(receiver)
    events = make_events(5)
    await build_sink(receiver, batch=batch).send(events)
    await build_sink(receiver, batch=batch).send(events)
    names = [request.headers["webhook-id"] for request in requests]
    assert names[: len(names) // 2] == names[len(names) // 2 :]
    assert len(names) // 2 == len(set(names))


async def test_a_new_log_makes_new_batch_ids(receiver, build_sink, make_events):
    """Other events under the same log numbers have another webhook id, so no receiver drops them as known."""
    requests = keep_requests(receiver)
    events = make_events(3)
    await build_sink(receiver, batch=3).send(events)
    await build_sink(receiver, batch=3).send([dataclasses.replace(one, id=f"{one.id}0") for one in events])
    assert requests[0].headers["webhook-id"].startswith("batch-gw7-1-3-3-")
    assert requests[0].headers["webhook-id"] != requests[1].headers["webhook-id"]


async def test_bearer_and_own_headers_are_sent(start_receiver, build_sink, make_events):
    """The receiver gets the bearer token and the configured headers with every request."""
    receiver = start_receiver(bearer="t0ken")
    requests = keep_requests(receiver)
    await build_sink(receiver, bearer="t0ken", headers={"X-Site": "north 7"}).send(make_events(2))
    assert ["north 7", "north 7"] == [request.headers["x-site"] for request in requests]
    assert 0 == receiver.bad_logins


async def test_a_batch_is_bounded_in_bytes(receiver, build_sink, make_events):
    """No request is larger than batch_bytes, except for one event that is larger by itself."""
    requests = keep_requests(receiver)
    events = [*make_events(6, filler=1000), *make_events(1, first=7, filler=9000), *make_events(2, first=8)]
    await build_sink(receiver, batch=100, batch_bytes=5000).send(events)
    assert ids(events) == receiver.ledger.ids
    assert [1] == [len(request.events) for request in requests if len(request.body) > 5000]
    assert 5 > len(requests)


async def test_one_connection_serves_all_requests(receiver, build_sink, make_events):
    """Requests one after the other share a connection, over calls as well."""
    sink = build_sink(receiver)
    await sink.send(make_events(20))
    await sink.send(make_events(20, first=21))
    assert 1 == receiver.connections
    assert 40 == receiver.requests


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_success(receiver, build_sink, make_events, status):
    """Any 2xx takes the event, with a body or without."""
    receiver.script.append(Outcome(status=status, body=b"" if status == 204 else b"thanks"))
    assert {} == await build_sink(receiver).send(make_events(1))


async def test_a_long_answer_is_not_read_to_its_end(receiver, build_sink, make_events):
    """An answer of a megabyte counts by its status, and the next request still works."""
    receiver.script.append(Outcome(body=b"x" * 1_000_000))
    assert {} == await build_sink(receiver).send(make_events(2))
    assert 2 == receiver.ledger.unique


async def test_plain_http_to_this_machine_works(start_receiver, build_sink, make_events):
    """A loopback endpoint may do without TLS."""
    receiver = start_receiver(tls=False)
    assert {} == await build_sink(receiver).send(make_events(1))
    assert 1 == receiver.ledger.unique


@pytest.mark.parametrize("batch", [1, 2])
async def test_a_person_who_is_erased_meanwhile_is_in_no_further_request(
    receiver, build_sink, make_events, batch
):
    """An event that gives way to the same one with another payload goes out as that one, if it is not out yet."""
    events = make_events(5)
    told = []

    def erased(request):
        told.extend(event["data"] for event in request.events)
        for index, event in enumerate(events):
            events[index] = dataclasses.replace(event, payload=b'{"stripped":true}')

    receiver.decide = erased
    assert {} == await build_sink(receiver, batch=batch).send(events)
    assert [False] * batch + [True] * (5 - batch) == ["stripped" in data for data in told]
