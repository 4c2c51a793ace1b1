"""What a sink gets, in which order, how often, and what its account says."""

import asyncio
import contextlib
import random
from collections import Counter

import pytest
from keeping import NOON, account, audited, count, fill, opened, rows
from scripted import Scripted, driven, later, on_disk

from gateway.errors import GatewayError, StoreUnavailable
from gateway.outbox import retention

pytestmark = pytest.mark.anyio


@pytest.fixture
async def outbox(tmp_path):
    async with opened(tmp_path) as outbox:
        yield outbox


def minutes(first, last):
    return [count(n) for n in range(first, last + 1)]


def balanced(tmp_path, sink="out"):
    position, waiting, in_log = account(tmp_path, sink)
    assert waiting == in_log
    audited(tmp_path, sink)
    return position


# Order


async def test_everything_is_sent_once_and_in_order(outbox, tmp_path):
    """What was in the log and what comes while the sink runs arrives in the order of the log, each once."""
    await fill(outbox, minutes(1, 35))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        for n in range(36, 60):
            await outbox.append([count(n)], NOON)
        await line.drained()
        assert list(range(1, 60)) == line.sink.taken
        assert max(map(len, line.sink.batches)) <= 10
    assert 59 == balanced(tmp_path).delivered


async def test_a_strict_sink_keeps_the_order_over_an_outage(outbox):
    """After faults of every kind a strict sink has got each event once, and in the order of the log."""
    script = [later(), None, later(3), later(0), None, later(9), later(1)]
    async with driven(outbox, Scripted(*script)) as line:
        await fill(outbox, minutes(1, 80), at_once=7)
        await line.drained()
        assert list(range(1, 81)) == line.sink.taken


async def test_what_was_taken_before_a_fault_is_not_sent_again(outbox):
    """A fault that says how many were taken moves the place by exactly so many, on disk as well."""
    await fill(outbox, minutes(1, 20))
    seen = []

    def look(batch):
        seen.append((batch[0].seq, on_disk(outbox, "out")["cursor"]))
        return later(4) if len(seen) == 1 else None

    async with driven(outbox, Scripted(look, look)) as line:
        await line.drained()
        assert [(1, 0), (5, 4)] == seen
        assert list(range(1, 21)) == line.sink.taken


async def test_the_place_moves_behind_the_batch_and_not_before_it(outbox):
    """While the far end has a batch in its hands the place is still in front of it, in memory as well."""
    places = []

    def look(batch):
        places.append((line.forwarder.position.cursor, batch[0].seq))

    async with driven(outbox, Scripted(look, look, window=5)) as line:
        await fill(outbox, minutes(1, 10))
        await line.drained()
    assert [(0, 1), (5, 6)] == places


async def test_after_an_outage_a_live_first_sink_sends_what_is_new_first(outbox, tmp_path):
    """New events do not wait for a backlog; the backlog follows beside them, and both ends meet."""
    await fill(outbox, minutes(1, 100))
    sink = Scripted(later())
    async with driven(outbox, sink, live_first=True, rate_per_s=200) as line:
        await line.until(lambda: sink.taken)
        await outbox.append([count(500)], NOON)
        await line.until(lambda: 101 in sink.taken)
        assert set(range(1, 101)) - set(sink.taken), "the backlog was gone before the new event"
        await line.drained()
        assert [1] * 101 == [Counter(sink.taken)[n] for n in range(1, 102)]
        backlog = [n for n in sink.taken if n <= 100]
        assert sorted(backlog) == backlog
        assert (101, []) == (line.position.cursor, line.position.arrears)
    assert 101 == balanced(tmp_path).delivered


async def test_a_leap_is_on_disk_before_anything_behind_it_is_sent(outbox):
    """When a live-first sink goes on at the head, its place says so on disk first: retention goes by the disk."""
    await fill(outbox, minutes(1, 100))
    places = []

    def look(batch):
        row = on_disk(outbox, "out")
        places.append((batch[0].seq, row["cursor"]))

    async with driven(outbox, Scripted(*[look] * 30), live_first=True) as line:
        await line.drained()
    assert 100 == places[0][1]


async def test_many_outages_end_with_every_event_once(outbox, tmp_path):
    """A live-first sink that fails again and again, with events coming all the while, misses and doubles none."""
    rng = random.Random(5)
    script = [rng.choice([None, None, later(), later(rng.randrange(1, 8))]) for _ in range(120)]

    def bounded(outcome):
        def send(batch):
            if outcome is not None and outcome.delivered >= len(batch):
                return later(len(batch) - 1)
            return outcome

        return send

    sink = Scripted(*map(bounded, script))
    async with driven(outbox, sink, live_first=True, rate_per_s=3_000) as line:
        for n in range(0, 400, 8):
            await outbox.append(minutes(n, n + 7), NOON)
            await asyncio.sleep(0.003)
        await line.drained()
        assert [1] * 400 == [Counter(sink.taken)[n] for n in range(1, 401)]
    assert 400 == balanced(tmp_path).delivered


