"""What its device sends again after retention has removed it: known as old, and nothing newer is taken for it."""

from datetime import timedelta

import pytest
from keeping import MINUTE, NOON, count, opened, rows, tallies
from moved_clock import hand_moved

from gateway.outbox import retention
from gateway.outbox.entry import Flag

pytestmark = pytest.mark.anyio
HOUR, SENT = timedelta(hours=1), timedelta(minutes=1)


@pytest.fixture(autouse=True)
def hands():
    with hand_moved(NOON) as moved:
        yield moved


def minutes(first, number, ahead=timedelta(0)):
    """Give counts of one person a minute, of a counter whose clock is ahead."""
    return [
        count(time=first + at * MINUTE + ahead, enters=1, sent_at=first + at * MINUTE + ahead + SENT)
        for at in range(number)
    ]


async def keep(outbox, events, ahead=timedelta(0)):
    for event in events:
        await outbox.append([event], event.sent_at - ahead)


async def remove_all(outbox):
    await outbox.rewriting.remove(lambda conn, _: retention.remove_settled(conn, settled_up_to=10**9))


def people(directory):
    return sum(
        amount for (day, measure), amount in tallies(directory, "counter-a").items() if measure == "enters"
    )


@pytest.mark.parametrize("ahead", [timedelta(0), HOUR, 14 * HOUR])
async def test_a_history_that_comes_again_counts_once(tmp_path, hands, ahead):
    """Also when the counter's clock is ahead, by an hour or by the widest zone, and the log forgot it a month later."""
    async with opened(tmp_path) as outbox:
        events = minutes(NOON, 60, ahead)
        await keep(outbox, events, ahead)
        hands.wait(days=31)
        await remove_all(outbox)
        for event in events:
            await outbox.append([event], hands.now())
    assert 60 == people(tmp_path)


async def test_a_letter_that_is_read_again_counts_once(tmp_path, hands):
    """It has its old receipt, and its device sent the same again meanwhile: a mark behind that receipt holds for it."""
    async with opened(tmp_path) as outbox:
        events = minutes(NOON, 60)
        await keep(outbox, events)
        hands.wait(days=31)
        await remove_all(outbox)
        await outbox.append([events[3]], events[3].sent_at)
    assert 60 == people(tmp_path)


@pytest.mark.parametrize("removed", ["while it is wrong", "later"])
async def test_a_clock_that_was_a_month_ahead_keeps_nothing_from_counting(tmp_path, hands, removed):
    """What came while box and counter were ahead leaves the log, and what comes now counts as it happens."""
    async with opened(tmp_path) as outbox:
        hands.go(days=30)
        await keep(outbox, minutes(hands.now(), 5))
        if removed == "later":
            hands.go(days=-30)
            await remove_all(outbox)
        else:
            hands.wait(hours=1)
            await remove_all(outbox)
            hands.go(days=-30, hours=-1)
        hands.wait(hours=2)
        await keep(outbox, minutes(hands.now(), 10))
    assert 15 == people(tmp_path)
    flags = rows(tmp_path, "SELECT flags FROM events")
    assert not [found for (found,) in flags if found & Flag.UNTALLIED]


async def test_what_comes_while_a_counter_is_ahead_counts_behind_a_removal(tmp_path, hands):
    """Room that runs short removes what has just come from a counter an hour ahead, and its next minutes count."""
    async with opened(tmp_path) as outbox:
        await keep(outbox, minutes(NOON, 5, HOUR), HOUR)
        hands.wait(minutes=6)
        await remove_all(outbox)
        await keep(outbox, minutes(NOON + 5 * MINUTE, 5, HOUR), HOUR)
    assert 10 == people(tmp_path)
