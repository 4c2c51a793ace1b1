"""A far end that refuses everything is told from one that rightly refuses a long row of events."""

import json
import time
from collections import Counter

import pytest
from hand_clock import EPOCH, NOW, HandClock, in_use
from keeping import NOON, account, audited, count, counter, fill, heartbeat, opened, rows
from scripted import Line, Scripted, driven, later

from gateway import clock
from gateway.retry import Backoff
from gateway.sinks.https import HttpsOptions, HttpsSink
from gateway.sinks.https.verdict import Answer

pytestmark = pytest.mark.anyio
WINDOW = 50  # of a sink that sends one event in a request


@pytest.fixture
async def outbox(tmp_path):
    async with opened(tmp_path) as outbox:
        yield outbox


class Upstream:
    """The HTTPS sink with a receiver behind it that answers as ``refuses`` says of an event."""

    def __init__(self, refuses):
        self.refuses = refuses
        self.asked, self.taken = [], []
        self.sink = HttpsSink(
            HttpsOptions(name="out", endpoint="https://x.invalid/e", gateway_id="gw", window=WINDOW)
        )
        self.sink._upstream.post, self.sink._upstream.open = self._post, self._open

    async def _open(self):
        pass

    async def _post(self, _request_id, body):
        event = json.loads(body)["data"]
        self.asked.append(event["seq"])
        if self.refuses(event):
            return Answer(400, {}, "no")
        self.taken.append(event["seq"])
        return Answer(200, {}, "")


def is_heartbeat(event):
    return event["kind"] == "heartbeat"


def balanced(tmp_path):
    position, waiting, in_log = account(tmp_path, "out")
    assert waiting == in_log
    audited(tmp_path, "out")
    return position


async def tries(line: Line, upstream: Upstream, how_many: int) -> None:
    """Wait until the sink was asked for so many batches more, and rests between two tries."""
    calls, send = [], upstream.sink.send

    async def counted(batch):
        calls.append(len(batch))
        return await send(batch)

    upstream.sink.send = counted
    await line.until(lambda: len(calls) >= how_many and line.forwarder.paused_until > time.monotonic())
    upstream.sink.send = send


# A receiver


