"""The webhooks of the cloud: recognised by their body, read whole or not at all."""

import json

import pytest
from cloud_asking import NOON, RULES, Asker, Hands, account, cloud, owed, tallied

from gateway.errors import Unreadable
from gateway.source import Post
from gateway.sources.camlytics_cloud import CamlyticsCloudWebhook, Rule, Rules, polls


def post(body) -> Post:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Post(method="POST", path="/", body=content, address="127.0.0.1", received_at=NOON)


def ids_of(stand_in) -> Rules:
    world = stand_in.world
    triggers = [world.triggers(channel) for place in world.places for channel in world.channels(place)]
    ways = (("Enter", "in"), ("Exit", "out"))
    return Rules.of([Rule(trigger=one[name], direction=way) for one in triggers for name, way in ways])


def test_it_knows_its_own_bodies():
    """An array of records is ours; other arrays, objects and XML are not."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 600
    stand_in.world.catch_up()
    webhook = CamlyticsCloudWebhook()
    body = json.dumps([record.as_json(webhook=True) for record in stand_in.world.arrivals]).encode()
    assert webhook.recognises(post(body))
    assert webhook.recognises(post(b"\xef\xbb\xbf\r\n " + body))
    for other in (b"[]", b"[1]", b'[{"id": 1}]', b'{"record_id": 1}', b"<xml/>", b""):
        assert not webhook.recognises(post(other))


def test_both_ways_count_once_in_any_order():
    """Polled and pushed, or pushed and polled, the numbers are those of the ledger."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 3600
    asker = Asker(next(one for one in polls(account()) if one.name.endswith("events")), stand_in, hands)
    hands.at += 900
    asker.round()
    pushed = [record.as_json(webhook=True) for record in stand_in.world.arrivals]
    for rules in (RULES, ids_of(stand_in), Rules()):
        events = CamlyticsCloudWebhook(rules).parse(post(pushed)).events
        assert {event.id for event in events} == set(asker.events)
        before = dict(asker.events)
        asker.keep(events)  # pushed after polled
        assert before == asker.events
        mixed = Asker(asker.poll, stand_in, hands)
        mixed.keep(events)  # pushed before polled
        mixed.keep(list(before.values()))
        assert owed(stand_in) == mixed.sums() == asker.sums()


def test_webhooks_alone_count_with_rules_by_id():
    """A gateway that polls nothing counts what webhooks say, when the rules name ids."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 3600
    stand_in.world.catch_up()
    reading = CamlyticsCloudWebhook(ids_of(stand_in)).parse(
        post([record.as_json(webhook=True) for record in stand_in.world.arrivals])
    )
    assert owed(stand_in) == tallied(reading.events)
    assert () == reading.notices


@pytest.mark.parametrize(("polled", "codes"), [(False, ["camlytics_cloud_trigger_by_name"]), (True, [])])
def test_rules_by_name_need_a_poll(polled, codes):
    """Without a poll a rule by name counts nothing by webhook, and that is said."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 600
    stand_in.world.catch_up()
    webhook = CamlyticsCloudWebhook(RULES, polled=polled)
    reading = webhook.parse(post([record.as_json(webhook=True) for record in stand_in.world.arrivals]))
    assert codes == [notice.code for notice in reading.notices]


@pytest.mark.parametrize(
    "body", [b"{}", b"[1]", b"[{}]", b'[{"record_id": 1', b'[{"record_id": 1, "event_type": "X"}]']
)
def test_what_cannot_be_read_is_a_letter(body):
    """An array with one record that nobody can read is kept whole for a person."""
    with pytest.raises(Unreadable):
        CamlyticsCloudWebhook().parse(post(body))


def test_the_cloud_is_told_in_http():
    """Taken is 200, not stored is 503."""
    webhook = CamlyticsCloudWebhook()
    assert [200, 503] == [webhook.accepted(post(b"[]")).status, webhook.refused(post(b"[]")).status]
