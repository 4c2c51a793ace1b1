"""The poller with polls of its own: turns, nonces, places, letters and what it does when a poll has a bug."""

import json
import threading
import time
from itertools import pairwise

import pytest
from camlytics_site import HandClock, polled
from keeping import count, rows
from scripted_polls import Scripted

from gateway import clock
from gateway.errors import PollUnavailable, StoreUnavailable, Unreadable
from gateway.simulate.camlytics import Camlytics, Pc, Says
from gateway.source import Aside, Notice, Page, Reading

pytestmark = pytest.mark.anyio

GOOD = Says(body=b"[]", content_type="application/json")


@pytest.fixture
def server():
    with Camlytics(Pc(HandClock(0.0), rate=0)) as listening:
        listening.always = GOOD
        yield listening


def _unreadable(answer, cursor):
    raise Unreadable("no page")


def place(directory, name="test.one"):
    found = rows(directory, "SELECT cursor FROM polls WHERE name = ?", name)
    return json.loads(found[0][0]) if found else None


async def test_what_is_asked_arrives_to_the_byte(tmp_path, server):
    """A target that is signed must not be written in another way than it was signed."""
    poll = Scripted(server.url)
    async with polled(tmp_path) as site:
        await site.put(poll)
        await site.until(lambda: server.targets, "nothing is asked")
    assert "/x?b=%2F+~&a=1" == server.targets[0]


async def test_nonces_rise_over_restarts_and_when_the_clock_goes_back(tmp_path, server):
    """No nonce is used twice and none is lower, neither after a kill nor after the clock was set back."""
    seen = []
    real = clock.SystemClock()

    class Back(clock.SystemClock):
        def now(self):
            return real.now().replace(year=2020)

    for moment in (real, Back(), Back()):
        before = clock.use(moment)
        try:
            poll = Scripted(server.url, key="account")
            async with polled(tmp_path) as site:
                await site.put(poll)
                await site.until(lambda poll=poll: len(poll.nonces) >= 3, "nothing is asked")
            seen += poll.nonces
        finally:
            clock.use(before)
    assert seen == sorted(set(seen))
    assert seen[0] > 1_700_000_000
    assert len(seen) >= 9


async def test_a_block_of_nonces_is_on_disk_before_the_first_is_used(tmp_path, server):
    """What a kill leaves on disk is above everything that was used."""
    poll = Scripted(server.url, key="account")
    async with polled(tmp_path) as site:
        await site.put(poll)
        await site.until(lambda: poll.nonces, "nothing is asked")
        ((name, cursor),) = rows(tmp_path, "SELECT name, cursor FROM polls WHERE name LIKE 'nonce.%'")
        assert json.loads(cursor)["reserved"] > max(poll.nonces)
        assert "account" not in name


async def test_polls_of_one_key_are_spaced_whatever_asks(tmp_path, server):
    """Two polls with one key together ask no faster than the key allows."""
    polls = [
        Scripted(server.url, name=f"test.{word}", key="account", spacing_s=0.1) for word in ("one", "two")
    ]
    async with polled(tmp_path) as site:
        await site.put(*polls)
        await site.until(lambda: all(len(poll.moments) >= 3 for poll in polls), "one of them is starved")
    moments = sorted(polls[0].moments + polls[1].moments)
    assert min(later - earlier for earlier, later in pairwise(moments)) >= 0.1
    assert len({*polls[0].nonces, *polls[1].nonces}) == len(moments)


async def test_the_place_moves_with_the_events_or_not_at_all(tmp_path, server, monkeypatch):
    """A store that cannot commit leaves the place where it is, and the same is read again later."""
    monkeypatch.setattr("gateway.poller.loop._STORE_S", 0.05)
    cursors = []

    def read(answer, cursor):
        cursors.append(dict(cursor))
        return Page(reading=Reading((count(len(cursors)),)), cursor={"page": len(cursors)})

    async with polled(tmp_path) as site:
        keep, failures = site.poller._intake.keep, [StoreUnavailable(), StoreUnavailable()]

        async def failing(*args, **how):
            if failures:
                raise failures.pop()
            return await keep(*args, **how)

        monkeypatch.setattr(site.poller._intake, "keep", failing)
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: place(tmp_path) is not None, "nothing is kept")
        assert [{}, {}, {}] == cursors[:3]
        assert 1 <= place(tmp_path)["page"] - 2 == len(site.events())


async def test_a_place_that_says_nothing_new_is_not_written(tmp_path, server):
    """With ``save`` off and no events the store is left alone, and the poll still goes on from its cursor."""
    cursors = []

    def read(answer, cursor):
        cursors.append(dict(cursor))
        return Page(reading=Reading(()), cursor={"seen": len(cursors)}, save=False)

    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: len(cursors) >= 3, "it stands still")
        assert [{}, {"seen": 1}, {"seen": 2}] == cursors[:3]
        assert place(tmp_path) is None


async def test_a_bug_in_a_poll_is_a_letter_and_a_fault(tmp_path, server):
    """A poll that fails on an answer does not end the others; the answer is kept."""

    def read(answer, cursor):
        raise KeyError("bug")

    good = Scripted(server.url, name="test.two")
    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read), good)
        await site.until(lambda: "poll_unreadable" in site.codes(), "nothing is said")
        assert "KeyError" in site.fault("poll_unreadable")
        assert [("test.one",)] == rows(tmp_path, "SELECT sender FROM letters")
        await site.until(lambda: len(good.answers) >= 3, "the other one stands still")


