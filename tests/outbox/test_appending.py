"""Identity, revisions and tallies: what one push adds to the log."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from keeping import MINUTE, NOON, access, count, counter, data_of, fill, heartbeat, opened, rows, tallies

from gateway.errors import Unreadable
from gateway.event import Device
from gateway.outbox import Drafting, Flag, retention
from gateway.outbox.appending import _MAX_TIES

pytestmark = pytest.mark.anyio
DAY = "2026-10-05"


def log(directory, columns="seq, id, revision, flags"):
    return rows(directory, f"SELECT {columns} FROM events ORDER BY seq")


def newest(directory, event):
    found = rows(directory, "SELECT body FROM events WHERE id = ? ORDER BY revision DESC LIMIT 1", event.id)
    return data_of(found[0][0])["enters"]


async def test_a_push_is_numbered_from_one(tmp_path):
    """The events of the first push get the numbers 1, 2, 3, and the caller learns the first of them."""
    async with opened(tmp_path) as outbox:
        appended = await outbox.append([count(0), count(1), count(2)], NOON)
        assert (3, 0, 1) == (appended.new, appended.duplicates, appended.first_seq)
        assert 3 == outbox.head
        assert [1, 2, 3] == [row[0] for row in log(tmp_path)]


async def test_a_resend_is_not_kept_again(tmp_path):
    """The same fact stated again is counted as repeated and leaves log and tallies as they were."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 5)], NOON)
        again = await outbox.append([count(0, 5)], NOON + MINUTE)
        assert (0, 1, None) == (again.new, again.duplicates, again.first_seq)
        assert 1 == len(log(tmp_path))
        assert 5 == tallies(tmp_path)[DAY, "enters"]
        assert [(1, 1)] == rows(tmp_path, "SELECT events, duplicates FROM devices")


async def test_a_resend_is_known_by_what_it_states_and_not_by_when_it_was_sent(tmp_path):
    """A terminal that sends a record again with a new time of sending has said nothing new."""
    async with opened(tmp_path) as outbox:
        await outbox.append([access(1, sent_at=NOON)], NOON)
        again = await outbox.append([access(1, sent_at=NOON + MINUTE)], NOON + MINUTE)
        repaired = await outbox.append([replace(access(1), repaired=True)], NOON + 2 * MINUTE)
        assert (0, 0) == (again.new, repaired.new)
        assert 1 == len(log(tmp_path))


async def test_a_correction_moves_the_day_by_the_difference(tmp_path):
    """A higher revision is a new row, and the day shows its number and not the sum of both."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 5, revision=1)], NOON)
        await outbox.append([count(0, 3, revision=2)], NOON)
        assert [(1, 1), (2, 2)] == [(seq, revision) for seq, _, revision, _ in log(tmp_path)]
        assert 3 == tallies(tmp_path)[DAY, "enters"]


async def test_an_older_statement_that_comes_late_is_history(tmp_path):
    """A lower revision is kept, marked, and changes neither the day nor what the device shows."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 9, revision=5)], NOON)
        await outbox.append([count(0, 4, revision=3)], NOON)
        assert [(5, 0), (3, Flag.SUPERSEDED)] == [row[2:] for row in log(tmp_path)]
        assert 9 == tallies(tmp_path)[DAY, "enters"]
        assert '"enters":9' in rows(tmp_path, "SELECT newest_data FROM devices")[0][0]
        await outbox.append([count(0, 10, revision=6)], NOON)
        assert 10 == tallies(tmp_path)[DAY, "enters"]


async def test_several_events_of_one_push_may_state_the_same_fact(tmp_path):
    """A correction inside one push replaces what the same push said before."""
    async with opened(tmp_path) as outbox:
        appended = await outbox.append(
            [count(0, 1, revision=1), count(0, 2, revision=2), count(0, 2, revision=2)], NOON
        )
        assert (2, 1) == (appended.new, appended.duplicates)
        assert 2 == tallies(tmp_path)[DAY, "enters"]


# One number, two statements