async def test_a_quiet_night_of_refused_heartbeats_does_not_starve_what_follows(outbox, tmp_path):
    """More refusals in a row than a window: what is behind them arrives, and a witness comes twice and identical."""
    await fill(outbox, [heartbeat(n) for n in range(120)] + [count(n) for n in range(200, 205)])
    upstream = Upstream(is_heartbeat)
    async with driven(outbox, upstream.sink) as line:
        await line.drained()
    position = balanced(tmp_path)
    assert (5, 120) == (position.delivered, position.lettered)
    times = Counter(upstream.taken)
    assert {*range(121, 126)} == set(times)
    assert [1] * 4 == [times[seq] for seq in range(122, 126)], "only the nearest of another kind is a witness"
    assert 1 + -(-120 // WINDOW) >= times[121]
    assert [121, 122, 123, 124, 125] == list(dict.fromkeys(upstream.taken)), "in order"


async def test_refusals_of_one_device_are_believed_by_another(outbox, tmp_path):
    """A receiver that does not know one device gets the events of the other, of the same kind."""
    unknown = counter("counter-unknown")
    await fill(outbox, [count(n, device=unknown) for n in range(120)] + [count(n) for n in range(200, 205)])
    upstream = Upstream(lambda event: event["device"] == unknown.id)
    async with driven(outbox, upstream.sink) as line:
        await line.drained()
    assert (5, 120) == (balanced(tmp_path).delivered, balanced(tmp_path).lettered)


async def test_a_receiver_that_refuses_everything_gets_nothing_given_up(outbox, tmp_path):
    """By a mistake of ours all kinds are refused: no letter, however often it is tried; then all comes once, in order."""
    await fill(outbox, [heartbeat(n) for n in range(120)] + [count(n) for n in range(200, 205)])
    upstream = Upstream(lambda _event: True)
    async with driven(outbox, upstream.sink) as line:
        await line.until(lambda: line.position)
        await tries(line, upstream, 60)
        assert [] == rows(tmp_path, "SELECT number FROM letters")
        assert ["https_rejects_all"] == [fault.code for fault in line.faults]
        upstream.refuses = lambda _event: False
        await line.drained()
    assert list(range(1, 126)) == upstream.taken
    assert (125, 0) == (balanced(tmp_path).delivered, balanced(tmp_path).lettered)


async def test_a_receiver_that_refuses_a_wrong_clock_gets_nothing_given_up(tmp_path):
    """Signed in 1970, everything is refused as malformed, the witness too; at the sync it arrives once and in order."""
    with in_use(HandClock(EPOCH, synced=False)) as box:
        clock.anchor(None, believe=False)
        async with opened(tmp_path) as outbox:
            await fill(outbox, [heartbeat(n) for n in range(70)] + [count(n) for n in range(200, 205)])
            upstream = Upstream(lambda _event: not clock.plausible())
            async with driven(outbox, upstream.sink) as line:
                await line.until(lambda: line.position)
                await tries(line, upstream, 40)
                assert [] == rows(tmp_path, "SELECT number FROM letters")
                box.set(NOW)
                await line.drained()
            assert list(range(1, 76)) == upstream.taken


async def test_a_receiver_that_is_repaired_before_the_witness_gets_nothing_given_up(outbox, tmp_path):
    """Everything was refused, and the witness is the first that is taken: the refused are asked about once more."""
    await fill(outbox, [count(n) for n in range(120)] + [heartbeat(n) for n in range(200, 205)])
    broken = [True]

    def refuses(event):
        if is_heartbeat(event):
            broken[0] = False
        return broken[0]

    upstream = Upstream(refuses)
    async with driven(outbox, upstream.sink) as line:
        await line.drained()
    assert (125, 0) == (balanced(tmp_path).delivered, balanced(tmp_path).lettered)


async def test_refused_arrears_of_a_live_first_sink_end(outbox, tmp_path):
    """What is new and taken proves the refusals of old heartbeats behind which nothing else is."""
    await fill(outbox, [heartbeat(n) for n in range(120)])
    upstream = Upstream(is_heartbeat)
    async with driven(outbox, upstream.sink, live_first=True) as line:
        await line.until(lambda: line.position and line.position.arrears)
        for n in range(200, 240):
            await outbox.append([count(n)], NOON)
            await line.until(lambda: outbox.head in upstream.taken)
            if not line.position.arrears:
                break
        await line.drained()
    assert 120 == balanced(tmp_path).lettered
    assert {1} == set(Counter(upstream.taken).values())


async def test_arrears_that_a_broken_receiver_refuses_are_not_given_up(outbox, tmp_path):
    """A live-first sink whose receiver refuses everything keeps old and new alike."""
    await fill(outbox, [heartbeat(n) for n in range(120)])
    upstream = Upstream(lambda _event: True)
    async with driven(outbox, upstream.sink, live_first=True) as line:
        await line.until(lambda: line.position and line.position.arrears)
        await outbox.append([count(n) for n in range(200, 220)], NOON)
        await tries(line, upstream, 30)
        assert [] == rows(tmp_path, "SELECT number FROM letters")
        upstream.refuses = lambda _event: False
        await line.drained()
    assert 140 == balanced(tmp_path).delivered


# Bugs of ours


async def test_a_row_of_events_that_meet_a_bug_does_not_block_a_strict_sink(outbox, tmp_path):
    """Fifteen in a row that the sink fails on become letters as soon as a later one gets through."""
    poison = range(5, 20)
    await fill(outbox, [count(n) for n in range(1, 41)])

    def breaks(batch):
        return ZeroDivisionError("odd") if any(event.seq in poison for event in batch) else None

    async with driven(outbox, Scripted(*[breaks] * 500)) as line:
        await line.drained()
        taken = Counter(line.sink.taken)
    assert {*range(1, 41)} - {*poison} == set(taken)
    assert {40} >= {seq for seq, times in taken.items() if times > 1}, "only the witness comes again"
    assert 1 + 2 >= taken[40], "once for each batch that is all poison from its fourth on"
    position = balanced(tmp_path)
    assert (25, 15) == (position.delivered, position.lettered)


async def test_a_bug_that_goes_away_by_itself_gives_up_nothing(outbox, tmp_path):
    """The first that gets through is the witness: the event before it is tried again, and gets through as well."""
    await fill(outbox, [count(n) for n in range(1, 41)])
    broken = [True]

    def breaks(batch):
        if [event.seq for event in batch] == [40]:
            broken[0] = False
        return ZeroDivisionError("odd") if broken[0] else None

    async with driven(outbox, Scripted(*[breaks] * 500)) as line:
        await line.drained()
        assert {*range(1, 41)} == set(line.sink.taken)
    assert 0 == balanced(tmp_path).lettered


async def test_a_doubt_about_one_event_is_none_about_those_before_it(outbox, tmp_path):
    """Sent alone, one of the arrears is taken and the next one is refused in doubt: neither is given up for that."""
    await fill(outbox, [count(n) for n in range(1, 21)])

    async def away():
        await outbox.append([count(50)], NOON)
        return later()

    # Something new is taken first, so that refusals behind it in that round are believed.
    script = [lambda _batch: away(), None, ZeroDivisionError("odd"), None, later(refused={0: "doubtful"})]
    async with driven(outbox, Scripted(*script), live_first=True) as line:
        await line.drained()
        assert [[*range(1, 11)], [21], [*range(1, 11)], [1], [2]] == line.sink.batches[:5]
        assert [21, *range(1, 21)] == line.sink.taken
    assert (21, 0) == (balanced(tmp_path).delivered, balanced(tmp_path).lettered)


# Letters


@pytest.mark.parametrize("refuses", [is_heartbeat, lambda _event: True])
async def test_letters_that_are_refused_again_are_no_sign_about_the_far_end(outbox, tmp_path, refuses):
    """However many letters in a row are refused again: the sink never backs off, and an event right behind them goes out."""
    await fill(outbox, [event(n) for n in range(30) for event in (heartbeat, count)])
    upstream = Upstream(is_heartbeat)
    async with driven(outbox, upstream.sink, backoff=Backoff(base_s=300, cap_s=300)) as line:
        await line.drained()
        upstream.refuses, before = refuses, len(upstream.asked)
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        line.forwarder.letters_asked()
        await line.until(lambda: not rows(tmp_path, "SELECT number FROM letters WHERE retry = 1"), 60)
        assert [2 * n + 1 for n in range(30)] == upstream.asked[before:]
        upstream.refuses = is_heartbeat
        for event in (heartbeat(100), count(100)):
            await outbox.append([event], NOON)
            await line.drained()
        assert {"sink_rejects"} == {fault.code for fault in line.faults}
    assert (31, 31) == (balanced(tmp_path).delivered, balanced(tmp_path).lettered)


async def test_letters_that_meet_a_bug_hold_up_nothing(outbox, tmp_path):
    """However many letters in a row the sink fails on: they stay letters with the reason, and new events go out."""
    await fill(outbox, [count(n) for n in range(1, 11)])
    breaks = [ZeroDivisionError("odd")] * 10
    script = [dict.fromkeys(range(10), "no"), *breaks]
    async with driven(outbox, Scripted(*script), backoff=Backoff(base_s=300, cap_s=300)) as line:
        await line.drained()
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        line.forwarder.letters_asked()
        await line.until(lambda: not rows(tmp_path, "SELECT number FROM letters WHERE retry = 1"))
        await outbox.append([count(50)], NOON)
        await line.until(lambda: line.sink.taken == [11])
    reasons = {reason for (reason,) in rows(tmp_path, "SELECT reason FROM letters")}
    assert {"the gateway failed on it (ZeroDivisionError: odd)"} == reasons


@pytest.mark.parametrize("head", ["'{\"seq'", "'{}'", "'[1]'", "'{\"seq\": 2}'", "''"])
async def test_a_damaged_letter_is_not_tried_again_and_holds_up_nothing(outbox, tmp_path, head):
    """The disk has damaged a letter that is to be tried again: it says so and stays, the others are tried."""
    await fill(outbox, [count(n) for n in range(1, 6)])
    async with driven(outbox, Scripted({1: "no", 3: "no"})) as line:
        await line.drained()
        await outbox.write(lambda conn: conn.execute(f"UPDATE letters SET head = {head} WHERE number = 1"))
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        line.forwarder.letters_asked()
        await line.until(lambda: 4 in line.sink.taken)
        await line.until(lambda: not rows(tmp_path, "SELECT number FROM letters WHERE retry = 1"))
        await outbox.append([count(50)], NOON)
        await line.until(lambda: 6 in line.sink.taken)
    ((number, reason),) = rows(tmp_path, "SELECT number, reason FROM letters")
    assert 1 == number
    assert "damaged" in reason