async def test_the_polls_own_words_are_said(tmp_path, server):
    """A poll that knows what an answer means says it, and its wish to wait is honoured."""
    asks = []

    def read(answer, cursor):
        asks.append(answer.status)
        raise PollUnavailable("the key is locked", retry_after_s=600, fault="poll_login")

    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: "poll_login" in site.codes(), "nothing is said")
        assert "the key is locked" in site.fault("poll_login")
        assert [200] == asks


async def test_retry_after_is_honoured(tmp_path, server, monkeypatch):
    """A 429 that says when to come again is not asked before."""
    slept = []
    monkeypatch.setattr("gateway.poller.loop.clock.sleep", lambda seconds: _note(slept, seconds))
    server.always = None
    server.script.append(Says(status=429, body=b"slow down"))

    def read(answer, cursor):
        answer.headers["retry-after"] = "120"
        raise Unreadable("no page")

    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: slept, "nothing is asked")
    assert 120 <= slept[0] <= 132


async def _note(slept, seconds):
    slept.append(seconds)
    import anyio

    await anyio.sleep(0.05 if len(slept) < 3 else 60)


async def test_notices_stand_until_a_page_comes_without_them(tmp_path, server):
    """What a page notices is a fault of this poll; a later page without it clears it."""
    told = [Notice("totals_differ", "5 and not 4.", "Compare.")]

    def read(answer, cursor):
        return Page(reading=Reading((), tuple(told)), cursor={})

    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: "totals_differ" in site.codes(), "nothing is said")
        assert "test.one: 5 and not 4." == site.fault("totals_differ")
        told.clear()
        await site.until(lambda: "totals_differ" not in site.codes(), "it stays")


async def test_an_answer_that_is_too_large_is_given_up_early(tmp_path, server):
    """Of an answer that is longer than asked for only the beginning is read; that is said, and kept as a letter."""
    server.always = Says(body=b"x" * 500_000)
    poll = Scripted(server.url, max_bytes=1000, reads=_unreadable)
    async with polled(tmp_path) as site:
        await site.put(poll)
        await site.until(lambda: "poll_too_large" in site.codes(), "nothing is said")
        assert "its answer is larger than 1000 bytes" in site.fault("poll_too_large")
        assert {(True, 1000)} == {(answer.cut, len(answer.body)) for answer in poll.answers}
        assert [("it is longer than 1000 bytes",)] == rows(tmp_path, "SELECT reason FROM letters")


@pytest.mark.parametrize("body", [b"[" + b"0," * 2_000 + b"0]", b"[" + b" " * 140_000 + b"]"])
async def test_an_answer_of_many_parts_is_read_beside_the_loop_and_one_at_a_time(tmp_path, server, body):
    """However short it is: what is heavy never runs on the loop's thread, and two never at once."""
    server.always = Says(body=body)
    threads, at_once, most = [], [], []

    def read(answer, cursor):
        at_once.append(1)
        most.append(len(at_once))
        threads.append(threading.get_ident())
        time.sleep(0.05)
        at_once.pop()
        return Page(reading=Reading(()), cursor={}, save=False)

    async with polled(tmp_path) as site:
        await site.put(*(Scripted(server.url, name=f"test.{number}", reads=read) for number in range(3)))
        await site.until(lambda: len(threads) >= 9, "nothing is read")
    assert threading.get_ident() not in threads
    assert {1} == set(most)


async def test_an_event_that_the_store_cannot_keep_does_not_hold_up_its_page(tmp_path, server):
    """Half a character in one event makes that event a letter; the others and the place are kept."""
    bad = count(2, name="\ud83d")

    def read(answer, cursor):
        return Page(reading=Reading((count(1), bad, count(3))), cursor={"done": 1})

    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: place(tmp_path) == {"done": 1}, "the place does not move")
        assert 2 == len(site.events())
        await site.until(lambda: rows(tmp_path, "SELECT 1 FROM letters"), "no letter")


async def test_the_same_broken_record_is_one_letter(tmp_path, server):
    """A record that comes with every answer, because its place is not known, is kept once."""
    answers = []

    def read(answer, cursor):
        answers.append(answer)
        return Page(reading=Reading(()), cursor={}, aside=(Aside(reason="no number", body=b"{}"),))

    async with polled(tmp_path) as site:
        await site.put(Scripted(server.url, reads=read))
        await site.until(lambda: len(answers) >= 3, "it stands still")
        assert [("no number",)] == rows(tmp_path, "SELECT reason FROM letters")


async def test_proxies_of_the_environment_are_not_used(tmp_path, server, monkeypatch):
    """An http_proxy that somebody set for a shell does not come between the gateway and a PC."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    poll = Scripted(server.url)
    async with polled(tmp_path) as site:
        await site.put(poll)
        await site.until(lambda: poll.answers, "nothing is asked")


async def test_who_listens_hears_when_a_system_begins_and_ceases_to_answer(tmp_path, server):
    """Liveness is told of each change once, with why."""
    heard = []
    async with polled(tmp_path) as site:
        site.poller.listeners.append(lambda standing: heard.append((standing.answers, standing.trouble)))
        await site.put(Scripted(server.url))
        await site.until(lambda: heard, "nobody is told")
        server.stop()
        await site.until(lambda: len(heard) == 2, "nobody is told")
    assert (True, "") == heard[0]
    assert heard[1][0] is False
    assert "nothing listens at this port" in heard[1][1]
