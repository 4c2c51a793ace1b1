"""The poll of a Camlytics on the LAN: pages, places, numberings, totals. Pure, so without a socket."""

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from camlytics_pages import CHANNEL, HALL, LISBON, NOW, Asker, answer, following, record, sums_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Unreadable
from gateway.event import Kind
from gateway.simulate.camlytics import Pc
from gateway.simulate.camlytics.pc import CANARY
from gateway.simulate.camlytics.story import Seen
from gateway.sources.camlytics import CamlyticsPoll, Rule
from gateway.sources.camlytics.meaning import TYPES

POLL = CamlyticsPoll(HALL)


class HandClock:
    def __init__(self, now: float) -> None:
        self.at = now

    def now(self) -> float:
        return self.at


def pc_at(moment: datetime = NOW, **more: object) -> Pc:
    given = {"rate": 10, "zone": LISBON, "start": moment.timestamp() - 1800}
    return Pc(HandClock(moment.timestamp()), **{**given, **more})


def truth(pc: Pc) -> Counter:
    sums: Counter = Counter()
    for stored in pc.stored:
        sums.update({name: n for name, n in stored.statement.truth.items() if name in ("enters", "exits")})
    return sums


def wall(number: int, text: str, **more: object) -> dict:
    return record(number, f"{text}0000", **more)


# Places


def test_a_backlog_is_read_to_its_end_and_counted_once():
    """Pages of fifty are asked for at once, until a short one; the sums are those of the people."""
    pc = pc_at()
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    assert truth(pc) == sums_of(asker.events)
    assert len(pc.stored) == len(asker.events) > 500


def test_it_does_not_matter_whether_since_includes_its_number():
    """Nobody knows whether sinceId is inclusive: either way each event comes once."""
    pc = pc_at()
    asker = Asker(pc, POLL, inclusive=True)
    asker.until_caught_up()
    assert truth(pc) == sums_of(asker.events)
    assert len(pc.stored) == len({event.id for event in asker.events}) == len(asker.events)


def test_an_ask_waits_for_news_longer_than_the_pc_does():
    """The time for the whole answer is more than the time that the PC may take until there is an event."""
    ask = POLL.ask({}, NOW, 0)
    assert ask.target == "/v1/json/events?sinceId=0&order=ASC&limit=50&timeout=20"
    assert ask.timeout_s > 25


def test_a_new_section_may_begin_with_what_comes():
    """With start = "now" what the PC had stored before is not read, and what comes afterwards is."""
    pc = pc_at()
    asker = Asker(pc, CamlyticsPoll(replace(HALL, start="now")))
    asker.until_caught_up()
    assert [] == asker.events
    before = len(pc.stored)
    pc.clock.at += 300
    asker.until_caught_up()
    assert len(asker.events) == len(pc.stored) - before > 0


def test_an_event_that_appears_behind_its_time_is_found():
    """Two cameras write at once: a number that becomes visible after a higher one is read at the next look back."""
    page = following(POLL, [record(number) for number in (1, 2, 4)])
    later = NOW + timedelta(minutes=11)
    ask = POLL.ask(page.cursor, later, 0)
    assert "timeout" not in ask.target
    found = POLL.read(answer(ask, [record(number) for number in (1, 2, 3, 4)], at=later), page.cursor)
    assert [3] == [event.data["event_id"] for event in found.reading.events]


def test_a_page_that_runs_from_new_to_old_is_refused():
    """A PC that ignores the order would hide what lies between: that is said, and the place stays."""
    rows = [record(number) for number in range(100, 50, -1)]
    with pytest.raises(Unreadable, match="newest events first"):
        following(POLL, rows)


def test_an_empty_page_is_not_worth_a_write():
    """A quiet night writes nothing to the memory card."""
    asker = Asker(pc_at(rate=0), POLL)
    asker.until_caught_up()
    asker.once()
    assert [False] == [asker.once().save]


# A new numbering


def test_a_pc_that_was_installed_anew_is_read_from_its_beginning():
    """Numbers that begin again are noticed; nothing of the new ones is lost, nothing of the old ones doubled."""
    pc = pc_at()
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    before, old = truth(pc), len(pc.stored)
    pc.reinstall()
    pc.clock.at += 900
    asker.until_caught_up()
    assert before + truth(pc) == sums_of(asker.events)
    assert old + len(pc.stored) == len({event.id for event in asker.events})
    assert "numbered anew" in asker.notices["camlytics_renumbered"]


def test_a_new_numbering_that_has_passed_the_place_meanwhile_is_noticed():
    """After a pause the newest number is held against its time: a higher number alone proves nothing."""
    pc = pc_at(rate=1)
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    old = len(pc.stored)
    pc.reinstall()
    pc.clock.at += 7200
    pc.advance()
    assert len(pc.stored) > old
    asker.until_caught_up()
    assert old + len(pc.stored) == len({event.id for event in asker.events})
    assert "camlytics_renumbered" in asker.notices


