"""Backoff, stops, restarts: how a forwarder waits, and what ends the waiting."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from keeping import NOON, Running, count, fill, opened
from scripted import Line, Scripted, driven, later, on_disk

from gateway.errors import GatewayError, SinkUnavailable
from gateway.faults import Faults
from gateway.outbox import StoreDamaged
from gateway.retry import Backoff

pytestmark = pytest.mark.anyio
LONG = Backoff(base_s=600, cap_s=600)


@pytest.fixture
async def outbox(tmp_path):
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n) for n in range(1, 31)])
        yield outbox


def codes(line):
    return [fault.code for fault in line.faults]


async def test_attempts_grow_until_the_far_end_answers(outbox):
    """Failures in a row are counted on disk, shown as a fault, and forgotten with the first answer."""
    seen = []

    def look(_batch):
        seen.append(on_disk(outbox, "out")["attempts"])
        return later(fault="https_refused")

    async with driven(outbox, Scripted(*[look] * 5), backoff=Backoff(base_s=0.3, cap_s=0.4)) as line:
        await line.until(lambda: len(seen) >= 3)
        assert ["https_refused"] == codes(line)
        assert "not now" == line.forwarder.last_error
        line.forwarder.try_now()
        await line.drained()
        assert sorted(seen[:3]) == seen[:3]
        assert [] == codes(line)
        assert None is line.forwarder.last_error
        await line.until(lambda: on_disk(outbox, "out")["attempts"] == 0)


async def test_opening_is_no_answer(outbox):
    """A sink whose connection comes up and whose every request fails backs off further and further."""
    async with driven(outbox, Scripted(*[later()] * 8), backoff=Backoff(base_s=0.001, cap_s=0.01)) as line:
        await line.until(lambda: line.position and line.position.attempts == 8)
        assert 8 <= line.sink.opens
        await line.drained()


async def test_a_batch_that_was_taken_in_part_is_an_answer(outbox):
    """A far end that takes some of each batch is not backed off from as if it took nothing."""
    async with driven(outbox, Scripted(later(2), later(2), later(2))) as line:
        await line.drained()
        assert [1, 3, 5, 7] == [batch[0] for batch in line.sink.batches[:4]]
        assert 0 == line.position.attempts


async def test_a_far_end_that_cannot_be_reached_is_tried_again(outbox):
    """Faults at the opening are outages like any other."""
    async with driven(outbox, Scripted(opens=(later(), later(fault="mqtt_refused")))) as line:
        await line.drained()
        assert 3 == line.sink.opens
        assert list(range(1, 31)) == line.sink.taken


async def test_a_connection_that_is_lost_while_idle_is_opened_again(outbox, monkeypatch):
    """A sink that says that its far end is gone is opened again, although there is nothing to send."""
    monkeypatch.setattr("gateway.forwarder.loop._IDLE_CHECK_S", 0.01)
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        line.sink.connected = False
        await line.until(lambda: line.sink.opens == 2)


async def test_the_reason_of_a_connection_that_was_lost_while_idle_is_told(outbox, monkeypatch):
    """A sink that knows why its far end is gone is heard, also when there was nothing to send."""
    monkeypatch.setattr("gateway.forwarder.loop._IDLE_CHECK_S", 0.01)
    async with driven(outbox, Scripted(), backoff=LONG) as line:
        await line.drained()
        line.sink.script.append(SinkUnavailable("It hung up over a packet.", fault="mqtt_unasked"))
        line.sink.connected = False
        await line.until(lambda: line.forwarder.last_error)
        assert "It hung up over a packet." == line.forwarder.last_error


async def test_a_wish_to_wait_is_obeyed(outbox):
    """Retry-After makes the pause at least as long as asked, and a little longer at most."""
    async with driven(outbox, Scripted(later(retry_after_s=120))) as line:
        await line.until(lambda: line.forwarder.paused_until)
        assert 115 < line.forwarder.paused_until - time.monotonic() < 133
        await line.until(lambda: on_disk(outbox, "out")["retry_at"] > 0)
        due = on_disk(outbox, "out")["retry_at"] / 1000 - datetime.now(UTC).timestamp()
        assert 115 < due < 133


async def test_a_pause_survives_a_restart(outbox):
    """A gateway that is started again in the middle of a long pause does not ask the far end earlier."""
    async with driven(outbox, Scripted(later(retry_after_s=300))) as line:
        await line.until(lambda: on_disk(outbox, "out").get("attempts") == 1)
    async with driven(outbox, Scripted(), backoff=LONG) as line:
        await asyncio.sleep(0.1)
        assert (0, []) == (line.sink.opens, line.sink.batches)
        assert 200 < line.forwarder.paused_until - time.monotonic()
        line.forwarder.try_now()
        await line.drained()


async def test_a_clock_that_jumped_does_not_make_a_pause_endless(outbox, monkeypatch):
    """A noted pause that lies years ahead is waited out for the longest wish that is honoured and no longer."""
    async with driven(outbox, Scripted(later(retry_after_s=300))) as line:
        await line.until(lambda: on_disk(outbox, "out").get("attempts") == 1)
    await outbox.write(lambda conn: conn.execute("UPDATE sinks SET retry_at = 9000000000000"))
    monkeypatch.setattr("gateway.forwarder.loop._LONGEST_WISH_S", 0.1)
    async with driven(outbox, Scripted()) as line:
        await line.drained()


async def test_a_person_can_end_a_pause(outbox):
    """`try_now` asks the far end at once, and the pause is forgotten on disk too."""
    async with driven(outbox, Scripted(later()), backoff=LONG) as line:
        await line.until(lambda: line.forwarder.paused_until > time.monotonic() + 1 or line.sink.taken)
        line.forwarder.try_now()
        await line.drained()
        await line.until(lambda: on_disk(outbox, "out")["retry_at"] == 0)


# A stop that the far end asked for


async def test_a_stop_holds_until_a_person_wants_a_try(outbox):
    """After 410 nothing is sent, over restarts; `try_now` takes the stop away for good."""
    async with driven(outbox, Scripted(later(stop=True, fault="https_gone"))) as line:
        await line.until(lambda: on_disk(outbox, "out").get("stopped"))
        await outbox.append([count(99)], NOON)
        await asyncio.sleep(0.05)
        assert 1 == len(line.sink.batches)
    async with driven(outbox, Scripted()) as line:
        await asyncio.sleep(0.1)
        assert (0, []) == (line.sink.opens, line.sink.batches)
        assert ["https_gone"] == codes(line)
        line.forwarder.try_now()
        await line.drained()
        assert [] == codes(line)
        await line.until(lambda: on_disk(outbox, "out")["stopped"] is None)
    async with driven(outbox, Scripted()) as line:
        await outbox.append([count(100)], NOON)
        await line.drained()


async def test_a_try_that_is_asked_before_the_start_counts(outbox):
    """A forwarder that is made anew because a person changed its settings forgets the old stop."""
    async with driven(outbox, Scripted(later(stop=True))) as line:
        await line.until(lambda: on_disk(outbox, "out").get("stopped"))
    line = Line(outbox, Scripted())
    line.forwarder.try_now()
    await line.drained()
    await line.stop()


async def test_a_stopped_sink_can_be_ended(outbox):
    """A sink that waits for a person does not hold up the stop of the gateway."""
    async with driven(outbox, Scripted(later(stop=True))) as line:
        await line.until(lambda: line.position and line.position.stopped)
        await asyncio.wait_for(line.stop(0), 5)
        assert 1 == line.sink.closes


# The end


async def test_an_end_sends_what_is_there_and_notes_the_place(outbox):
    """Stopping hands out everything that waits, puts the place on disk, and closes the sink once."""
    async with driven(outbox, Scripted(window=3)) as line:
        await line.until(lambda: line.sink.taken)
        await line.stop(20)
        assert list(range(1, 31)) == line.sink.taken
        assert (30, 30) == (on_disk(outbox, "out")["cursor"], on_disk(outbox, "out")["delivered"])
        assert 1 == line.sink.closes


async def test_an_end_does_not_wait_for_a_slow_far_end_beyond_its_grace(outbox):
    """After the grace the batch at hand is finished and no other is begun; the place is where the sink is."""

    async def slow():
        await asyncio.sleep(0.05)

    async with driven(outbox, Scripted(*[lambda _batch: slow()] * 100, window=1)) as line:
        await line.until(lambda: line.sink.taken)
        await line.stop(0.1)
        assert 30 > len(line.sink.taken)
        assert len(line.sink.taken) == on_disk(outbox, "out")["cursor"]


async def test_an_end_in_a_pause_is_at_once(outbox):
    """A sink whose far end is away does not hold up the stop."""
    async with driven(outbox, Scripted(*[later()] * 9), backoff=LONG) as line:
        await line.until(lambda: line.forwarder.last_error)
        await asyncio.wait_for(line.stop(60), 5)


async def test_a_forwarder_that_is_cancelled_in_a_call_closes_its_sink(outbox):
    """When a call hangs beyond all patience the forwarder can be ended, and sends the batch again later."""

    async def hang():
        await asyncio.Event().wait()

    async with driven(outbox, Scripted(None, lambda _batch: hang())) as line:
        await line.until(lambda: len(line.sink.batches) == 2)
        await line.kill()
        assert 1 == line.sink.closes
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        assert list(range(11, 31)) == line.sink.taken


async def test_a_forwarder_that_is_started_again_doubles_nothing_that_was_settled(outbox):
    """When its task dies and is restarted, a forwarder goes on behind what it had settled, on disk or not."""
    async with driven(outbox, Scripted(window=10)) as line:
        await line.until(lambda: len(line.sink.taken) >= 10)
        await line.kill()
        taken = list(line.sink.taken)
        line.task = asyncio.create_task(line.forwarder.run())
        await line.drained()
        assert [*taken, *range(len(taken) + 1, 31)] == line.sink.taken


async def test_damage_that_reading_meets_ends_the_store(tmp_path, monkeypatch):
    """A page of the log that cannot be read stops the writing, so that the next start salvages it."""

    async def damaged(*_args):
        raise StoreDamaged("a page of the log is malformed")

    monkeypatch.setattr("gateway.outbox.reading.LogReader.read", damaged)
    running = await Running.start(tmp_path)
    await fill(running.outbox, [count(n) for n in range(30)])
    running.outbox._following.tail.forget(30)
    async with driven(running.outbox, Scripted()):
        with pytest.raises(StoreDamaged):
            await asyncio.wait_for(running.writing, 5)
        with pytest.raises(StoreDamaged):
            await running.outbox.append([count(99)], NOON)
    assert "malformed" in (tmp_path / "gateway.damaged").read_text()
    await running.abandon()


async def test_requests_are_bounded(outbox):
    """A person cannot pile up requests on a sink that hangs."""

    async def hang():
        await asyncio.Event().wait()

    async with driven(outbox, Scripted(lambda _batch: hang())) as line:
        await line.until(lambda: line.sink.batches)
        with pytest.raises(GatewayError, match="too much to do"):
            [line.forwarder.try_now() for _ in range(200)]
        await line.kill()


async def test_two_sinks_do_not_wait_for_each_other(outbox):
    """One sink's outage and one sink's slowness are nothing to the other."""
    away, fine = Scripted(*[later()] * 500, name="away"), Scripted(name="fine")
    faults = Faults()
    async with driven(outbox, away, faults=faults), driven(outbox, fine, faults=faults) as line:
        await line.drained()
        await outbox.append([count(99)], NOON)
        await line.drained()
        assert list(range(1, 32)) == fine.taken
        assert [] == away.taken


async def test_small_batches_gather_after_the_first(outbox):
    """With a time to gather the first event leaves at once, and what follows within moments shares a call."""
    async with driven(outbox, Scripted(window=50), gather_s=0.3) as line:
        await line.drained()
        await asyncio.sleep(0.4)
        await outbox.append([count(100)], NOON)
        await line.until(lambda: 31 in line.sink.taken)
        for n in range(101, 110):
            await outbox.append([count(n)], NOON)
        await line.drained()
        assert [[31], list(range(32, 41))] == line.sink.batches[-2:]
