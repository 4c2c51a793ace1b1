"""What one record becomes: a count, an alarm or an observation, the same by either way."""

from datetime import UTC, datetime

import pytest
from cloud_asking import RULES

from gateway.errors import Unreadable
from gateway.event import Kind, ZoneRule
from gateway.sources.camlytics_cloud import Rule, Rules
from gateway.sources.camlytics_cloud.records import Reader

_ITEM = {
    "record_id": 1635, "event_type": "TripwireCrossed", "snapshot_id": -23, "trigger_id": "4-enter",
    "origin": "Pedestrian", "suborigin": "Unknown", "age_range": "", "gender": "", "id": 34454545,
    "channel_id": "35576ahb-56656-45781-acb45_000015E2", "object_id": 6, "location_id": 123,
    "event_time": "2026-05-05T13:00:00.250+01:00",
}  # fmt: skip
_NAMES = {"4-enter": "Enter", "5-exit": "Exit", "6-area": "Area"}


def read(rules: Rules = RULES, keep=frozenset(), names=_NAMES, **changed):
    return Reader(rules, frozenset(keep), names).event({**_ITEM, **changed}, repaired=False)


def test_a_crossing_of_a_known_line_is_a_count():
    """One person who crosses a line of which the owner said what it means is one increment in its zone."""
    event = read()
    assert event.kind == Kind.COUNT
    assert (1, 0, "increment", "hall") == tuple(
        event.data[name] for name in ("enters", "exits", "count", "zone")
    )
    assert event.data["name"] == "Enter"
    assert event.time == event.end == datetime(2026, 5, 5, 12, 0, 0, 250_000, tzinfo=UTC)
    assert event.zone_rule == ZoneRule.DEVICE_OFFSET
    assert event.device.id == "camlytics_cloud-35576ahb-56656-45781-acb45_000015e2"


def test_a_rule_may_name_the_id():
    """An id is enough without any names, and goes before a rule for the name."""
    rules = Rules.of([Rule(trigger="Enter", direction="in"), Rule(trigger="4-ENTER", direction="out")])
    assert (0, 1) == (read(rules).data["enters"], read(rules).data["exits"])
    assert read(rules, names=None).data["exits"] == 1


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"trigger_id": "9-unknown"}, Kind.OBSERVATION),
        ({"trigger_id": None}, Kind.OBSERVATION),
        ({"origin": "Vehicle", "suborigin": "Car"}, Kind.OBSERVATION),
        ({"origin": "Face"}, Kind.OBSERVATION),
        ({"origin": ""}, Kind.COUNT),
        ({"origin": "Unknown"}, Kind.COUNT),
        ({"event_type": "RegionJoin", "trigger_id": "6-area"}, Kind.OBSERVATION),
        ({"event_type": "SomethingNew"}, Kind.OBSERVATION),
        ({"event_type": "Sabotage"}, Kind.ALARM),
        ({"event_type": "CrowdOff"}, Kind.ALARM),
    ],
)
def test_only_people_who_cross_known_lines_are_counted(changed, kind):
    """Vehicles, faces, unknown lines and other types are kept, and add to no count."""
    assert kind == read(**changed).kind


def test_an_area_with_a_zone_counts_who_joins_and_leaves():
    """A rule with a zone and no direction makes joining an entry and leaving an exit."""
    rules = Rules.of([Rule(trigger="Area", zone="queue")])
    join = read(rules, event_type="RegionJoin", trigger_id="6-area").data
    leave = read(rules, event_type="RegionLeave", trigger_id="6-area").data
    assert [(1, 0), (0, 1)] == [(data["enters"], data["exits"]) for data in (join, leave)]
    ignored = Rules.of([Rule(trigger="Area", zone="queue", direction="ignore")])
    assert read(ignored, event_type="RegionJoin", trigger_id="6-area").kind == Kind.OBSERVATION


def test_other_origins_count_when_they_are_listed():
    """A gate for cars counts cars when the owner says so."""
    rules = Rules.of([Rule(trigger="Enter", direction="in")], ["Vehicle"])
    assert [Kind.COUNT, Kind.OBSERVATION] == [
        read(rules, origin=origin).kind for origin in ("Vehicle", "Unknown")
    ]


def test_both_ways_of_a_record_are_one_fact():
    """The webhook's record without id and offset has the identity of the polled one, and yields to it."""
    polled = read(event_time="2026-05-05T12:00:00.250+00:00")
    pushed = read(names=None, id=None, event_time="2026-05-05 12:00:00.250")
    assert (polled.id, polled.time) == (pushed.id, pushed.time)
    assert pushed.zone_rule == ZoneRule.VENDOR_UTC
    assert polled.revision > pushed.revision


def test_record_numbers_of_two_places_and_days_are_apart():
    """The same number at another location, or on another day after a new installation, is another fact."""
    ids = {read().id, read(location_id=124).id, read(event_time="2026-06-05T12:00:00.250+00:00").id}
    assert len(ids) == 3


def test_a_record_without_a_number_is_known_by_all_that_it_says():
    """Two records without record_id are one only when they say the same."""
    one, same, other = (read(record_id=None, object_id=number) for number in (1, 1, 2))
    assert one.id == same.id != other.id


@pytest.mark.parametrize("missing", [{"event_type": ""}, {"event_time": None}, {"event_time": "yesterday"}])
def test_a_record_without_type_or_time_is_unreadable(missing):
    """What happened when nobody knows is not counted anywhere."""
    with pytest.raises(Unreadable, match="does not say"):
        read(**missing)


def test_personal_fields_stay_behind_unless_listed():
    """Age and gender of a face enter an event only when some sink lists them, each by itself."""
    face = {"origin": "Face", "age_range": "26 - 35", "gender": "Male"}
    assert dict(read(**face).personal) == {}
    assert dict(read(keep={"age_range"}, **face).personal) == {"age_range": "26 - 35"}
    assert dict(read(keep={"gender_seen"}, **face).personal) == {"gender_seen": "Male"}
    assert not {"26 - 35", "Male", -23} & set(map(str, read(**face).data.values()))


def test_unknown_fields_are_named_and_not_kept():
    """Of a field that we do not know only the name is kept."""
    data = read(mood="sad", **{"x y": 1}).data
    assert data["extra_fields"] == ["mood"]
    assert "sad" not in str(data)