def test_an_empty_database_is_waited_for():
    """Right after the installation there is nothing: then what comes first is read and said."""
    pc = pc_at()
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    pc.clock.at += 700
    pc.advance()
    pc.reinstall()
    asker.until_caught_up()
    assert "camlytics_renumbered" not in asker.notices
    pc.clock.at += 300
    asker.until_caught_up()
    assert "camlytics_renumbered" in asker.notices


def test_a_database_without_its_old_events_is_no_new_numbering():
    """Camlytics removes what is old: numbers that go on are not called new, and nothing comes twice."""
    pc = pc_at()
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    count = len(asker.events)
    pc.clock.at += 700
    pc.stored.clear()
    asker.until_caught_up()
    assert "camlytics_renumbered" not in asker.notices
    assert count + len(pc.stored) == len({event.id for event in asker.events}) == len(asker.events)


# Time


def test_the_hour_that_comes_twice_is_told_by_the_order_of_numbers():
    """On the night when the clocks go back, 01:10 after 01:50 is the second one."""
    rows = [
        wall(1, "2026-10-25T01:10:00.000"),
        wall(2, "2026-10-25T01:50:00.196"),
        wall(3, "2026-10-25T01:50:00.000"),  # numbers and times are not in quite the same order
        wall(4, "2026-10-25T01:10:00.000"),
        wall(5, "2026-10-25T01:50:00.000"),
        wall(6, "2026-10-25T02:10:00.000"),
    ]
    page = following(POLL, rows, at=datetime.fromisoformat("2026-10-25T02:10:01+00:00"))
    assert ["00:10", "00:50", "00:50", "01:10", "01:50", "02:10"] == [
        f"{event.time:%H:%M}" for event in page.reading.events
    ]


def test_in_the_second_hour_a_quiet_shop_is_told_by_what_was_heard_before():
    """Nobody came in the first hour, which is known: so 01:20 is the second one."""
    heard = datetime.fromisoformat("2026-10-25T01:15:00+00:00")
    quiet = following(POLL, [], at=heard)
    page = following(
        POLL, [wall(1, "2026-10-25T01:20:00.000")], quiet.cursor, at=heard + timedelta(minutes=5)
    )
    assert datetime.fromisoformat("2026-10-25T01:20:00+00:00") == page.reading.events[0].time


def test_the_hour_that_is_skipped_is_read_as_if_the_clocks_had_stayed():
    """A PC whose clock was not changed states 01:30 on the night without it: half an hour after 01:00 winter time."""
    page = following(POLL, [wall(1, "2026-03-29T01:30:00.000")])
    assert datetime.fromisoformat("2026-03-29T01:30:00+00:00") == page.reading.events[0].time


def test_a_time_with_seven_digits_is_kept_to_the_microsecond():
    """The seventh digit is cut and not rounded, and is part of the identity all the same."""
    rows = [record(1, "2026-06-17T10:58:02.1234567"), record(1, "2026-06-17T10:58:02.1234568")]
    first, second = following(POLL, rows).reading.events
    assert 123456 == first.time.microsecond == second.time.microsecond
    assert first.id != second.id


# What must not get through


def test_nothing_but_names_is_taken_from_the_list_of_channels():
    """Logins, passwords and addresses of streams are in no cursor, no event and no notice."""
    pc = pc_at()
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    assert any(target.endswith("/channels") for target in asker.targets)
    assert {"hall camera 1", "hall camera 2"} == set(asker.cursor["labels"].values())
    pc.clock.at += 600
    asker.until_caught_up()
    assert {"hall camera 1", "hall camera 2"} <= {event.device.label for event in asker.events}
    everything = json.dumps(asker.cursor) + repr(asker.events) + repr(asker.notices)
    assert CANARY not in everything


def test_an_unreadable_list_of_channels_holds_nothing_up():
    """An answer that is no list gives no letter with logins in it: the events go on."""
    cursor = {"errand": {"do": "channels", "at": 0}}
    page = POLL.read(answer("/v1/json/channels", b'{"password": "canary"'), cursor)
    assert (True, ()) == (page.more, page.aside)
    assert "canary" not in json.dumps(page.cursor)


def test_paths_of_a_broken_record_do_not_become_a_letter():
    """A record without a time is set aside without the paths that name the user of the PC."""
    broken = record(2, "yesterday", snapshot_path="C:\\Users\\canary\\a.jpg", recording_path='C:\\x"canary')
    page = following(POLL, [record(1), broken])
    (aside,) = page.aside
    assert "time is not a date" in aside.reason
    assert b"canary" not in aside.body
    assert 2 == page.cursor["last"]


