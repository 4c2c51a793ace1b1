"""More than a site will ever send at once: all terminals replaying what they kept, hundreds of devices."""

import json
import os
import shutil
import time

import pytest
import waiting
from counted_site import FAR_ENDS, CountedSite, Replay
from own_sync import OwnSync

TERMINALS = 64
_MEMORY_MB = 96
_WAL_MB = 64
_RECORDS_PER_S = 583  # 700,000 in the twenty minutes of the long form: half of what two shared cores do
_INGEST = 0.6  # of the rate with an empty store; seen 0.87, and a machine that does other things moves either of them
pytestmark = pytest.mark.slow


@pytest.fixture
def counted(tmp_path):
    built = CountedSite(tmp_path)
    yield built
    built.close()


def watched(counted, process, lives, most):
    """Until the terminals are done: have new counters push beside them, and look at what the daemon uses."""
    while process.poll() is None:
        lives.append(counted.live_count())
        for what, seen in counted.use().items():
            most[what] = max(most.get(what, 0.0), seen)
        time.sleep(0.5)
    return json.loads(process.stdout.read())


def test_all_terminals_replaying_at_once(counted, experiment, scale):
    """Every record of 64 terminals that replay at once arrives, in flat memory, and new counts flow beside them."""
    records, cap_s = scale.pick(25, 50_000), scale.pick(60, float(os.environ.get("REPLAY_S", "1200")))
    replay = Replay(counted.directory, picture_bytes=59_000)
    assert 78_000 < replay.bytes < 82_000
    counted.daemon.start()
    counted.live_count()
    process = replay.start(counted.daemon.port, terminals=TERMINALS, records=records, seconds=cap_s)
    lives, most = [], {}
    with OwnSync(counted.directory) as disk:
        told = watched(counted, process, lives, most)
    accepted = dict(enumerate(told["accepted"]))
    total = sum(accepted.values())
    experiment.owe(total)
    experiment.hit("terminals replaying at once", sum(count > 0 for count in accepted.values()))
    if total < TERMINALS * records:
        experiment.remarks.append(
            f"{total:,} of {TERMINALS * records:,} records when the time of {cap_s:.0f} s was up"
        )
    assert counted.wait_delivered(total, timeout_s=scale.pick(60, 900)), counted.ask("count")
    experiment.recovered(counted.live_count())
    hold(counted, experiment, accepted)
    in_log = counted.rows(
        "SELECT count(DISTINCT json_extract(body, '$.data.uuid')) FROM events WHERE kind = 'access'"
    )
    assert total <= in_log[0][0] <= total + TERMINALS
    experiment.remarks.append(f"{total / told['seconds']:,.0f} records/s, {told['retries']} sent again")
    experiment.ceiling("memory MB", most["memory MB"], _MEMORY_MB)
    # Where the disk takes nothing for half a minute, as a shared one may, nothing can be accepted, let alone sent.
    allowed_ms = scale.pick(30_000, 10_000) + disk.longest_s * 1000
    experiment.ceiling("ms until a new count is at both far ends", max(lives) * 1000, allowed_ms)
    experiment.ceiling("descriptors", most["descriptors"], TERMINALS + 60)
    experiment.ceiling("WAL MB", most["WAL MB"], _WAL_MB)
    experiment.ceiling("store B/record", most["store MB"] * 1e6 / total, scale.pick(2_500, 1_500))
    experiment.demand(
        obligations=scale.pick(1_600, int(_RECORDS_PER_S * cap_s)),
        faults=TERMINALS,
        doubled=counted.explained,
    )


def hold(counted, experiment, owed):
    """Hold both far ends against what every device is owed; one record of each may have come unanswered."""
    for verdict in counted.judged(owed, spare=1).values():
        what = {name: verdict[name] for name in ("missing", "wrong", "spurious")}
        experiment.found(**what, duplicated=verdict["doubles"])
    counted.doubles_in_flight()


def rate_of(counted, records, first=0):
    """Have sixteen terminals push from their record ``first`` on; give what is owed of each, and the records per second."""
    replay = Replay(counted.directory, picture_bytes=3_000)
    how = {"terminals": 16, "records": records, "first": first, "seconds": 240}
    told = json.loads(replay.start(counted.daemon.port, **how).communicate()[0])
    assert {records} == set(told["accepted"]), told  # or the next ones would not go on where these ended
    return (
        {n: first + count for n, count in enumerate(told["accepted"])},
        sum(told["accepted"]) / told["seconds"],
    )


