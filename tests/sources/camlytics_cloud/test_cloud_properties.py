"""Whatever order, repetition and cutting the cloud gives its records in, the numbers are the same."""

import json
from random import Random

from cloud_asking import NOON, RULES, Asker, Hands, account, cloud, owed
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.source import Post
from gateway.sources.camlytics_cloud import CamlyticsCloudWebhook, polls


def _world():
    hands = Hands()
    stand_in = cloud(hands, rate=1.0)
    hands.at += 1800
    stand_in.world.catch_up()
    return hands, stand_in


_HANDS, _CLOUD = _world()
_RECORDS = [record for record in _CLOUD.world.arrivals if record.arrives < NOON.timestamp() + 1700]
_NAMES = {
    trigger: name
    for channel in _CLOUD.world.channels(_CLOUD.world.places[0])
    for name, trigger in _CLOUD.world.triggers(channel).items()
}


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 12), st.floats(0, 1))
def test_any_order_and_cutting_gives_the_same_numbers(luck: Random, pages: int, pushed: float):
    """Records shuffled, repeated, cut into pages and partly pushed add up to what the people did."""
    asker = Asker(next(one for one in polls(account()) if one.name.endswith("events")), _CLOUD, _HANDS)
    walk = {"since": 1, "until": None, "span": 10**12, "newest": None}
    asker.cursor = {"walk": walk, "names": _NAMES, "named": int(_HANDS.at * 1000)}
    given_out = [*_RECORDS, *luck.choices(_RECORDS, k=len(_RECORDS) // 2)]
    luck.shuffle(given_out)
    webhook = CamlyticsCloudWebhook(RULES)
    for page in range(pages):
        records = given_out[page::pages]
        if luck.random() < pushed:
            body = json.dumps([record.as_json(webhook=True) for record in records]).encode()
            post = Post(method="POST", path="/", body=body, address="::1", received_at=NOON)
            asker.keep(webhook.parse(post).events)
        body = json.dumps({"code": 0, "result": [record.as_json() for record in records]}).encode()
        asker.take(200, {}, body)
    assert owed(_CLOUD, max(record.at for record in _RECORDS)) == asker.sums()
    assert len(_RECORDS) == len(asker.events)