# Refusals and letters


async def test_a_refused_event_becomes_a_letter_and_the_rest_goes_on(outbox, tmp_path):
    """Of a batch with two bad events the others count as delivered, the two as lettered, and a person is told."""
    await fill(outbox, minutes(1, 25))
    async with driven(outbox, Scripted({2: "too odd", 5: "too long"})) as line:
        await line.drained()
        assert [n for n in range(1, 26) if n not in (3, 6)] == line.sink.taken
        fault = next(iter(line.faults))
        assert "sink_rejects" == fault.code
        assert "too odd" in fault.sentence
    position = balanced(tmp_path)
    assert (23, 2) == (position.delivered, position.lettered)
    assert [("too odd",), ("too long",)] == rows(tmp_path, "SELECT reason FROM letters ORDER BY number")


async def test_a_letter_is_delivered_when_a_person_asks(outbox, tmp_path):
    """A retried letter that is taken is gone, and its event counts as delivered instead of lettered."""
    await fill(outbox, minutes(1, 5))
    async with driven(outbox, Scripted({1: "no"})) as line:
        await line.drained()
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        line.forwarder.letters_asked()
        await line.until(lambda: line.position.lettered == 0)
        assert [1, 3, 4, 5, 2] == line.sink.taken
        assert "count" == line.sink.payloads[2]["kind"]
    position = balanced(tmp_path)
    assert (5, 0) == (position.delivered, position.lettered)
    assert [] == rows(tmp_path, "SELECT * FROM letters")


async def test_a_letter_that_is_refused_again_stays_with_the_new_reason(outbox, tmp_path):
    """A retry that is refused changes the reason and not the account, and is not tried a third time."""
    await fill(outbox, minutes(1, 3))
    async with driven(outbox, Scripted({1: "no"}, {0: "still no"})) as line:
        await line.drained()
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        line.forwarder.letters_asked()
        await line.until(lambda: rows(tmp_path, "SELECT reason, retry FROM letters") == [("still no", 0)])
        await outbox.append([count(50)], NOON)
        await line.drained()
        assert 3 == len(line.sink.batches)
    position = balanced(tmp_path)
    assert (3, 1) == (position.delivered, position.lettered)


async def test_a_letter_waits_for_a_far_end_that_is_away(outbox, tmp_path):
    """A retry that meets an outage is made again after it; one marked before a restart is found at the start."""
    await fill(outbox, minutes(1, 3))
    async with driven(outbox, Scripted({1: "no"})) as line:
        await line.drained()
    await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
    async with driven(outbox, Scripted(later(), later())) as line:
        await line.until(lambda: line.position and line.position.lettered == 0)
        assert [[2], [2], [2]] == line.sink.batches
        assert [2] == line.sink.taken
    assert 3 == balanced(tmp_path).delivered


# Replays


async def test_a_replay_is_no_part_of_the_account(outbox, tmp_path):
    """What a person asks for again is sent again in order, counted as replayed, and waited for by nobody."""
    await fill(outbox, minutes(1, 40))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        await line.forwarder.replay(4, 27)
        await line.until(lambda: line.position.replayed == 23)
        assert [*range(1, 41), *range(5, 28)] == line.sink.taken
        await line.drained()
    position = balanced(tmp_path)
    assert (40, 0, 23) == (position.delivered, position.lettered, position.replayed)


async def test_a_replay_survives_a_restart(outbox):
    """A range that was asked for while the far end was away is sent after the restart."""
    await fill(outbox, minutes(1, 20))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
    async with driven(outbox, Scripted(*[later()] * 100)) as line:
        await line.until(lambda: line.position)
        await line.forwarder.replay(0, 5)
        await line.until(lambda: on_disk(outbox, "out")["attempts"] > 1)
    async with driven(outbox, Scripted()) as line:
        await line.until(lambda: line.sink.taken == [1, 2, 3, 4, 5])


