"""The poll for events against the stand-in: late arrivals, cut pages, clocks that are wrong, names that change."""

import json

import pytest
from cloud_asking import RULES, Asker, Hands, account, cloud, owed

from gateway.errors import PollUnavailable, Unreadable
from gateway.event import Kind
from gateway.simulate.camlytics_cloud import Place, Says
from gateway.source import MOST_ASIDE
from gateway.sources.camlytics_cloud import Rule, Rules, polls

_DAY = 86_400


def events(hands: Hands, stand_in, **how) -> Asker:
    location = how.get("locations", (None,))[-1]
    wanted = "events" if location is None else f"events-{location}"
    poll = next(one for one in polls(account(**how)) if one.name.endswith("." + wanted))
    return Asker(poll, stand_in, hands)


def settled(hands: Hands, asker: Asker) -> None:
    """Let everything arrive that has happened, and ask once more."""
    hands.at += 900
    asker.round()


def test_a_day_is_read_back_and_then_followed():
    """What happened before the first ask is read back, and what comes afterwards is read once."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 6 * 3600
    asker = events(hands, stand_in)
    asker.round()
    assert owed(stand_in) == asker.sums()
    asker.pass_time(1800)
    settled(hands, asker)
    assert owed(stand_in) == asker.sums()
    assert len(asker.events) == asker.emitted, "the overlap must not hand out again what it handed out"
    assert stand_in.gate.refused == stand_in.gate.throttled == 0


def test_backfill_ends_where_the_owner_wants():
    """With a backfill of an hour, what is older is not read."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 6 * 3600
    begin = hands.at - 3600
    asker = events(hands, stand_in, backfill_s=3600.0)
    asker.round()
    assert min(event.time.timestamp() for event in asker.events.values()) >= begin - 1


def test_what_arrives_late_within_the_overlap_is_counted():
    """Records that reach the cloud up to nine minutes late, in any order, are all counted once."""
    hands = Hands()
    stand_in = cloud(hands, late=0.4, late_s=540.0)
    asker = events(hands, stand_in)
    asker.pass_time(7200, every=30)
    settled(hands, asker)
    assert owed(stand_in) == asker.sums()
    assert sum(owed(stand_in).values()) > 500


def test_without_an_overlap_late_records_are_missed():
    """The test above would fail without its overlap: it is what brings the late ones."""
    hands = Hands()
    stand_in = cloud(hands, late=0.4, late_s=540.0)
    asker = events(hands, stand_in, overlap_s=10.0)
    asker.pass_time(7200, every=30)
    settled(hands, asker)
    assert sum(asker.sums().values()) < sum(owed(stand_in).values())


def test_a_pc_that_was_offline_for_hours_loses_nothing():
    """One location without network for three hours is read whole afterwards, however short the overlap."""
    hands = Hands()
    place = Place(id=5, offline=((hands.at + 1800, 3 * 3600.0),))
    stand_in = cloud(hands, places=(place,))
    asker = events(hands, stand_in, locations=(5,), overlap_s=60.0)
    asker.pass_time(5 * 3600, every=60)
    settled(hands, asker)
    assert owed(stand_in) == asker.sums()


@pytest.mark.parametrize("skew_s", [-1500.0, 1500.0])
def test_a_pc_with_a_wrong_clock_loses_nothing(skew_s):
    """A camera PC 25 minutes behind or ahead is read whole, with an overlap of one minute."""
    hands = Hands()
    stand_in = cloud(hands, places=(Place(id=5, skew_s=skew_s),))
    asker = events(hands, stand_in, overlap_s=60.0)
    asker.pass_time(3 * 3600, every=60)
    settled(hands, asker)
    assert owed(stand_in) == asker.sums()


def read_whole(**how):
    """Have a busy hour and what follows it read from a cloud, and hold it against what is owed; give how much that is."""
    hands = Hands()
    stand_in = cloud(hands, rate=30.0, **how)
    hands.at += 3600
    asker = events(hands, stand_in, overlap_s=300.0)
    asker.round()
    asker.pass_time(900, every=60)
    settled(hands, asker)
    assert owed(stand_in) == asker.sums()
    return sum(owed(stand_in).values())


@pytest.mark.parametrize("limit", [50, 100, 128])
def test_a_page_that_is_cut_is_read_in_halves(limit):
    """A limit that nobody documented costs requests and no record, also during the overlap."""
    read_whole(limit=limit)


def test_a_window_of_more_than_is_read_at_once_is_read_in_halves(monkeypatch):
    """What is too much for one answer is not read but asked for in shorter windows, and no record is missing."""
    monkeypatch.setattr("gateway.sources.camlytics_cloud.answers.MOST_MARKS", 8_000)
    assert read_whole() > 100


def test_too_much_in_one_moment_is_refused_with_both_figures():
    """An answer of a hundred thousand commas is not read in whatever window; in the shortest that is said."""
    hands = Hands()
    asker = events(hands, cloud(hands))
    asker.round()
    body = b'{"code":0,"result":[' + b"{}," * 100_000 + b"{}]}"
    for _ in range(20):
        walk = asker.cursor["walk"]
        if walk["until"] is not None and walk["until"] - walk["since"] <= 30_000:
            break
        assert asker.take(200, {}, body).more
    with pytest.raises(Unreadable, match="it has 200008 parts, and at most 100000 are read at once"):
        asker.take(200, {}, body)
    assert [] == asker.aside


