"""Where the places of the sinks were lost no sink loses what it was owed, however late it comes back."""

import pytest
from keeping import account, alter, audited, count, fill, opened, rows

from gateway.daemon.erasing import erase_at_rest
from gateway.errors import StoreUnavailable
from gateway.outbox import damage, retention

pytestmark = pytest.mark.anyio
EVENTS = 30


@pytest.fixture
async def salvaged(tmp_path):
    """A store whose sink was not there when the start saved it, with its place lost."""
    await damaged(tmp_path, "UPDATE sinks SET cursor = cursor + 16")
    async with opened(tmp_path) as outbox:
        assert outbox.salvaged.places_lost
    return tmp_path


async def damaged(directory, *statements, events=EVENTS):
    """Leave a store with a sink and some events, in which something was changed, for the next start to save."""
    async with opened(directory) as outbox:
        await outbox.sinks.enlist("sink", start="now", window=100)
        await fill(outbox, [count(minute) for minute in range(events)])
    alter(directory, *statements)
    damage.mark(directory, "a page")


def remove_all(conn, retained):
    return retention.remove_settled(conn, settled_up_to=retained.settled_up_to)


async def test_a_sink_that_comes_back_a_start_later_gets_all_there_is(salvaged):
    """The start that saved the store was ended before the sink had its place: what it was owed waits all the same."""
    async with opened(salvaged) as outbox:
        assert outbox.salvaged is None
        await fill(outbox, [count(EVENTS)])
        position = await outbox.sinks.enlist("sink", start="now", window=100)
        assert EVENTS + 1 == position.waiting(outbox.head)
    audited(salvaged)
    assert EVENTS + 1 == account(salvaged, "sink")[2]


async def test_nothing_leaves_before_a_sink_has_its_place_again(salvaged):
    """A configured sink that has not come back yet keeps the log, and once it has its place all is as ever."""
    async with opened(salvaged) as outbox:
        outbox.expect("sink", 100)
        assert 0 == (await outbox.rewriting.remove(remove_all)).rows
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        position.cursor = outbox.head
        position.settle([], ["counter-a"] * EVENTS)
        await outbox.sinks.settle_now(position)
        assert EVENTS == (await outbox.rewriting.remove(remove_all)).rows


async def test_what_was_lost_ends_with_what_was_saved(salvaged):
    """When the log begins behind the rescue a sink with start = "now" is a new one again, and begins now."""
    async with opened(salvaged) as outbox:
        await fill(outbox, [count(EVENTS), count(EVENTS + 1)])
        first = rows(salvaged, "SELECT seq FROM events ORDER BY seq")[EVENTS][0]
        await outbox.rewriting.remove(lambda conn, _: retention.remove_settled(conn, settled_up_to=first))
        position = await outbox.sinks.enlist("sink", start="now", window=100)
        assert (outbox.head, 0) == (position.cursor, position.waiting(outbox.head))


async def test_a_rescue_that_saved_no_event_owes_what_comes_behind_it(tmp_path):
    """With all of the log gone the first events that come then are owed to a sink that comes back later."""
    await damaged(tmp_path, "UPDATE sinks SET cursor = cursor + 16", "DELETE FROM events", events=1)
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(1), count(2)])
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="now", window=100)
        assert 2 == position.waiting(outbox.head)


async def test_a_store_that_lost_no_place_owes_a_new_sink_nothing(tmp_path):
    """A rescue that kept every place leaves "now" what it is."""
    await damaged(tmp_path, events=1)
    async with opened(tmp_path) as outbox:
        assert not outbox.salvaged.places_lost
        position = await outbox.sinks.enlist("another", start="now", window=100)
        assert 0 == position.waiting(outbox.head)


async def test_an_erasure_with_the_daemon_down_leaves_a_damaged_store_to_the_daemon(tmp_path):
    """Saving what can be read is for the daemon, which tells a person of it: the files are as they were."""
    await damaged(tmp_path, events=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StoreUnavailable, match=r"damaged \(a page\).*[Ss]tart the gateway"):
        erase_at_rest(tmp_path, 2**30, {"person": "ada-4711", "sure": True})
    assert before == {path: path.read_bytes() for path in before}
    assert [] == list(tmp_path.glob("gateway.db.*"))


async def test_the_account_balances_with_the_letters_that_were_kept(tmp_path):
    """Letters outlive the place of their sink: they are in its new account, and leave it when one is delivered."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        await fill(outbox, [count(minute) for minute in range(EVENTS)])
        first, second = outbox.recent(0, 2)
        position.cursor = 2
        position.settle([], ["counter-a"] * 2)
        await outbox.sinks.settle_now(position, [(first, "no"), (second, "no")])
    alter(tmp_path, "UPDATE sinks SET cursor = cursor + 16")
    damage.mark(tmp_path, "a place that is not what was written")
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=100)
        assert (EVENTS, 2) == (position.waiting(outbox.head), position.lettered)
        assert 2 == audited(tmp_path)["counter-a"]["lettered"]
        position.answer_letter("counter-a")
        await outbox.sinks.settle_now(position, answered=[1])
        row = audited(tmp_path)["counter-a"]
        assert (1, 1) == (row["delivered"], row["lettered"])