async def test_of_two_statements_with_one_number_the_later_one_counts(tmp_path):
    """The second statement takes the next free revision, and the day shows it."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 5, revision=10)], NOON)
        await outbox.append([count(0, 6, revision=10)], NOON)
        assert [(10, 0), (11, Flag.TIED)] == [row[2:] for row in log(tmp_path)]
        assert 6 == tallies(tmp_path)[DAY, "enters"]


async def test_a_resend_of_either_of_two_tied_statements_is_recognised(tmp_path):
    """Neither the first nor the second of two statements with one number is kept twice, in any order."""
    first, second = count(0, 5, revision=10), count(0, 6, revision=10)
    async with opened(tmp_path) as outbox:
        await outbox.append([first], NOON)
        await outbox.append([second], NOON)
        for again in (first, second, second, first):
            assert 0 == (await outbox.append([again], NOON)).new
        assert 6 == tallies(tmp_path)[DAY, "enters"]


async def test_a_real_number_that_is_taken_by_a_tied_one_still_wins(tmp_path):
    """The device's own next number comes after a statement that had to borrow it."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 5, revision=10), count(0, 6, revision=10)], NOON)
        await outbox.append([count(0, 7, revision=11)], NOON)
        assert 7 == tallies(tmp_path)[DAY, "enters"]
        assert [10, 11, 12] == [row[2] for row in log(tmp_path)]
        assert 0 == (await outbox.append([count(0, 7, revision=11)], NOON)).new


async def test_a_tied_statement_that_comes_behind_a_newer_one_is_history(tmp_path):
    """What was stated with an older number never replaces a newer one because its number was taken."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 5, revision=10)], NOON)
        await outbox.append([count(0, 7, revision=11)], NOON)
        late = count(0, 6, revision=10)
        await outbox.append([late], NOON)
        assert 7 == tallies(tmp_path)[DAY, "enters"]
        assert 7 == newest(tmp_path, late)
        assert Flag.SUPERSEDED == log(tmp_path)[-1][3]
        assert 0 == (await outbox.append([late], NOON)).new


async def test_a_broken_device_cannot_make_revisions_without_end(tmp_path):
    """After some different statements with one number the rest counts as repeated."""
    async with opened(tmp_path) as outbox:
        for enters in range(100):
            await outbox.append([count(0, enters, revision=0)], NOON)
        assert _MAX_TIES == len(log(tmp_path)) < 100


# Days


async def test_a_minute_of_zeros_is_not_a_minute_without_data(tmp_path):
    """Zeros make rows of zeros."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 0)], NOON)
        assert {(DAY, "enters"): 0, (DAY, "exits"): 0} == tallies(tmp_path)


@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        ("Europe/Lisbon", "2026-11-21T23:59:59+00:00", "2026-11-21"),
        ("Europe/Berlin", "2026-11-21T23:30:00+00:00", "2026-11-22"),
        ("America/Los_Angeles", "2026-11-21T07:59:00+00:00", "2026-11-20"),
        # The day on which clocks go forward has 23 hours, the other one 25.
        ("Europe/Berlin", "2026-03-28T23:00:00+00:00", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T21:59:59+00:00", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T22:00:00+00:00", "2026-03-30"),
        ("Europe/Berlin", "2026-10-24T22:00:00+00:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T22:59:59+00:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T23:00:00+00:00", "2026-10-26"),
        ("Asia/Kathmandu", "2026-11-21T18:15:00+00:00", "2026-11-22"),
    ],
)
async def test_the_day_is_the_sites_day(tmp_path, zone, instant, day):
    """A fact counts on the day that it is on the clock of the site, on the two odd days of the year too."""
    async with opened(tmp_path, drafting=Drafting(zone=ZoneInfo(zone))) as outbox:
        began = datetime.fromisoformat(instant)
        await outbox.append([count(time=began)], began + MINUTE)
        assert {day} == {found for found, _ in tallies(tmp_path)}


async def test_a_correction_with_another_time_takes_back_on_the_old_day(tmp_path):
    """When a correction moves a record to another day, the first day loses it and the second one has it."""
    async with opened(tmp_path) as outbox:
        await outbox.append([access(1)], NOON)
        await outbox.append([access(1, time=NOON + timedelta(days=1), mode="card")], NOON)
        assert {(DAY, "allowed"): 0, ("2026-10-06", "allowed"): 1} == tallies(tmp_path, "terminal-t")


