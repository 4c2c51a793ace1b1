"""Bodies that make much work: read beside the loop, one at a time, or not read at all."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from hostile import DOOR_QUESTIONS, counted, record

from gateway.event import Event
from gateway.faults import Faults
from gateway.guard import Request
from gateway.intake import MOST_EVENTS, Kept
from gateway.receiver import Receiver, Reception
from gateway.receiver.heavy import InTurn
from gateway.receiver.weight import HEAVY, MOST_MARKS, MOST_TAGS, parts, too_much
from gateway.source import Post, Reading
from gateway.sources import registry
from gateway.sources.face_terminal import FaceTerminal

pytestmark = pytest.mark.anyio


class Watching(FaceTerminal):
    """Notes in which thread it reads, and how many do at once."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []
        self.addresses: list[str] = []
        self.at_once = self.most = 0

    def parse(self, post: Post) -> Reading:
        self.threads.append(threading.get_ident())
        self.addresses.append(post.address)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        reading = super().parse(post)
        self.at_once -= 1
        return reading


def receiver_of(source: FaceTerminal, letters: list[str]) -> Receiver:
    async def keep(events: list[Event], *_: object, **__: object) -> Kept:
        return Kept(new=len(events))

    async def keep_letter(**letter: object) -> None:
        letters.append(str(letter["reason"]))

    outbox, intake = SimpleNamespace(keep_letter=keep_letter), SimpleNamespace(keep=keep)
    return Receiver(outbox, intake, Reception(sources=[source], gateway_id="gw"), Faults())


def request(body: bytes, address: str = "10.0.0.1") -> Request:
    return Request("POST", "/", "", {}, body, address)


async def test_a_body_of_many_parts_is_read_beside_the_loop_and_one_at_a_time():
    """A heavy body never runs on the loop's thread, two never run at once, and a light one needs no thread."""
    source = Watching()
    receiver = receiver_of(source, [])
    heavy = record(x=list(range(HEAVY * 3)))
    await asyncio.gather(*(receiver.handle(request(heavy, f"10.0.0.{n}")) for n in range(8)))
    assert threading.get_ident() not in source.threads
    assert (8, 1) == (len(source.threads), source.most)
    source.threads.clear()
    await receiver.handle(request(record(rgb_image="A" * 1_500_000)))
    assert [threading.get_ident()] == source.threads


async def test_who_sends_the_most_heavy_bodies_does_not_get_the_most_of_the_time():
    """Thirty of one address do not stand before the one of another: one is read, one waits, the rest is refused at once."""
    source, body = Watching(), record(x=list(range(HEAVY * 3)))
    receiver = receiver_of(source, [])
    senders = ["10.0.0.66"] * 30 + ["10.0.0.1"] + ["10.0.0.66"] * 10
    answers = await asyncio.gather(*(receiver.handle(request(body, sender)) for sender in senders))
    assert ["10.0.0.66", "10.0.0.1", "10.0.0.66"] == source.addresses
    assert [number for number, answer in enumerate(answers) if answer is not None] == [
        0,
        1,
        30,
    ]  # silence: keep it
    assert 200 == answers[30].status
    assert answers[30] == await receiver.handle(request(body, "10.0.0.1"))


async def test_a_turn_that_is_given_up_goes_to_the_next():
    """Who waits and is cancelled holds up nobody, and leaves nothing behind."""
    turns, gate, done = InTurn(), threading.Event(), []
    first = asyncio.create_task(turns.run(lambda _: gate.wait(10), None, "a"))
    await asyncio.sleep(0.05)
    gone = asyncio.create_task(turns.run(done.append, "gone", "b"))
    stays = asyncio.create_task(turns.run(done.append, "stays", "b"))
    await asyncio.sleep(0.05)
    assert turns.waits("b")
    gone.cancel()
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(first, stays)
    assert ["stays"] == done
    assert not turns.waits("b")
    await asyncio.wait_for(turns.run(done.append, "again", "c"), 10)


async def test_a_body_of_too_many_counts_is_not_read():
    """What would be refused for its number of events after the reading is not read for it."""
    letters: list[str] = []
    source = Watching()
    body = b"<Metrics>" + b'<Count Enters="1"/>' * (MOST_EVENTS + 1) + b"</Metrics>"
    answer = await receiver_of(source, letters).handle(request(body))
    assert 200 == answer.status
    assert [] == source.threads
    assert [
        f"it has {MOST_EVENTS + 1} counts, and no device sends more than {MOST_EVENTS} at once"
    ] == letters


@pytest.mark.parametrize(
    ("body", "most"), [(b'{"type":0,"data":[' + b"0," * 200_000, MOST_MARKS), (b"<a>" * 30_000, MOST_TAGS)]
)
async def test_a_body_of_too_many_parts_is_a_letter_that_says_so(body, most):
    """It is accepted, kept and not read, and the reason has both figures."""
    letters: list[str] = []
    source = Watching()
    answer = await receiver_of(source, letters).handle(request(body))
    assert 200 == answer.status
    assert [] == source.threads
    assert [f"it has {parts(body)} parts, and no device sends more than {most} at once"] == letters


def test_a_body_of_many_attributes_in_few_tags_is_heavy():
    """What stands in attributes weighs as well as what stands in tags; those of real tags make no difference."""
    tag = b"<a" + b"".join(b' b%d=""' % number for number in range(128)) + b"/>"
    assert HEAVY < parts(tag * 100) < MOST_TAGS
    assert HEAVY > parts(counted() * 60)


def test_no_real_push_comes_near_the_bounds():
    """A day of minutes of a counter, and a record with the largest picture, are far below them."""
    day = b"".join(counted(minute=minute)[300:] for minute in range(1_440))
    assert too_much(b"<" + day, parts(b"<" + day)) is None
    assert parts(record(rgb_image="A" * 1_900_000)) < HEAVY / 4
    assert parts(counted().decode().encode("utf-16")) < 40


@pytest.mark.parametrize("name", DOOR_QUESTIONS)
async def test_no_question_about_a_door_is_answered_with_success(name):
    """Asked by whatever source, in whatever encoding, the answer is no success and has no "pass" in it."""
    letters: list[str] = []
    receiver = receiver_of(FaceTerminal(), letters)
    receiver.reception = Reception(sources=registry(), gateway_id="gw")
    answer = await receiver.handle(request(DOOR_QUESTIONS[name]))
    assert 403 == answer.status
    assert b"pass" not in answer.body.lower()
    assert [] == letters