async def test_a_replay_that_was_promised_survives_a_kill(outbox):
    """Once it is answered the range is on disk, also while the far end is away: a kill right behind it costs nothing."""
    await fill(outbox, minutes(1, 20))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        line.sink.connected = False
        line.sink.opening.extend([later()] * 1000)
        await line.until(lambda: line.forwarder.last_error)
        await line.forwarder.replay(2, 5)
        assert [(2, 5, 1)] == rows(outbox.path.parent, "SELECT first, last, replay FROM arrears")
        await line.kill()
    async with driven(outbox, Scripted()) as line:
        await line.until(lambda: line.sink.taken == [3, 4, 5])


async def test_a_range_too_many_is_refused_and_all_others_come(outbox):
    """Beyond the ranges that are kept a person is told so, and each one that was promised is sent."""
    await fill(outbox, minutes(1, 20))
    async with driven(outbox, Scripted(None, None, *[later()] * 1000)) as line:
        await line.drained()
        promised = []
        await fill(outbox, minutes(21, 21))
        await line.until(lambda: line.forwarder.last_error)
        for n in range(20):
            with contextlib.suppress(GatewayError):
                await line.forwarder.replay(n, n + 1)
                promised.append(n + 1)
        with pytest.raises(GatewayError, match="no room for another"):
            await line.forwarder.replay(0, 20)
        line.sink.script.clear()
        line.forwarder.try_now()
        await line.until(lambda: not line.position.arrears)
        assert [*range(1, 22), *promised] == line.sink.taken
        assert 16 == len(promised)


async def only_new_ones_come(line, outbox, first, last):
    """See each event of the log delivered once, up to new ones that are the last."""
    await fill(outbox, minutes(first, last))
    await line.drained()
    assert [*range(1, last + 1)] == line.sink.taken


async def test_a_replay_that_cannot_be_noted_is_refused_and_not_sent(outbox, monkeypatch):
    """When the disk does not take the range the answer is a refusal, and nothing is sent twice later."""
    monkeypatch.setattr("gateway.forwarder.loop._STORE_PAUSE_S", 0.01)
    await fill(outbox, minutes(1, 20))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        real, broken = outbox.sinks.settle_now, [1]

        async def settle_now(*args, **rest):
            if broken:
                raise StoreUnavailable("no")
            await real(*args, **rest)

        monkeypatch.setattr(outbox.sinks, "settle_now", settle_now)
        with pytest.raises(StoreUnavailable):
            await line.forwarder.replay(0, 5)
        broken.clear()
        await only_new_ones_come(line, outbox, 21, 22)


async def test_a_replay_beside_a_hanging_send_is_refused_and_not_sent(outbox, monkeypatch):
    """A forwarder that waits for its far end cannot note a range: that is said, and the range is forgotten."""
    monkeypatch.setattr("gateway.forwarder.loop._NOTED_S", 0.05)
    held = asyncio.Event()

    async def hang():
        await held.wait()

    await fill(outbox, minutes(1, 20))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        line.sink.script.append(lambda _batch: hang())
        await fill(outbox, minutes(21, 21))
        await line.until(lambda: not line.sink.script)
        with pytest.raises(GatewayError, match="ask again"):
            await line.forwarder.replay(0, 5)
        held.set()
        await only_new_ones_come(line, outbox, 22, 22)


async def test_an_event_that_is_refused_in_a_replay_makes_no_letter(outbox, tmp_path):
    """A replayed event has its place in the account already."""
    await fill(outbox, minutes(1, 5))
    async with driven(outbox, Scripted(None, {0: "no"})) as line:
        await line.drained()
        await line.forwarder.replay(0, 5)
        await line.until(lambda: line.position.replayed == 4)
    assert [] == rows(tmp_path, "SELECT * FROM letters")
    assert 5 == balanced(tmp_path).delivered


async def test_the_same_replay_twice_is_one(outbox):
    """Asking again for what is already asked for sends it once."""
    await fill(outbox, minutes(1, 10))
    async with driven(outbox, Scripted(None, later(), later())) as line:
        await line.drained()
        for _ in range(3):
            await line.forwarder.replay(0, 5)
        await line.until(lambda: line.position.replayed == 5)
        await asyncio.sleep(0.05)
        assert 15 == len(line.sink.taken)


# The window


@pytest.mark.parametrize("live_first", [False, True])
async def test_what_may_come_twice_never_exceeds_the_window(outbox, live_first):
    """At every call the events in flight and those taken but not yet on disk are a window's worth at most."""
    rng, window, worst = random.Random(2), 10, []

    def watch(batch):
        row = on_disk(outbox, "out")
        worst.append(len(batch) + len(sink.taken) - row["delivered"])

    def fault(batch):
        return rng.choice([None, None, None, later(), later(rng.randrange(len(batch)))])

    sink = Scripted(*[fault] * 80, window=window)
    sink.watch = watch
    async with driven(outbox, sink, live_first=live_first, rate_per_s=5_000 if live_first else 0) as line:
        for n in range(0, 300, 6):
            await outbox.append(minutes(n, n + 5), NOON)
            await asyncio.sleep(0.002)
        await line.drained()
    assert window >= max(worst)
    assert [1] * 300 == [Counter(sink.taken)[n] for n in range(1, 301)]


