"""The lists of channels, locations and triggers: said when they change, and held against the configuration."""

import json

import pytest
from cloud_asking import Asker, Hands, account, cloud

from gateway.sources.camlytics_cloud import Rule, Rules, polls


def lists(method: str, **how) -> Asker:
    hands = Hands()
    poll = next(one for one in polls(account(**how)) if one.name.partition("shop.")[2].startswith(method))
    return Asker(poll, cloud(hands), hands)


def give(asker: Asker, *items: dict) -> list:
    body = json.dumps({"msg": "success", "code": 0, "result": list(items)}).encode()
    return list(asker.take(200, {}, body).reading.events)


@pytest.mark.parametrize(("method", "number"), [("channels", 2), ("locations", 1), ("triggers", 6)])
def test_a_list_is_said_once(method, number):
    """Everything in a list is one observation, and an unchanged list says nothing more."""
    asker = lists(method)
    assert [number, 0, 0] == [len(asker.page().reading.events) for _ in range(3)]


def test_a_name_that_changes_and_changes_back_is_said_each_time():
    """Three names in a row are three events, although the third is the first."""
    asker = lists("channels")
    said = [give(asker, {"id": "c1", "name": name, "active": 1})[0] for name in ("Door", "Gate", "Door")]
    assert len({event.id for event in said}) == 3
    assert ["Door", "Gate", "Door"] == [event.device.label for event in said]


def test_what_is_no_longer_listed_is_said():
    """A channel that disappears from the list is said to be gone, once."""
    asker = lists("channels")
    give(asker, {"id": "c1", "name": "Door"}, {"id": "c2", "name": "Gate"})
    gone = give(asker, {"id": "c1", "name": "Door"})
    assert [("Gate", False)] == [(event.data["name"], event.data["listed"]) for event in gone]
    assert [] == give(asker, {"id": "c1", "name": "Door"})


def test_the_hash_of_a_location_is_never_kept():
    """The opaque text of a location is in no event and in no cursor."""
    asker = lists("locations")
    item = {"id": 5, "name": "Shop", "version": "3.2.1", "timezone_offset": "-04:00", "hash": "CANARYhash"}
    events = give(asker, item)
    assert events[0].device.utc_offset_min == -240
    (far,) = give(asker, {**item, "timezone_offset": "+80:00"})
    assert far.device.utc_offset_min is None  # no place on earth is so far ahead
    assert events[0].device.label == "Shop"
    assert "CANARY" not in repr(events) + repr(asker.cursor)


def test_a_trigger_that_the_cloud_does_not_have_is_said():
    """A typing error in the configuration is a notice with the names that there are."""
    asker = lists("triggers", rules=Rules.of([Rule(trigger="Entr", direction="in")]))
    asker.page()
    uncounted, unknown = asker.notices
    assert "camlytics_cloud_trigger_unknown" == unknown.code
    assert '"Entr"' in unknown.sentence
    assert '"Enter"' in unknown.sentence
    assert "camlytics_cloud_uncounted" == uncounted.code
    assert '"Enter", "Exit"' in uncounted.sentence


def test_without_rules_a_person_is_told_that_nothing_counts():
    """Lines of which the configuration says nothing are a notice; one that shall be ignored is none."""
    asker = lists("triggers", rules=Rules.of([Rule(trigger="Exit", direction="ignore")]))
    asker.page()
    assert {"camlytics_cloud_uncounted"} == asker.codes()
    assert '"Enter"' in asker.notices[0].sentence
    assert '"Exit"' not in asker.notices[0].sentence


def test_a_trigger_that_is_switched_off_is_said():
    """A configured trigger that counts nothing because it is off is a notice."""
    asker = lists("triggers", rules=Rules.of([Rule(trigger="enter", direction="in")]))
    give(asker, {"id": "4", "name": "Enter", "active": 0, "type": "Line", "channel_id": "c"})
    assert {"camlytics_cloud_trigger_off"} == asker.codes()
    give(asker, {"id": "4", "name": "Enter", "active": 1, "type": "Line", "channel_id": "c"})
    assert set() == asker.codes()


def test_a_location_that_the_account_does_not_have_is_said():
    """A wrong location id is a notice with the ids that there are."""
    asker = lists("locations", locations=(101, 999))
    asker.page()
    assert {"camlytics_cloud_location_unknown"} == asker.codes()
    assert '"999"' in asker.notices[0].sentence
    assert '"101"' in asker.notices[0].sentence


def test_odd_items_do_no_harm():
    """Items without an id are passed over, and hostile names are bounded and made printable."""
    asker = lists("channels")
    events = give(asker, {}, {"id": None}, {"id": "c9", "name": "\x1b[31m" + "x" * 999, "active": "maybe"})
    assert len(events) == 1
    assert "\x1b" not in str(events[0].data["name"])
    assert len(str(events[0].data["name"])) <= 200
    assert events[0].data["active"] is None
