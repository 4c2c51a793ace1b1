"""A counter that hangs the wrong way round: its numbers are exchanged before anything else sees them."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keeping import NOON, access, count, counter, opened, rows, tallies

from gateway.config import loads
from gateway.daemon import composing
from gateway.errors import Unreadable
from gateway.intake import MOST_EVENTS, Intake, Policy, facing
from gateway.outbox import Caller, Rules

anyio = pytest.mark.anyio
SWAPPED = Policy(swapped=frozenset({"counter-a"}))
numbers = st.dictionaries(
    st.sampled_from(["enters", "exits", "passings", "returns"]), st.integers(0, 1_000), max_size=4
)


@given(numbers, st.sampled_from(["total", "adult", "child"]))
def test_turning_round_twice_gives_the_event_back(counted, view):
    """The exchange loses nothing, whichever of the four numbers a device states, and is done once only."""
    event = replace(count(), data={"count": "interval", "view": view, **counted})
    turned = facing(event, swapped=True)
    assert turned.data["swapped"] is True
    assert sorted(counted.values()) == sorted(turned.data[name] for name in turned.data if name in _FOUR)
    assert turned == facing(turned, swapped=True)
    assert event == facing(turned, swapped=False)


_FOUR = {"enters", "exits", "passings", "returns"}


def test_each_number_goes_to_its_counterpart():
    """Who came in went out, and who turned back inside turned back outside."""
    event = count(0, 5, exits=2, passings=7, returns=1)
    turned = facing(event, swapped=True)
    assert (2, 5, 1, 7) == tuple(turned.data[name] for name in ("enters", "exits", "passings", "returns"))
    assert (event.id, event.revision) == (turned.id, turned.revision)


def test_nothing_but_counts_is_turned():
    """A record of a terminal has no direction of ours."""
    event = access(1)
    assert event is facing(event, swapped=True)


@anyio
async def test_log_and_tallies_agree(tmp_path):
    """What the log, the tallies and the newest state say is the exchanged number, and the event says that it is."""
    async with opened(tmp_path) as outbox:
        intake = Intake(outbox, SWAPPED)
        await intake.keep([count(0, 5, exits=2, passings=7, returns=1)], NOON)
        await intake.keep([count(0, 5, device=counter("counter-b"))], NOON)
    told = tallies(tmp_path)
    assert {"enters": 2, "exits": 5, "passings": 1, "returns": 7} == {
        name: told["2026-10-05", name] for name in _FOUR
    }
    assert 5 == tallies(tmp_path, "counter-b")["2026-10-05", "enters"]
    ((body,),) = rows(tmp_path, "SELECT body FROM events WHERE device = 'counter-a'")
    assert json.loads(body)["data"]["swapped"] is True
    ((newest,),) = rows(tmp_path, "SELECT newest_data FROM devices WHERE id = 'counter-a'")
    assert 2 == json.loads(newest)["enters"]


@anyio
async def test_an_old_minute_that_comes_again_after_the_change_is_a_correction(tmp_path):
    """The day is right afterwards, one fact stays one fact, and a further resend changes nothing."""
    async with opened(tmp_path) as outbox:
        intake = Intake(outbox, Policy())
        await intake.keep([count(0, 5, exits=2, revision=3)], NOON)
        await intake.keep([count(1, 1, exits=1, revision=3)], NOON)
        intake.policy = SWAPPED
        kept = await intake.keep([count(0, 5, exits=2, revision=3)], NOON + timedelta(minutes=5))
        assert (1, 0) == (kept.new, kept.duplicates)
        again = await intake.keep([count(0, 5, exits=2, revision=3)], NOON + timedelta(minutes=6))
        assert (0, 1) == (again.new, again.duplicates)
    assert (3, 6) == tuple(tallies(tmp_path)["2026-10-05", name] for name in ("enters", "exits"))
    assert 2 == len({row[0] for row in rows(tmp_path, "SELECT id FROM events")})


@anyio
async def test_what_was_held_is_turned_as_the_owner_wants_when_it_is_adopted(tmp_path):
    """The switch that is set together with the adoption holds for what waited, too."""
    async with opened(tmp_path, admission=Rules(hold=True)) as outbox:
        intake = Intake(outbox, Policy())
        await intake.keep([count(0, 5, exits=2)], NOON, caller=Caller("10.0.0.5"))
        intake.policy = SWAPPED
        await outbox.desk.decide(lambda desk: desk.adopt("counter-a"))
        await outbox.desk.settle(intake.prepared)
    assert (2, 5) == tuple(tallies(tmp_path)["2026-10-05", name] for name in ("enters", "exits"))


@anyio
async def test_a_device_that_is_known_by_its_path_is_turned(tmp_path):
    """A token in the configuration stands for whatever device pushes there, with or without a serial number."""
    config = loads('[devices.lobby]\ntoken = "k3v9"\nswapped = true\n')
    async with opened(tmp_path) as outbox:
        intake = Intake(outbox, composing.policy(config))
        await intake.keep([count(0, 5)], NOON, caller=Caller("10.0.0.5", token="k3v9"))
        await intake.keep([count(0, 5, device=counter("counter-path-k3v9"))], NOON)
        await intake.keep([count(0, 5, device=counter("counter-b"))], NOON, caller=Caller("10.0.0.6"))
    assert [0, 0, 5] == [
        tallies(tmp_path, name)["2026-10-05", "enters"]
        for name in ("counter-a", "counter-path-k3v9", "counter-b")
    ]


@anyio
async def test_one_push_cannot_bring_more_than_a_device_says(tmp_path):
    """A push of thousands of events becomes a letter, a cloud's as well, and so does a stranger's of a hundred devices."""
    many = [count(minute) for minute in range(MOST_EVENTS + 1)]
    crowd = [count(device=counter(f"counter-{number}")) for number in range(101)]
    async with opened(tmp_path) as outbox:
        intake = Intake(outbox, Policy())
        for events, reason in ((many, "2001 events"), (crowd, "101 devices")):
            with pytest.raises(Unreadable, match=reason):
                await intake.keep(events, NOON, caller=Caller("10.0.0.5"))
        with pytest.raises(Unreadable, match="2001 events, and nobody sends more than 2000 at once"):
            await intake.keep(many, NOON)
        assert 2_000 == (await intake.keep(many[1:], NOON)).new
        assert 101 == (await intake.keep(crowd, NOON)).new, "a polled system may have as many"