async def test_a_kill_doubles_at_most_a_window(outbox, tmp_path):
    """A forwarder that is ended at any moment sends at most a window again, and misses nothing."""
    rng, got = random.Random(9), Counter()
    await fill(outbox, minutes(1, 300))
    while len(got) < 300:
        sink = Scripted(window=10)
        async with driven(outbox, sink) as line:
            for _ in range(rng.randrange(1, 12)):
                await asyncio.sleep(0.002)
            # As after a power cut: what was settled and is not on disk is forgotten.
            outbox._places._waiting.clear()
            await line.kill()
        again = sum(1 for seq in set(sink.taken) if got[seq])
        assert 10 >= again
        got.update(sink.taken)
    assert set(range(1, 301)) == set(got)


# Pace


async def test_a_backlog_is_paced(outbox):
    """A backlog of a paced sink is not poured out: no more than the pace allows has gone at any moment."""
    await fill(outbox, minutes(1, 400))
    async with driven(outbox, Scripted(), rate_per_s=100) as line:
        clock = asyncio.get_running_loop().time
        begun = clock()
        for _ in range(20):
            await asyncio.sleep(0.03)
            assert len(line.sink.taken) <= 100 * (clock() - begun + 1) + 10
        assert line.sink.taken


async def test_a_stop_does_not_wait_for_the_pace(outbox):
    """When the gateway stops the backlog goes as fast as the far end takes it."""
    await fill(outbox, minutes(1, 400))
    async with driven(outbox, Scripted(), rate_per_s=50) as line:
        await line.until(lambda: line.sink.taken)
        await line.stop(20)
        assert list(range(1, 401)) == line.sink.taken


async def test_new_events_do_not_wait_for_a_paced_backlog(outbox):
    """With the pace of the backlog used up a new event goes at once."""
    await fill(outbox, minutes(1, 300))
    async with driven(outbox, Scripted(), live_first=True, rate_per_s=20) as line:
        await line.until(lambda: len(line.sink.taken) >= 20)
        await outbox.append([count(900)], NOON)
        await line.until(lambda: 301 in line.sink.taken, 0.9)
        assert len(line.sink.taken) < 100


# Holes


async def test_what_was_given_up_is_passed_by(outbox, tmp_path):
    """A sink goes on behind what retention gave up, and its account says what it missed."""
    sink = Scripted(*[later()] * 3)
    await fill(outbox, minutes(1, 100))
    async with driven(outbox, sink) as line:
        await line.until(lambda: line.position)
        await outbox.rewriting.remove(
            lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=30)
        )
        await line.drained()
        assert [*range(1, 21), *range(51, 101)] == sink.taken
    position = balanced(tmp_path)
    assert (70, 30) == (position.delivered, position.expired)


async def test_a_backlog_that_was_given_up_altogether_ends(outbox, tmp_path):
    """Arrears and cursor that point into nothing come to an end at the head."""
    await fill(outbox, minutes(1, 100))
    async with driven(outbox, Scripted(*[later()] * 4), live_first=True) as line:
        await line.until(lambda: line.position and line.position.arrears)
        while (await outbox.rewriting.remove(lambda conn, _: retention.remove_owed(conn, keep=[]))).rows:
            pass
        await line.drained()
        assert (100, []) == (line.position.cursor, line.position.arrears)
        await outbox.append([count(900)], NOON)
        await line.drained()
        assert 101 == line.sink.taken[-1]
    balanced(tmp_path)


# Trouble of the store


async def test_nothing_is_sent_while_it_cannot_be_noted(outbox, tmp_path, monkeypatch):
    """When the store cannot note a place, forwarding pauses; when it can, every event has come once."""
    monkeypatch.setattr("gateway.forwarder.loop._STORE_PAUSE_S", 0.01)
    real, broken = outbox.sinks.settle_now, []

    async def settle_now(*args, **rest):
        if broken:
            raise StoreUnavailable("no")
        await real(*args, **rest)

    monkeypatch.setattr(outbox.sinks, "settle_now", settle_now)
    monkeypatch.setattr("gateway.outbox.places._SOON_S", 60)  # only what is asked for now is written
    await fill(outbox, minutes(1, 60))
    sink = Scripted()
    sink.watch = lambda batch: broken.append(1) if batch[0] == 11 else None
    async with driven(outbox, sink) as line:
        await line.until(lambda: 11 in sink.taken)
        await asyncio.sleep(0.1)
        assert 20 >= len(sink.taken)
        broken.clear()
        sink.watch = lambda _batch: None
        await line.until(lambda: len(sink.taken) == 60)
        assert list(range(1, 61)) == sink.taken