def test_paths_leave_as_present_or_none():
    """Whether there is a picture is said; where it lies is not."""
    rows = [record(1, snapshot_path="C:\\Users\\canary\\a.jpg"), record(2)]
    first, second = following(POLL, rows).reading.events
    assert ("present", "none") == (first.data["picture"], second.data["picture"])
    assert "canary" not in repr(first)


@pytest.mark.parametrize("poison", [b'"rule_name":"\\ud83d"', b'"object_id":1e999', b'"x":1,"x":2'])
def test_one_poisonous_record_does_not_hold_up_the_others(poison):
    """What makes a whole page unusable JSON for us is set aside with its record, and the place moves over it."""
    good = [json.dumps(record(number)).encode() for number in (1, 3)]
    bad = b'{"event_id":2,' + poison + b"}"
    page = following(POLL, b"[" + b",".join([good[0], bad, good[1]]) + b"]")
    assert [1, 3] == [event.data["event_id"] for event in page.reading.events]
    assert [bad] == [aside.body for aside in page.aside]


def test_a_page_of_which_nothing_can_be_read_is_another_interface():
    """When all of many records are broken the place stays, because a newer gateway may be able to read them."""
    with pytest.raises(Unreadable, match="none of its 4 records"):
        following(POLL, [{"event_id": number, "kind": "?"} for number in range(4)])


@pytest.mark.parametrize("body", [b"<html>router</html>", b'{"error": 1}', b"", b"[1, 2", b'"text"'])
def test_an_answer_that_is_no_list_is_unreadable(body):
    """HTML, an object, nothing, and half a list are none of them a page."""
    with pytest.raises(Unreadable):
        following(POLL, body)


# Rules and totals


def test_rules_without_a_direction_are_named_until_the_owner_has_spoken():
    """The sentence names the rule, the action shows the line to write; with the line both are gone."""
    rows = [record(1, rule_name="Line 1"), record(2, rule_name="Line 1"), record(3, rule_name="Exit")]
    page = following(POLL, rows)
    (notice,) = page.reading.notices
    assert ("camlytics_rules", True) == (notice.code, '"Line 1"' in notice.sentence)
    assert '{rule = "Line 1", direction = "in"}' in notice.action
    wiser = CamlyticsPoll(replace(HALL, rules=(*HALL.rules, Rule(rule="line 1", direction="in"))))
    assert () == following(wiser, [record(4)], page.cursor).reading.notices


def test_a_line_and_an_area_on_one_channel_are_said_to_count_twice():
    """Whoever crosses the line and joins the area is two people in the sums: a person should know."""
    rows = [record(1), record(2, type="RegionJoin", rule_name="Lounge", rule_id="r9")]
    assert ["camlytics_counted_twice"] == [notice.code for notice in following(POLL, rows).reading.notices]


def hours(asker: Asker, count: int) -> None:
    for _ in range(count * 4):
        asker.pc.clock.at += 900
        asker.until_caught_up()


def test_totals_that_agree_are_asked_for_and_not_mentioned():
    """Each closed hour is compared once, by rule and by type, and nothing is said when all is well."""
    asker = Asker(pc_at(), POLL)
    hours(asker, 4)
    assert 2 <= sum("totals/rule" in target for target in asker.targets) <= 3
    assert sum("totals/type" in target for target in asker.targets) >= 2
    assert "totals_differ" not in asker.notices


def test_totals_that_differ_are_shown_with_both_figures():
    """An event that only the PC knows is said with its figure and ours, until an hour agrees again."""
    asker = Asker(pc_at(rate=2), POLL)
    hours(asker, 2)
    hidden = asker.pc.stored[-1]
    twin = next(one for one in reversed(asker.pc.stored) if one.row["rule_name"] == "Enter")
    asker.pc.stored.append(type(hidden)(twin.number, twin.at, twin.wall, twin.row, twin.statement))
    hours(asker, 1)
    assert "Enter and not" in asker.notices["totals_differ"]
    hours(asker, 2)
    assert "totals_differ" not in asker.notices


def test_the_hour_that_comes_twice_is_not_compared():
    """A local hour of two hours would never agree with anything."""
    start = datetime.fromisoformat("2026-10-24T22:30:00+00:00")
    asker = Asker(pc_at(start), POLL)
    hours(asker, 5)
    asked = [target for target in asker.targets if "totals/rule" in target]
    assert asked
    assert not any("sinceTime=2026-10-25T01" in target for target in asked)


def test_totals_that_fail_do_not_hold_up_events():
    """An error there is not an error of the poll."""
    cursor = {"errand": {"do": "rule", "at": 0, "hour": "2026-06-17T09"}}
    page = POLL.read(answer("/v1/json/events/totals/rule?x=1", b"no", status=500), cursor)
    assert page.more
    assert "errand" not in page.cursor


# Any page is as good as another