def test_so_much_in_one_moment_that_it_cannot_be_split_is_said():
    """When two seconds alone fill a page, it is taken, and a notice says that some may be missing."""
    hands = Hands()
    asker = events(hands, cloud(hands))
    asker.round()
    since = asker.cursor["walk"]["since"]
    asker.cursor["walk"] = {**asker.cursor["walk"], "until": since + 2000}
    item = {"event_type": "ObjectAppear", "event_time": "2026-05-05T12:00:00.000+00:00", "channel_id": "c"}
    body = json.dumps({"code": 0, "result": [{**item, "record_id": number} for number in range(100)]})
    asker.take(200, {}, body.encode())
    assert {"camlytics_cloud_page_full"} == asker.codes()


def test_a_trigger_that_was_made_meanwhile_is_looked_up_first():
    """A record of an unknown trigger waits until the names were asked for again, and is then counted."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = events(hands, stand_in)
    asker.round()
    asker.cursor["names"] = {}
    hands.at += 300
    asker.round()
    assert owed(stand_in) == asker.sums()
    assert stand_in.answers["triggers"] == 2


def test_a_trigger_that_nobody_knows_holds_nothing_up():
    """A record of a trigger that is in no list is kept as an observation, after one look at the names."""
    hands = Hands()
    stand_in = cloud(hands)
    stand_in.methods.names["triggers"] = lambda _: [{"id": "other", "name": "Other"}]
    hands.at += 600
    asker = events(hands, stand_in)
    asker.round()
    hands.at += 120
    asker.round()
    assert stand_in.answers["triggers"] <= 3
    assert len(asker.events) == len(stand_in.world.arrivals)


def test_names_are_asked_for_again_when_they_are_old():
    """After an hour the list of triggers is read again, because a person may have renamed one."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = events(hands, stand_in)
    asker.pass_time(3 * 3600, every=300)
    assert 3 <= stand_in.answers["triggers"] <= 5


def test_a_bad_record_is_set_aside_once_and_holds_nothing_up():
    """One record without a time becomes a letter, once, without what is personal; the others are events."""
    hands = Hands()
    asker = events(hands, cloud(hands))
    asker.round()
    good = {"event_type": "ObjectAppear", "event_time": "2026-05-05T12:00:00.000+00:00", "record_id": 1}
    bad = {"event_type": "TripwireCrossed", "record_id": 2, "gender": "Male", "age_range": "26 - 35"}
    body = json.dumps({"msg": "success", "code": 0, "result": [bad, good]}).encode()
    asker.take(200, {}, body)
    asker.take(200, {}, body)
    assert 1 == len(asker.aside) == len(asker.events)
    assert b"Male" not in asker.aside[0].body
    assert b"TripwireCrossed" in asker.aside[0].body
    bad = [{"event_type": "TripwireCrossed", "record_id": number} for number in range(3, 304)]
    page = asker.take(200, {}, json.dumps({"code": 0, "result": bad}).encode())
    assert (MOST_ASIDE, 301 - MOST_ASIDE) == (len(page.aside), page.left_out), (
        "of many only the first are kept"
    )


def test_nothing_moves_when_the_answer_is_a_refusal():
    """After an error the same window is asked for again."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = events(hands, stand_in)
    asker.round()
    before = dict(asker.cursor)
    stand_in.script.append(Says(code=99, msg="Database is away"))
    with pytest.raises(PollUnavailable, match="Database is away"):
        asker.page()
    assert before == asker.cursor
    asker.round()


def test_an_empty_page_is_not_worth_a_write():
    """When nothing new came, the place needs no write to disk."""
    hands = Hands()
    stand_in = cloud(hands, rate=0.0)
    asker = events(hands, stand_in)
    asker.round()
    assert [False] * 5 == [asker.page().save for _ in range(5)]


def test_without_a_date_the_time_of_receipt_is_taken():
    """An answer without a Date header is read all the same."""
    hands = Hands()
    stand_in = cloud(hands)
    stand_in.head_fields = lambda _: {}  # type: ignore[method-assign]
    asker = events(hands, stand_in)
    asker.pass_time(1800)
    settled(hands, asker)
    assert owed(stand_in) == asker.sums()


def test_rules_by_id_and_by_name_count_the_same():
    """Who writes ids instead of names gets the same numbers."""
    hands = Hands()
    stand_in = cloud(hands)
    place = stand_in.world.places[0]
    ids = [stand_in.world.triggers(channel) for channel in stand_in.world.channels(place)]
    rules = [
        Rule(trigger=triggers[name], direction=way)
        for triggers in ids
        for name, way in (("Enter", "in"), ("Exit", "out"))
    ]
    hands.at += 3600
    by_id, by_name = events(hands, stand_in, rules=Rules.of(rules)), events(hands, stand_in, rules=RULES)
    by_id.round()
    by_name.round()
    assert by_name.sums()["enters"] > 50
    counted = [
        {
            one.id
            for one in asker.events.values()
            if one.kind == Kind.COUNT and one.time.timestamp() < hands.at - 60
        }
        for asker in (by_id, by_name)
    ]
    assert counted[0] == counted[1]


def test_a_walk_begun_by_a_wrong_date_begins_again():
    """One answer with a Date far ahead, at the first contact, costs nothing: the right one begins anew."""
    hands = Hands()
    stand_in = cloud(hands)
    hands.at += 6 * 3600
    asker = events(hands, stand_in)
    empty = json.dumps({"code": 0, "result": []}).encode()
    asker.take(200, {"date": "Thu, 01 Jan 2099 00:00:00 GMT"}, empty)
    assert asker.cursor["walk"]["since"] > hands.at * 1000
    asker.round()
    assert owed(stand_in) == asker.sums()