async def test_a_correction_under_another_name_takes_back_from_the_old_device(tmp_path):
    """When a device is known by another name at the correction, nobody is counted at both."""
    other = Device(id="terminal-new", source="face_terminal")
    async with opened(tmp_path) as outbox:
        await outbox.append([access(1)], NOON)
        await outbox.append([replace(access(1, mode="card"), device=other)], NOON)
        assert {(DAY, "allowed"): 0} == tallies(tmp_path, "terminal-t")
        assert {(DAY, "allowed"): 1} == tallies(tmp_path, "terminal-new")


async def test_views_of_the_same_people_are_not_added(tmp_path):
    """Total, adult and child each have a measure of their own."""
    async with opened(tmp_path) as outbox:
        for minute, view in enumerate(("total", "adult", "child")):
            await outbox.append([count(minute, 2 + minute, view=view)], NOON)
        day = tallies(tmp_path)
        assert (2, 3, 4) == (day[DAY, "enters"], day[DAY, "adult_enters"], day[DAY, "child_enters"])


# What may have left the log


async def remove_all(outbox):
    await outbox.rewriting.remove(
        lambda conn, kept: retention.remove_settled(conn, settled_up_to=kept.settled_up_to)
    )


@pytest.mark.parametrize("event", [count(0, 5), access(1)], ids=["count", "access"])
async def test_what_comes_again_after_its_time_is_kept_and_not_counted(tmp_path, event):
    """A fact that retention may have removed is kept again and moves no day: it may be in there already."""
    async with opened(tmp_path) as outbox:
        await outbox.append([event], NOON)
        before = tallies(tmp_path, event.device.id)
        await remove_all(outbox)
        assert 1 == (await outbox.append([event], NOON + timedelta(days=40))).new
        assert Flag.UNTALLIED & log(tmp_path)[0][3]
        assert before == tallies(tmp_path, event.device.id)
        # What follows on such a fact does not count either: nobody knows what it would replace.
        later = replace(event, revision=1, data={**event.data, "enters": 50, "result": "denied"})
        await outbox.append([later], NOON + timedelta(days=40))
        assert before == tallies(tmp_path, event.device.id)


async def test_newer_facts_count_after_a_removal(tmp_path):
    """What is newer than everything that was removed counts as before."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 5)], NOON)
        await remove_all(outbox)
        await outbox.append([count(1, 7)], NOON)
        assert 12 == tallies(tmp_path)[DAY, "enters"]


async def test_one_date_out_of_the_future_does_not_end_the_counting(tmp_path):
    """After a fact with a date in 2099 has been removed, today's facts still count."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(time=NOON.replace(year=2099))], NOON)
        await remove_all(outbox)
        await outbox.append([count(1, 7)], NOON + MINUTE)
        assert 7 == tallies(tmp_path)[DAY, "enters"]


async def test_history_left_behind_is_no_measure(tmp_path):
    """When only an outdated statement is left of a fact, a correction does not count against it."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 9, revision=5)], NOON)
        await outbox.append([count(0, 4, revision=3)], NOON)
        await outbox.rewriting.remove(lambda conn, _: retention.remove_settled(conn, settled_up_to=1))
        await outbox.append([count(0, 10, revision=6)], NOON)
        assert 9 == tallies(tmp_path)[DAY, "enters"]


async def test_a_removed_correction_does_not_come_back_as_a_difference(tmp_path):
    """When the newer statement of a fact is given up and the older one is not, its resend moves nothing."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 4, revision=1)], NOON)
        await outbox.append([count(0, 9, revision=2)], NOON)
        await outbox.rewriting.remove(lambda conn, _: retention.remove_owed(conn, keep=[(0, 1)]))
        assert 1 == len(log(tmp_path))
        await outbox.append([count(0, 9, revision=2)], NOON)
        assert 9 == tallies(tmp_path)[DAY, "enters"]


# Numbers of the device, the book


async def test_each_device_counts_its_own_events_without_a_gap(tmp_path):
    """The sequence per device has no holes, whatever other devices, resends and refusals come between."""
    async with opened(tmp_path) as outbox:
        for minute in range(20):
            names = ["counter-a", "counter-b"] if minute % 3 else ["counter-a"]
            await outbox.append([count(minute, device=counter(name)) for name in names], NOON)
            await outbox.append([count(minute, device=counter("counter-a"))], NOON)
            with pytest.raises(RuntimeError):
                await outbox.write(_fail_after(outbox, count(minute + 100)))
        for name in ("counter-a", "counter-b"):
            found = rows(tmp_path, "SELECT device_seq FROM events WHERE device = ? ORDER BY seq", name)
            assert list(range(1, len(found) + 1)) == [row[0] for row in found]
        assert list(range(1, outbox.head + 1)) == [row[0] for row in log(tmp_path)]


