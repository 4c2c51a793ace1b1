"""The check against the cloud's own sums: silent when they agree, loud with both figures when they do not."""

from collections.abc import Callable

import pytest
from cloud_asking import Asker, Hands, account, cloud, owed

from gateway.errors import Unreadable
from gateway.sources.camlytics_cloud import polls

_METHODS = ("totals-triggers", "totals-types")


def totals(hands: Hands, stand_in, method: str, **how) -> Asker:
    poll = next(one for one in polls(account(**how)) if one.name.endswith(method))
    return Asker(poll, stand_in, hands)


def less(by: int) -> Callable[[list], None]:
    def distort(given: list) -> None:
        for item in given:
            item["count"] -= by

    return distort


@pytest.mark.parametrize("method", _METHODS)
def test_hours_that_agree_say_nothing(method):
    """Hour after hour is compared, and what agrees is no fault."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = totals(hands, stand_in, method)
    hands.at += 4 * 3600
    asker.pass_time(5 * 3600, every=900)
    assert set() == asker.codes()
    assert stand_in.answers[method.replace("-", "/", 1)] >= 5


@pytest.mark.parametrize("method", _METHODS)
def test_a_difference_is_said_with_both_figures_and_goes_away(method):
    """A cloud that counts three less is a fault with both figures, until an hour agrees again."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = totals(hands, stand_in, method)
    hands.at += 4 * 3600
    stand_in.methods.distort = less(3)
    asker.pass_time(2 * 3600, every=900)
    assert {"camlytics_cloud_totals"} == asker.codes()
    sentence = asker.notices[0].sentence
    theirs, ours = (int("".join(filter(str.isdigit, part.partition(",")[0].partition(".")[0]))) for part in
                    (sentence.split("the cloud counts ")[1], sentence.split("the gateway read ")[1]))  # fmt: skip
    assert 3 == ours - theirs
    stand_in.methods.distort = None
    asker.pass_time(2 * 3600, every=900)
    assert set() == asker.codes()


@pytest.mark.parametrize("method", _METHODS)
def test_an_hour_of_more_than_is_read_at_once_is_read_in_parts(method, monkeypatch):
    """The second reading of a busy hour is done in smaller windows, counts each record once and agrees."""
    monkeypatch.setattr("gateway.sources.camlytics_cloud.answers.MOST_MARKS", 8_000)
    hands = Hands()
    stand_in = cloud(hands, rate=30.0)
    asker = totals(hands, stand_in, method)
    hands.at += 4 * 3600
    asker.pass_time(3 * 3600, every=900)
    assert set() == asker.codes()
    assert stand_in.answers[method.replace("-", "/", 1)] >= 3
    assert asker.events


def test_too_much_in_the_smallest_window_is_refused():
    """Windows become no shorter than two seconds; then the answer is refused in words."""
    hands = Hands()
    asker = totals(hands, cloud(hands), _METHODS[0])
    hands.at += 4 * 3600
    while "names" not in asker.cursor:
        asker.page()
    body = b'{"code":0,"result":[' + b"{}," * 100_000 + b"{}]}"
    for _ in range(3):
        assert asker.take(200, {}, body).more
    with pytest.raises(Unreadable, match="at most 100000 are read at once"):
        asker.take(200, {}, body)


def test_a_sum_of_what_we_never_saw_is_a_difference():
    """A trigger of which the cloud counts some and we read none is said too."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = totals(hands, stand_in, "totals-triggers")
    hands.at += 4 * 3600
    stand_in.methods.distort = lambda given: given.append(
        {"trigger_id": "x", "trigger_name": "Back door", "count": 7, "channel_id": "c", "location_id": 101}
    )
    asker.pass_time(3600, every=900)
    assert '"Back door": the cloud counts 7, the gateway read 0' in asker.notices[0].sentence


def test_what_came_too_late_for_the_overlap_is_read_with_the_check():
    """Records that reached the cloud half an hour late are brought by the second reading of their hour."""
    hands = Hands()
    stand_in = cloud(hands, late=0.3, late_s=1700.0)
    made = {one.name.rpartition(".")[2]: one for one in polls(account())}
    live = Asker(made["events"], stand_in, hands)
    check = Asker(made["totals-types"], stand_in, hands)
    begin = hands.at
    for _ in range(6 * 60):
        hands.at += 60
        live.round()
        if int(hands.at - begin) % 900 < 70:
            check.round()
    until = (begin // 3600 + 3) * 3600
    whole = owed(stand_in, until)
    missed = sum(whole.values()) - counted(live, until)
    assert missed > 10
    live.keep(list(check.events.values()))
    assert sum(whole.values()) == counted(live, until)


def counted(asker: Asker, until: float) -> int:
    return sum(
        int(event.data["enters"]) + int(event.data["exits"])
        for event in asker.events.values()
        if event.kind == "count" and event.time.timestamp() <= until
    )


def test_a_limit_is_healed_by_smaller_windows():
    """An hour that does not fit into one answer is read in twelfths, and then agrees."""
    hands = Hands()
    stand_in = cloud(hands, limit=333, rate=5.0)
    asker = totals(hands, stand_in, "totals-types")
    hands.at += 4 * 3600
    asker.pass_time(2 * 3600, every=900)
    assert set() == asker.codes()


def test_an_hour_that_is_not_over_is_not_judged():
    """After a restart, which asks at once, nothing is compared that may still grow."""
    hands = Hands()
    stand_in = cloud(hands)
    asker = totals(hands, stand_in, "totals-types")
    hands.at += 4 * 3600
    asker.round()
    done = stand_in.answers["totals/types"]
    for _ in range(5):
        asker.round()
    assert done == stand_in.answers["totals/types"]