def _types():
    return st.sampled_from(["TripwireCrossed", "RegionJoin", "RegionLeave", "ObjectAppear", "CrowdOn"])


rows_strategy = st.lists(
    st.tuples(
        _types(), st.sampled_from(["Enter", "Exit", "Street", "Lounge", "Line 1"]), st.integers(0, 3599)
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(told=rows_strategy, data=st.data())
def test_any_order_repetition_and_splitting_of_pages_gives_the_same_sums(told, data):
    """What a log that honours ids counts depends on what was stored and not on how it was cut into pages."""
    rows = [
        record(number, f"2026-06-17T09:{second // 60:02}:{second % 60:02}.0000000", type=kind, rule_name=rule)
        for number, (kind, rule, second) in enumerate(told, start=1)
    ]
    whole = following(POLL, rows).reading.events
    cursor: dict = {}
    got = []
    at = 0
    while at < len(rows):
        size = data.draw(st.integers(1, 20))
        back = data.draw(st.integers(0, min(at, 15)))
        page_rows = data.draw(st.permutations(rows[at - back : at + size]))
        page = following(POLL, [*page_rows, *page_rows[:2]], cursor)
        got += page.reading.events
        cursor = json.loads(json.dumps(page.cursor))
        at += size
    assert sums_of(list(whole)) == sums_of(got)
    assert {event.id for event in whole} == {event.id for event in got}


@pytest.mark.parametrize(
    ("kind", "rule", "expected"),
    [
        ("TripwireCrossed", "Enter", ("count", "enters")),
        ("TripwireCrossed", "EXIT", ("count", "exits")),
        ("TripwireCrossed", "Street", ("observation", "tripwire_crossed")),
        ("TripwireCrossed", "Lounge", ("observation", "tripwire_crossed")),
        ("RegionJoin", "Lounge", ("count", "enters")),
        ("RegionLeave", "Lounge", ("count", "exits")),
        ("RegionJoin", "Elsewhere", ("observation", "region_join")),
        ("MotionInRegionOn", "Lounge", ("observation", "motion_in_region_on")),
        ("MotionInRegionOff", "Lounge", ("observation", "motion_in_region_off")),
        ("ObjectAppear", "", ("observation", "object_appear")),
        ("ObjectDisappear", "", ("observation", "object_disappear")),
        ("Loitering", "Lounge", ("alarm", "loitering")),
        ("Tailgating", "Enter", ("alarm", "tailgating")),
        ("AbandonedObject", "Lounge", ("alarm", "abandoned_object")),
        ("Sabotage", "", ("alarm", "camera_obstructed")),
        ("CameraDisconnected", "", ("alarm", "camera_disconnected")),
        ("CrowdOn", "Lounge", ("alarm", "crowd")),
        ("CrowdOff", "Lounge", ("alarm", "crowd")),
        ("HeatSeen", "", ("observation", "heat_seen")),
    ],
)
def test_every_type_of_event_has_its_meaning(kind, rule, expected):
    """Each of the fourteen types is a count, an alarm or an observation; a fifteenth is an observation."""
    (event,) = following(POLL, [record(1, type=kind, rule_name=rule)]).reading.events
    said = {
        "count": "enters" if event.data.get("enters") else "exits",
        "alarm": event.data.get("alarm"),
        "observation": event.data.get("observation"),
    }
    assert expected == (event.kind, said[event.kind])


def test_every_type_of_the_vendor_is_tried():
    """The list of types that the other test has is whole."""
    assert 14 == len(set(TYPES))


def test_an_instance_is_part_of_every_identity():
    """Two PCs with the same channel, number and time are two facts."""
    (one,) = following(POLL, [record(1)]).reading.events
    (other,) = following(CamlyticsPoll(replace(HALL, name="annex")), [record(1)]).reading.events
    assert one.id != other.id
    assert ("camlytics-hall-" + CHANNEL, "camlytics-annex-" + CHANNEL) == (one.device.id, other.device.id)


def test_what_a_person_is_can_be_chosen():
    """A vehicle on the line counts nobody, unless the owner says so."""
    rows = [record(1, origin="Vehicle")]
    assert [Kind.OBSERVATION] == [event.kind for event in following(POLL, rows).reading.events]
    cars = CamlyticsPoll(replace(HALL, origins=frozenset({"vehicle"})))
    assert [Kind.COUNT] == [event.kind for event in following(cars, rows).reading.events]


def test_a_seen_thing_has_a_place_in_the_story():
    """The made-up PC stores what it is given by hand, so that tests can say exactly what happened."""
    pc = pc_at(rate=0)
    pc.store(Seen(at=NOW.timestamp(), type="Sabotage", channel=0))
    asker = Asker(pc, POLL)
    asker.until_caught_up()
    assert [("alarm", "camera_obstructed")] == [(event.kind, event.data["alarm"]) for event in asker.events]
