"""A box that learns the time after its start, or is told another one: what becomes of events, their marks and their age."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hand_clock import EPOCH, NOW, HandClock, in_use
from keeping import access, count, counter, opened, rows, tallies
from scripted import Line, Scripted, driven, later

from gateway import clock
from gateway.event import Device
from gateway.outbox import Flag, Housekeeper
from gateway.retry import Backoff

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)


@pytest.fixture
def box():
    with in_use(HandClock(EPOCH, synced=False)) as by_hand:
        clock.anchor(None, believe=False)
        yield by_hand


def impatient(line: Line) -> Line:
    """Have what waited for more than five minutes marked as late, as by default."""
    line.forwarder._rendering = replace(line.forwarder._rendering, late_after_ms=300_000)
    return line


async def push(outbox, number, *, device=None):
    """Push a minute that the device's own, right clock dates."""
    at = NOW + number * timedelta(minutes=1)
    await outbox.append(
        [count(number, device=device, time=at, sent_at=at + timedelta(minutes=1))], clock.now()
    )


async def test_what_came_in_1970_is_kept_in_order_marked_and_not_late(box, tmp_path):
    """Events from before the sync leave in order with their mark, are not late by the jump, and count on their own day."""
    async with opened(tmp_path) as outbox:
        async with driven(outbox, Scripted(*[later()] * 3)) as line:
            impatient(line)
            for number in range(5):
                await push(outbox, number)
                box.go(10)
            box.set(NOW + HOUR)
            for number in range(5, 8):
                await push(outbox, number)
            await line.drained()
        sent = [line.sink.payloads[seq] for seq in line.sink.taken]
        assert list(range(1, 9)) == line.sink.taken
        assert [True] * 5 + [False] * 3 == ["clock_unsynced" in event for event in sent]
        assert {False} == {event["late"] for event in sent}
        assert ["1970"] * 5 + ["2026"] * 3 == [event["received_at"][:4] for event in sent]
        assert 8 == tallies(tmp_path)["2026-11-20", "enters"]


async def test_what_really_waited_is_late_whatever_the_clock_shows(box, tmp_path):
    """An event without a trusted receipt is late after five minutes of waiting, by the steady clock."""
    async with opened(tmp_path) as outbox:
        await push(outbox, 1)
        box.go(200)
        await push(outbox, 2)
        box.go(150)
        box.set(NOW + HOUR)
        async with driven(outbox, Scripted()) as line:
            impatient(line)
            await line.drained()
        assert [True, False] == [line.sink.payloads[seq]["late"] for seq in (1, 2)]


async def test_what_an_earlier_life_received_in_1970_is_nothing_to_act_on(box, tmp_path):
    """Nobody knows how long it waited, so it is late; a short wait within one timeline is not."""
    async with opened(tmp_path) as outbox:
        await push(outbox, 1)
    box.go(5)
    async with opened(tmp_path) as outbox:
        async with driven(outbox, Scripted(name="soon")) as line:
            impatient(line)
            await line.drained()
        assert not line.sink.payloads[1]["late"]
        box.set(NOW + HOUR)
        async with driven(outbox, Scripted(name="after")) as line:
            impatient(line)
            await line.drained()
        assert line.sink.payloads[1]["late"]


async def test_receipts_that_nobody_vouches_for_teach_no_clock(box, tmp_path):
    """A device's offset is not measured against a wrong clock, and the one that was known before stays."""
    box.set(NOW)
    async with opened(tmp_path) as outbox:
        await push(outbox, 0)
        known = rows(tmp_path, "SELECT clock_offset_ms FROM devices")
        box.set(NOW - 40 * HOUR, synced=False)
        for number in range(1, 40):
            await push(outbox, number)
            box.go(60)
        await push(outbox, 99, device=counter("counter-new"))
        assert known == rows(tmp_path, "SELECT clock_offset_ms FROM devices WHERE id = 'counter-a'")
        assert [(None,)] == rows(tmp_path, "SELECT clock_offset_ms FROM devices WHERE id = 'counter-new'")


async def test_a_replay_is_seen_as_one_also_without_any_time_server(box, tmp_path):
    """Where the clock is only plausible for ever, old records among live ones are late all the same."""
    box.set(NOW, synced=False)
    terminal = Device(id="terminal-t", source="face_terminal")
    async with opened(tmp_path) as outbox:
        for number in range(3):
            await outbox.append([access(number, device=terminal, time=clock.now())], clock.now())
            box.go(60)
        for number in range(3, 6):
            await outbox.append([access(number, device=terminal, time=clock.now() - 2 * HOUR)], clock.now())
        await outbox.append([access(6, device=terminal, time=clock.now())], clock.now())
        flags = [row[0] for row in rows(tmp_path, "SELECT flags FROM events ORDER BY seq")]
        assert [0, 0, 0, Flag.LATE, Flag.LATE, Flag.LATE, 0] == [flag & Flag.LATE for flag in flags]
        assert {Flag.UNSYNCED} == {flag & Flag.UNSYNCED for flag in flags}


async def test_a_slip_of_our_own_clock_does_not_move_the_newest_fact(box, tmp_path):
    """A receipt in 1970 does not make a device's newest fact look like one from the future."""
    box.set(NOW)
    async with opened(tmp_path) as outbox:
        await push(outbox, 10)
        newest = rows(tmp_path, "SELECT newest FROM devices")
        box.set(EPOCH, synced=False)
        await push(outbox, 3)
        assert newest == rows(tmp_path, "SELECT newest FROM devices")


