"""The histograms: one observation of each trigger and hour that is over."""

import json

from cloud_asking import Asker, Hands, account, cloud

from gateway.source import MOST_ASIDE
from gateway.sources.camlytics_cloud import polls


def histograms() -> Asker:
    hands = Hands()
    poll = next(one for one in polls(account()) if one.name.endswith("histograms"))
    return Asker(poll, cloud(hands), hands)


def test_every_hour_that_is_over_comes_once():
    """Over half a day each trigger has one observation for each whole hour, and none of the running one."""
    asker = histograms()
    asker.pass_time(12 * 3600, every=1800)
    hours = [event.time for event in asker.events.values() if event.data["trigger"].startswith("60000")]
    assert len(hours) == len(asker.events) == asker.emitted
    assert max(hours).timestamp() + 3600 <= asker.hands.at
    triggers = {event.data["trigger"] for event in asker.events.values()}
    assert len(hours) == len(triggers) * len(set(hours))
    assert len(set(hours)) >= 34
    assert all(abs(sum(event.data["counting_data"]) - 3600) < 0.2 for event in asker.events.values())


def test_a_histogram_that_is_none_is_set_aside_once():
    """Numbers that are no numbers and hours that are none become letters and hold nothing up."""
    asker = histograms()
    asker.page()
    good = {
        "histogram_time": "2026-05-05T04:00:00+00:00",
        "trigger_id": "t",
        "channel_id": "c",
        "counting_data": [3600],
    }
    items = [
        {**good, "counting_data": ["many"]},
        {**good, "histogram_time": None},
        {**good, "lifetime_data": 5},
        good,
    ]
    body = json.dumps({"code": 0, "result": items}).encode()
    asker.take(200, {}, body)
    asker.take(200, {}, body)
    assert (3, 1) == (len(asker.aside), len(asker.events))
    assert [3600] == next(iter(asker.events.values())).data["counting_data"]


def test_of_many_broken_histograms_the_first_are_kept_and_the_rest_counted():
    """Hundreds that cannot be read become some letters and a number, and what is remembered of a page stays short."""
    asker = histograms()
    asker.page()
    items = [{"histogram_time": None, "trigger_id": f"t{number}"} for number in range(1_200)]
    page = asker.take(200, {}, json.dumps({"code": 0, "result": items}).encode())
    assert (MOST_ASIDE, 1_200 - MOST_ASIDE) == (len(page.aside), page.left_out)
    assert 1_000 == len(page.cursor["seen"])


def test_hours_of_more_than_is_read_at_once_are_read_in_halves(monkeypatch):
    """Histograms that are too many for one answer are asked for in shorter windows, and each hour comes once."""
    monkeypatch.setattr("gateway.sources.camlytics_cloud.answers.MOST_MARKS", 2_100)
    asker = histograms()
    asker.pass_time(6 * 3600, every=1800)
    triggers = {event.data["trigger"] for event in asker.events.values()}
    hours = {event.time for event in asker.events.values()}
    assert len(asker.events) == len(triggers) * len(hours)
    assert len(hours) >= 28
