"""A person who is erased while a sink is being driven: nothing leaves with them any more, and who may know them is named."""

import asyncio

import pytest
from keeping import NOON, access, count, opened
from scripted import Scripted, driven, later

from gateway.album import Album, Limits
from gateway.daemon.erasing import Eraser, erase_at_rest
from gateway.faults import Faults
from gateway.forwarder import sending
from gateway.intake import Intake, Policy

pytestmark = pytest.mark.anyio
ADA = {"user_id": "ada-4711", "name": "Ada Canary"}
BOB = {"user_id": "bob-4712", "name": "Bob Canary"}
LISTED = frozenset({"user_id", "name"})


@pytest.fixture
async def outbox(tmp_path):
    async with opened(tmp_path) as outbox:
        yield outbox


async def keep(outbox, *events):
    await Intake(outbox, Policy(personal=LISTED)).keep(events, NOON)


async def erase(outbox, person="ada-4711", *, sure=True):
    return await Eraser(outbox, Album(outbox, Faults(), Limits())).answer({"person": person, "sure": sure})


def named(told) -> dict[str, int]:
    """Say how many events each sink has had, or may have had."""
    return {sink["name"]: sink["delivered"] for sink in told["sinks"]}


async def test_a_batch_that_is_being_sent_goes_on_without_the_person(outbox):
    """What a sink has in hand and has not sent yet loses the erased person, and keeps everybody else."""
    erased = asyncio.Event()

    async def slow(batch):
        await erased.wait()

    await keep(outbox, access(1, personal=BOB), access(2, personal=ADA), access(3, personal=ADA), count(4))
    async with driven(outbox, Scripted(slow)) as line:
        await line.until(lambda: line.sink.batches)
        before = named(await erase(outbox, sure=False))
        told = await erase(outbox)
        erased.set()
        await line.drained()
        assert [[1, 2, 3, 4]] == line.sink.batches
        assert [1] == [seq for seq, said in line.sink.payloads.items() if "person" in said]
    # Nobody can tell how much of it had left.
    assert {"out": 2} == named(told) == before


async def test_what_was_read_before_the_erasure_is_not_sent_behind_it(outbox, monkeypatch):
    """Entries that a forwarder has read, and not yet handed to its sink, leave without the person."""
    read, erased = asyncio.Event(), asyncio.Event()
    await keep(outbox, access(1, personal=ADA), access(2, personal=BOB))
    send = sending.Sending.send

    async def slow(*of):
        read.set()
        await erased.wait()
        return await send(*of)

    monkeypatch.setattr(sending.Sending, "send", slow)
    async with driven(outbox, Scripted()) as line:
        await read.wait()
        told = await erase(outbox)
        erased.set()
        await line.drained()
        assert [2] == [seq for seq, said in line.sink.payloads.items() if "person" in said]
    assert {"out": 0} == named(told)


async def test_two_erasures_at_once_reach_what_is_being_sent(outbox):
    """Both persons are out of the batch that a sink has in hand, and both erasures name the sink."""
    erased = asyncio.Event()

    async def slow(batch):
        await erased.wait()

    await keep(outbox, access(1, personal=BOB), access(2, personal=ADA), count(3))
    async with driven(outbox, Scripted(slow)) as line:
        await line.until(lambda: line.sink.batches)
        told = await asyncio.gather(erase(outbox), erase(outbox, "bob-4712"))
        erased.set()
        await line.drained()
        assert [] == [seq for seq, said in line.sink.payloads.items() if "person" in said]
    assert [{"out": 1}, {"out": 1}] == [named(one) for one in told]


async def test_a_letter_that_is_tried_again_goes_without_the_person(outbox):
    """What was refused once and is with the sink again loses the person there, too."""
    erased = asyncio.Event()

    async def slow(batch):
        assert batch[0].again
        await erased.wait()

    await keep(outbox, access(1, personal=ADA), count(2))
    async with driven(outbox, Scripted({0: "no"}, slow)) as line:
        await line.drained()
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        line.forwarder.letters_asked()
        await line.until(lambda: len(line.sink.batches) == 2)
        assert 1 == (await erase(outbox))["letters"]
        erased.set()
        await line.until(lambda: 1 in line.sink.payloads)
        assert "person" not in line.sink.payloads[1]


async def test_a_far_end_whose_reply_was_lost_is_named(outbox, tmp_path):
    """It may have taken what it never answered: now, after a restart, and with the gateway stopped."""
    await keep(outbox, access(1, personal=ADA), *(count(n) for n in range(20)), access(2, personal=ADA))
    async with driven(outbox, Scripted(*[later()] * 10_000)) as line:
        await line.until(lambda: len(line.sink.batches) > 2)
        # The other one is not in the window that was tried.
        assert {"out": 1} == named(await erase(outbox, sure=False))
        await line.kill()
    await outbox.sinks.enlist("out", start="oldest", window=10)
    assert {"out": 1} == named(await erase(outbox, sure=False))


@pytest.mark.parametrize("window", [10, 1])
async def test_a_far_end_may_have_had_one_window_beyond_its_place_after_a_crash(tmp_path, window):
    """Nobody noted what was on its way then; a window that is smaller now makes it no less."""
    async with opened(tmp_path) as outbox:
        await keep(outbox, *(count(n) for n in range(5)), access(1, personal=ADA))
        await outbox.sinks.enlist("out", start="oldest", window=10)
    for life in (2, 3):
        assert {"out": 1} == named(erase_at_rest(tmp_path, 2**30, {"person": "ada-4711"}))
        async with opened(tmp_path) as outbox:
            await outbox.sinks.enlist("out", start="oldest", window=window)
            assert {"out": 1} == named(await erase(outbox, sure=False))
            await keep(outbox, access(life, personal=BOB))
            # What came in this life was offered to nobody.
            assert {"out": 0} == named(await erase(outbox, "bob-4712", sure=False))
            await erase(outbox, "bob-4712")


async def test_a_far_end_that_refused_a_witness_is_named(tmp_path):
    """An event far behind that was sent ahead may be known there, also when the gateway has been started since."""
    refuse_all = [lambda batch: later(refused=dict.fromkeys(range(len(batch)), "no"))] * 10_000
    async with opened(tmp_path) as outbox:
        await keep(outbox, *(count(n) for n in range(40)), access(1, personal=ADA), access(2, personal=BOB))
        async with driven(outbox, Scripted(*refuse_all)) as line:
            await line.until(lambda: [41] in line.sink.batches)
            assert {"out": 1} == named(await erase(outbox, sure=False))
            await line.kill()
    assert {"out": 1} == named(erase_at_rest(tmp_path, 2**30, {"person": "ada-4711"}))
    async with opened(tmp_path) as outbox:
        await outbox.sinks.enlist("out", start="oldest", window=10)
        assert {"out": 1} == named(await erase(outbox))


async def test_what_is_known_of_a_far_end_stays_small(outbox):
    """A far end that takes everything, or a thousand single events in between, costs no memory."""
    await keep(outbox, *(count(n) for n in range(200)))
    async with driven(outbox, Scripted()) as line:
        await line.drained()
        assert 1 == len(outbox.sinks.had()["out"].beyond)
        for seq in range(1_000, 3_000, 2):
            outbox.sinks.offer("out", seq, seq)
        had = outbox.sinks.had()["out"]
        assert len(had.beyond) <= 100 and had.may_have(1_000) and had.may_have(2_998)