async def test_nothing_is_removed_for_its_age_by_a_clock_that_may_be_wrong(box, tmp_path):
    """A year forward removes nothing while nobody vouches for it; what came unsynced ages from the sync on."""
    async with opened(tmp_path, keep_days=30) as outbox:
        housekeeper = Housekeeper(outbox)
        await push(outbox, 0)
        box.set(NOW + YEAR, synced=False)
        await push(outbox, 1)
        await housekeeper.tidy()
        assert 2 == len(rows(tmp_path, "SELECT seq FROM events"))
        box.set(NOW)
        await push(outbox, 2)
        await housekeeper.tidy()
        assert 3 == len(rows(tmp_path, "SELECT seq FROM events"))
        for days, left in ((29, 3), (3, 0)):
            box.go(days * 86_400)
            await housekeeper.tidy()
            assert left == len(rows(tmp_path, "SELECT seq FROM events"))


async def test_a_year_forward_and_back_loses_nothing(box, tmp_path):
    """A wrong battery clock that a time server sets right: everything is there, in order, and what was wrong is marked."""
    box.set(NOW + YEAR, synced=False)
    async with opened(tmp_path) as outbox:
        async with driven(outbox, Scripted(later(), later())) as line:
            impatient(line)
            await push(outbox, 0)
            await Housekeeper(outbox).tidy()
            box.set(NOW)
            box.go(3)
            await push(outbox, 1)
            await Housekeeper(outbox).tidy()
            await line.drained()
        sent = [line.sink.payloads[seq] for seq in line.sink.taken]
        assert [("2027", True, False), ("2026", False, False)] == [
            (event["received_at"][:4], "clock_unsynced" in event, event["late"]) for event in sent
        ]
        assert [(int(clock.now().timestamp() * 1000),)] == rows(tmp_path, "SELECT last_seen FROM devices")


async def test_an_hour_back_disturbs_nobody(box, tmp_path):
    """A clock that is set back an hour, by a time server: order, lateness and days stay right."""
    box.set(NOW)
    async with opened(tmp_path) as outbox:
        async with driven(outbox, Scripted(later())) as line:
            impatient(line)
            for number in range(3):
                await push(outbox, number)
            box.set(NOW - HOUR)
            for number in range(3, 6):
                await push(outbox, number)
            await line.drained()
        assert list(range(1, 7)) == line.sink.taken
        assert {False} == {event["late"] for event in line.sink.payloads.values()}
        assert 6 == tallies(tmp_path)["2026-11-20", "enters"]


async def test_a_backoff_on_disk_is_no_matter_of_years(box, tmp_path):
    """After a restart in 1970 a pause that was noted in 2026 lasts no longer than the longest backoff."""
    box.set(NOW)
    async with opened(tmp_path) as outbox:
        await push(outbox, 0)
        slow = Backoff(base_s=30, cap_s=0.3)
        async with driven(outbox, Scripted(later(retry_after_s=600)), backoff=slow) as line:
            await line.until(lambda: line.forwarder.last_error)
    box.set(EPOCH, synced=False)
    async with opened(tmp_path) as outbox, driven(outbox, Scripted(), backoff=slow) as line:
        async with asyncio.timeout(5):
            await line.drained()
        assert [1] == line.sink.taken


async def test_a_far_end_that_refuses_a_wrong_clock_is_explained_and_tried_at_the_sync(box, tmp_path):
    """The fault says that the clock can be the reason, and nothing waits for a backoff once the clock is set."""
    async with opened(tmp_path) as outbox:
        await push(outbox, 0)
        bad = later(fault="https_tls", retry_after_s=3000)
        async with driven(outbox, Scripted(bad)) as line:
            await line.until(lambda: list(line.faults))
            (fault,) = line.faults
            assert (
                "The clock of this box is not set, which can be the reason: it shows 1970-01-01."
                in fault.sentence
            )
            box.set(NOW)
            line.forwarder.clock_set()
            await line.drained()


async def test_what_is_refused_for_a_time_that_cannot_be_is_not_given_up(box, tmp_path):
    """A receiver that answers "malformed" to a signature of 1970 gets the event again when the clock is set."""
    async with opened(tmp_path) as outbox:
        await push(outbox, 0)
        async with driven(outbox, Scripted({0: "timestamp out of range"})) as line:
            await line.until(lambda: line.forwarder.last_error)
            box.set(NOW)
            await line.drained()
        assert [1] == line.sink.taken
        assert [] == rows(tmp_path, "SELECT number FROM letters")


async def test_one_refusal_under_a_clock_that_cannot_be_doubles_nothing(box, tmp_path):
    """What is taken beside it proves that our time is accepted: the refused one is given up, the rest comes once."""
    async with opened(tmp_path) as outbox:
        for number in range(8):
            await push(outbox, number)

        def refuse_third(batch):
            return {index: "malformed" for index, event in enumerate(batch) if event.seq == 3}

        async with driven(outbox, Scripted(*[refuse_third] * 50)) as line:
            await line.drained()
        assert [1, 2, 4, 5, 6, 7, 8] == line.sink.taken
        assert [("malformed",)] == rows(tmp_path, "SELECT reason FROM letters")


async def test_what_was_refused_just_before_the_sync_is_not_given_up(box, tmp_path):
    """The clock is set in the middle of a batch: what was taken after it proves nothing about what came before."""
    async with opened(tmp_path) as outbox:
        for number in range(4):
            await push(outbox, number)

        def synced_behind_the_second(_batch):
            box.set(NOW)
            return {0: "timestamp out of range", 1: "timestamp out of range"}

        async with driven(outbox, Scripted(synced_behind_the_second)) as line:
            await line.drained()
        assert {1, 2, 3, 4} == set(line.sink.taken)
        assert [] == rows(tmp_path, "SELECT number FROM letters")