def _fail_after(outbox, event):
    draft = outbox.settings.drafting.draft(event, NOON)

    def work(_conn):
        outbox._appender.append([draft], "")
        raise RuntimeError

    return work


async def test_a_push_is_kept_whole_or_not_at_all(tmp_path):
    """When the last event of a push cannot be kept, none of its events is, and the next push is fine."""
    async with opened(tmp_path) as outbox:
        bad = replace(count(1), data={"enters": 2**70})
        with pytest.raises(Unreadable):
            await outbox.append([count(0), bad], NOON)
        assert [] == log(tmp_path)
        await outbox.append([count(0)], NOON)
        assert [1] == [row[0] for row in log(tmp_path)]


async def test_the_book_shows_what_was_stated_last(tmp_path):
    """Address, firmware and label follow the newest push; what a push does not state stays."""
    async with opened(tmp_path) as outbox:
        first = counter(serial="S1", address="10.0.0.5", firmware="1.0", label="north")
        await outbox.append([count(0, device=first)], NOON, "/up")
        await outbox.append([count(1, device=counter(address="10.0.0.9", firmware="1.1"))], NOON + MINUTE)
        assert [("S1", "10.0.0.9", "1.1", "north", "")] == rows(
            tmp_path, "SELECT serial, address, firmware, label, path FROM devices"
        )
        first_seen, last_seen = rows(tmp_path, "SELECT first_seen, last_seen FROM devices")[0]
        assert 60_000 == last_seen - first_seen


async def test_the_newest_fact_is_the_newest_by_the_devices_clock(tmp_path):
    """A replayed older fact does not become what the device shows; a heartbeat does not either."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(10, 10)], NOON)
        await outbox.append([count(3, 3), heartbeat(20)], NOON)
        assert '"enters":10' in rows(tmp_path, "SELECT newest_data FROM devices")[0][0]


async def test_a_fact_from_the_future_does_not_stand_for_years(tmp_path):
    """After one push with a date in 2099 the next live push is again what the device shows."""
    async with opened(tmp_path) as outbox:
        await outbox.append([count(0, 1)], NOON)
        await outbox.append([count(enters=2, time=NOON.replace(year=2099))], NOON + MINUTE)
        await outbox.append([count(2, 3)], NOON + 3 * MINUTE)
        assert '"enters":3' in rows(tmp_path, "SELECT newest_data FROM devices")[0][0]


async def test_more_devices_than_memory_holds_keep_their_numbers(tmp_path, monkeypatch):
    """A device whose page was put away, even in the middle of a transaction, goes on with its own count."""
    monkeypatch.setattr("gateway.outbox.devices._MAX_CACHED", 3)
    async with opened(tmp_path) as outbox:
        for minute in range(4):
            await asyncio.gather(
                *(outbox.append([count(minute, device=counter(f"counter-{n}"))], NOON) for n in range(9))
            )
            await outbox.append(
                [count(minute, 2, revision=1, device=counter(f"counter-{n}")) for n in range(9)], NOON
            )
        found = rows(tmp_path, "SELECT device, group_concat(device_seq) FROM events GROUP BY device")
        assert {"1,2,3,4,5,6,7,8"} == {seqs for _, seqs in found}
        assert 9 == len(found)


async def test_a_long_log_is_read_back_as_it_was_written(tmp_path):
    """Two thousand events come back in order, with body, kind and times as they were drafted."""
    events = [count(minute, minute % 7) if minute % 5 else heartbeat(minute) for minute in range(2_000)]
    async with opened(tmp_path) as outbox:
        await fill(outbox, events)
        found = log(tmp_path, "id, kind, time, body")
    assert [(e.id, e.kind, int(e.time.timestamp() * 1000)) for e in events] == [row[:3] for row in found]
    assert [e.data for e in events] == [data_of(row[3]) for row in found]