async def test_a_refusal_that_cannot_be_noted_is_not_lost(outbox, tmp_path, monkeypatch):
    """A refused event whose letter the disk does not take becomes a letter later, and nothing is sent before that."""
    monkeypatch.setattr("gateway.forwarder.loop._STORE_PAUSE_S", 0.01)
    real, failures = outbox.sinks.settle_now, [1, 1, 1]

    async def settle_now(*args, **rest):
        if failures and rest.get("rejected", args[1] if len(args) > 1 else ()):
            failures.pop()
            raise StoreUnavailable("no")
        await real(*args, **rest)

    monkeypatch.setattr(outbox.sinks, "settle_now", settle_now)
    await fill(outbox, minutes(1, 30))
    async with driven(outbox, Scripted({3: "no"})) as line:
        await line.drained()
        assert [] == failures
        assert [n for n in range(1, 31) if n != 4] == line.sink.taken
    position = balanced(tmp_path)
    assert (29, 1) == (position.delivered, position.lettered)
    assert [("no",)] == rows(tmp_path, "SELECT reason FROM letters")


async def test_a_delivered_letter_that_cannot_be_noted_is_not_sent_again(outbox, tmp_path, monkeypatch):
    """A letter that was taken while the disk was in trouble is taken back when the disk works, and sent once."""
    monkeypatch.setattr("gateway.forwarder.loop._STORE_PAUSE_S", 0.01)
    await fill(outbox, minutes(1, 5))
    async with driven(outbox, Scripted({1: "no"})) as line:
        await line.drained()
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        real, failures = outbox.sinks.settle_now, [1, 1]

        async def settle_now(*args, **rest):
            if failures:
                failures.pop()
                raise StoreUnavailable("no")
            await real(*args, **rest)

        monkeypatch.setattr(outbox.sinks, "settle_now", settle_now)
        line.forwarder.letters_asked()
        await line.until(lambda: not failures and rows(tmp_path, "SELECT * FROM letters") == [])
        assert [1, 3, 4, 5, 2] == line.sink.taken
    position = balanced(tmp_path)
    assert (5, 0) == (position.delivered, position.lettered)


# Bugs


async def test_an_event_that_the_sink_breaks_on_does_not_hold_up_the_others(outbox, tmp_path):
    """A bug that one event meets costs that event a letter; the others are delivered."""

    def breaks(batch):
        return ZeroDivisionError("odd") if any(event.seq == 7 for event in batch) else None

    await fill(outbox, minutes(1, 30))
    async with driven(outbox, Scripted(*[breaks] * 60)) as line:
        await line.drained()
        assert {*range(1, 31)} - {7} == set(line.sink.taken)
    position = balanced(tmp_path)
    assert (29, 1) == (position.delivered, position.lettered)
    assert "ZeroDivisionError" in rows(tmp_path, "SELECT reason FROM letters")[0][0]


async def test_an_entry_that_cannot_be_rendered_does_not_hold_up_the_others(outbox, tmp_path):
    """A row of an older gateway whose personal part is no object, after damage nobody noticed, becomes a letter."""
    await fill(outbox, minutes(1, 10))
    await outbox.write(
        lambda conn: conn.execute("UPDATE events SET personal = '[1]', crc = NULL WHERE seq = 4")
    )
    outbox._following.tail.forget(10)
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        assert {*range(1, 11)} - {4} == set(line.sink.taken)
    assert 1 == balanced(tmp_path).lettered


@pytest.mark.parametrize("at_once", [1, 25])
async def test_a_bug_that_every_event_meets_makes_few_letters(outbox, tmp_path, at_once):
    """A sink that fails on everything is an outage: the events wait, however slowly they come."""
    sink = Scripted(*[ZeroDivisionError("broken")] * 200)
    async with driven(outbox, sink) as line:
        for n in range(0, 25, at_once):
            await outbox.append(minutes(n, n + at_once - 1), NOON)
            await asyncio.sleep(0.01)
        await line.until(lambda: line.forwarder.last_error)
        sink.script.clear()
        await line.drained()
    position = balanced(tmp_path)
    assert 25 == position.delivered + position.lettered
    assert 3 >= position.lettered