def started(counted):
    before = time.monotonic()
    counted.daemon.start(wait_s=60)
    return time.monotonic() - before


def drained(counted, events, cap_s, lives, most):
    """Until both far ends have them all, or the time is up: live counts beside it, and what the daemon uses."""
    deadline = time.monotonic() + cap_s
    while not counted.wait_delivered(events, timeout_s=1):
        if time.monotonic() > deadline:
            return False
        lives.append(counted.live_count())
        for what, seen in counted.use().items():
            most[what] = max(most.get(what, 0.0), seen)
    return True


def test_a_month_of_events_waiting(counted, experiment, scale):
    """With a month of events waiting it starts, receives and drains as ever, new counts first, and all of it arrives."""
    events, pushes = scale.pick(10_000, 10_000_000), scale.pick(10, 1_000)
    cap_s = scale.pick(90, 2_400)
    free = shutil.disk_usage(counted.directory).free
    if free < events * 900 + 2**30:
        pytest.fail(
            f"{free >> 30} GiB are free: too little for {events:,} events; make room, or set TMPDIR to a larger disk"
        )
    counted.daemon.start()
    early, empty_rate = rate_of(counted, pushes)
    assert counted.wait_delivered(sum(early.values()), timeout_s=60), counted.ask("count")
    counted.doubles_in_flight()
    counted.daemon.stop()
    shutil.rmtree(counted.store.parent)
    base = waiting.begin(counted.store.parent)
    owed = waiting.multiply(counted.store.parent, events)
    assert events == sum(owed.values())
    counted.far_ends_leave()
    experiment.hit("both far ends gone while a month waits")
    starts = [started(counted)]
    deadline = time.monotonic() + 300
    while len(counted.rows("SELECT name FROM sinks")) < len(
        FAR_ENDS
    ):  # a new sink counts what it is owed, once
        assert time.monotonic() < deadline, counted.daemon.tail()
        time.sleep(0.1)
    counted.daemon.stop()
    starts.append(started(counted))
    counted.ask("base", base)
    before = counted.ask("count")
    accepted, rate = rate_of(counted, pushes, first=pushes)
    for again in range(2, 4):  # who works beside it may slow one down, and not all three
        if rate < _INGEST * empty_rate:
            accepted, other = rate_of(counted, pushes, first=again * pushes)
            rate = max(rate, other)
    counted.doubles_in_flight()  # the tries while they were away had nothing on its way
    lives, most, began = [], counted.use(), time.monotonic()
    counted.far_ends_return()
    total = events + sum(accepted.values()) - sum(early.values())
    whole = drained(counted, total + sum(early.values()), cap_s, lives, most)
    assert whole, f"not drained in {cap_s} s: {counted.ask('count')} of {total:,}"
    seconds = time.monotonic() - began
    experiment.recovered(counted.live_count())
    experiment.owe(total)
    hold(counted, experiment, {**owed, **accepted})
    for name, told in counted.ask("count").items():
        arrived = told["unique"] - before[name]["unique"]
        experiment.remarks.append(f"{name} {arrived / seconds:,.0f} events/s")
    experiment.remarks.append(f"receiving {rate:,.0f}/s, {empty_rate:,.0f}/s with an empty store")
    if scale.soak:  # some hundred pushes of the short form measure nothing
        assert rate >= _INGEST * empty_rate, (
            f"{rate:,.0f}/s with a month waiting, {empty_rate:,.0f}/s without"
        )
    experiment.ceiling("ms from start to ready", max(starts) * 1000, scale.pick(30_000, 5_000))
    experiment.ceiling(
        "ms until a new count is at both far ends", max(lives, default=0) * 1000, scale.pick(30_000, 10_000)
    )
    experiment.ceiling("memory MB", most["memory MB"], _MEMORY_MB)
    experiment.ceiling("WAL MB", most["WAL MB"], _WAL_MB)
    experiment.ceiling("store B/event", most["store MB"] * 1e6 / total, 900)
    experiment.demand(obligations=events, faults=1, doubled=counted.explained)
