"""Letters: what is kept for a person, within which bounds, and whose goes first."""

from collections import Counter

import pytest
from keeping import NOON, count, fill, opened, rows

from gateway.outbox import Bounds, damage, reading
from gateway.outbox import letters as store

pytestmark = pytest.mark.anyio
KIB = 1024


async def keep(outbox, sender, body=b"x", *, stage="parse", reason="unreadable", head=None):
    await outbox.keep_letter(
        stage=stage, sender=sender, reason=reason, received_at=NOON, head=head or {"path": "/"}, body=body
    )


def by_sender(directory):
    return Counter(row[0] for row in rows(directory, "SELECT sender FROM letters"))


def taken(directory):
    return dict(rows(directory, "SELECT sender, sum(length(body)) FROM letters GROUP BY sender"))


async def test_a_letter_comes_back_as_it_was_kept(tmp_path):
    """Body, head, sender, reason and time of receipt are the ones that came in."""
    async with opened(tmp_path) as outbox:
        await keep(
            outbox, "10.0.0.7", b"\x00\xff<bad>", reason="no root", head={"path": "/up", "query": "a=ü"}
        )
        with reading.looking(tmp_path) as conn:
            (letter,) = store.find(conn)
            assert letter == store.get(conn, letter.number)
        assert ("parse", "10.0.0.7", "no root", b"\x00\xff<bad>") == (
            letter.stage,
            letter.sender,
            letter.reason,
            letter.body,
        )
        assert {"path": "/up", "query": "a=ü"} == letter.head
        assert int(NOON.timestamp() * 1000) == letter.received
        assert letter.entry is None


async def test_a_sender_keeps_its_newest(tmp_path):
    """Beyond its bound a sender loses its own oldest letters, and the store says how many."""
    async with opened(tmp_path, letters=Bounds(per_sender=3)) as outbox:
        for number in range(10):
            await keep(outbox, "a", f"{number}".encode())
        assert [(b"7",), (b"8",), (b"9",)] == rows(tmp_path, "SELECT body FROM letters ORDER BY number")
        assert 7 == outbox.letters_removed


async def test_a_noisy_sender_leaves_the_others_alone(tmp_path):
    """A sender that floods the gateway pushes out nobody's letters but its own, by number and by size."""
    bounds = Bounds(per_sender=50, in_all=60, total_bytes=400 * KIB)
    async with opened(tmp_path, letters=bounds) as outbox:
        for sender in ("quiet", "calm"):
            for _ in range(5):
                await keep(outbox, sender, b"x" * 1_000)
        for number in range(200):
            await keep(outbox, "noisy", b"x" * (100 if number % 2 else 5_000))
        found = by_sender(tmp_path)
        assert (5, 5) == (found["quiet"], found["calm"])
        assert 50 >= found["noisy"] > 10
        assert 60 >= found.total()


async def test_no_sender_takes_more_than_a_quarter(tmp_path):
    """One sender's bodies never take more than a quarter of the space, whatever their sizes."""
    async with opened(tmp_path, letters=Bounds(total_bytes=400 * KIB)) as outbox:
        for size in (1, 60, 60, 60, 99, 1, 1, 50, 49, 100):
            await keep(outbox, "a", b"x" * size * KIB)
            assert 100 * KIB >= taken(tmp_path)["a"]
        await keep(outbox, "b", b"x" * 90 * KIB)
        assert {"a", "b"} == set(by_sender(tmp_path))


async def test_a_body_that_is_too_large_is_kept_in_part(tmp_path):
    """A body above a quarter of the space is cut, and its head says so."""
    async with opened(tmp_path, letters=Bounds(total_bytes=40 * KIB)) as outbox:
        await keep(outbox, "a", b"<start>" + b"x" * 100 * KIB)
        with reading.looking(tmp_path) as conn:
            (letter,) = store.find(conn)
        assert (10 * KIB, True) == (len(letter.body), letter.head["cut"])
        assert letter.body.startswith(b"<start>")


async def test_many_senders_together_stay_within_the_bounds(tmp_path):
    """However many senders there are, neither the number nor the size of all letters goes beyond its bound."""
    async with opened(tmp_path, letters=Bounds(per_sender=10, in_all=30, total_bytes=100 * KIB)) as outbox:
        for number in range(120):
            await keep(outbox, f"s{number % 17}", b"x" * (number * 331 % (9 * KIB)))
            assert 30 >= by_sender(tmp_path).total()
            assert 100 * KIB >= sum(taken(tmp_path).values())


async def test_letters_to_adopt_are_bounded_too(tmp_path):
    """A stage that is not about reading has the same bounds."""
    async with opened(tmp_path, letters=Bounds(per_sender=3)) as outbox:
        for number in range(8):
            await keep(outbox, "a", stage="adopt" if number % 2 else "parse")
        assert 3 == by_sender(tmp_path)["a"]


async def test_refused_events_are_never_removed_for_others(tmp_path):
    """Letters that hold an event of a sink stay, however many bodies come in."""
    async with opened(tmp_path, letters=Bounds(per_sender=2, in_all=4, total_bytes=4 * KIB)) as outbox:
        await fill(outbox, [count(n) for n in range(20)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        await outbox.sinks.settle_now(position, rejected=[(entry, "no") for entry in outbox.recent(0, 20)])
        for number in range(20):
            await keep(outbox, f"s{number}", b"x" * 500)
        stages = Counter(row[0] for row in rows(tmp_path, "SELECT stage FROM letters"))
        assert {"deliver": 20, "parse": 4} == stages
        with reading.looking(tmp_path) as conn:
            assert {"deliver": 20, "parse": 4} == store.counts(conn)


async def test_a_refused_event_can_be_sent_again_from_its_letter(tmp_path):
    """The entry in a letter equals the entry of the log, also when the log has lost it since."""
    async with opened(tmp_path) as outbox:
        await fill(outbox, [count(n, pad='ü"\\\n') for n in range(3)])
        position = await outbox.sinks.enlist("sink", start="oldest", window=50)
        entries = outbox.recent(0, 3)
        await outbox.sinks.settle_now(position, rejected=[(entry, "no") for entry in entries])
        with reading.looking(tmp_path) as conn:
            assert list(entries) == [letter.entry for letter in store.find(conn, sink="sink")]
            assert None is store.to_retry(conn, "sink")
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1 WHERE number > 1"))
        with reading.looking(tmp_path) as conn:
            assert entries[1] == store.to_retry(conn, "sink").entry
            assert None is store.to_retry(conn, "other")
            assert 3 == len(list(store.find(conn, stage="deliver")))
            assert [] == list(store.find(conn, stage="parse"))


async def test_a_number_is_never_given_out_twice(tmp_path):
    """Whoever has read a letter and removes it a moment later removes no other, also behind a restart and a salvage."""
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("sink", start="oldest", window=10)
        await fill(outbox, [count(0)])
        await keep(outbox, "a", b"first")
        await outbox.write(lambda conn: conn.execute("DELETE FROM letters WHERE number = 1"))
        await outbox.sinks.settle_now(position, [(outbox.recent(0, 1)[0], "no")])
        assert [(2,)] == rows(tmp_path, "SELECT number FROM letters")
        await outbox.write(lambda conn: conn.execute("DELETE FROM letters"))
    for number in (3, 4):
        damage.mark(tmp_path, "looked at again")
        async with opened(tmp_path) as outbox:
            await keep(outbox, "a", b"another")
            assert [(number,)] == rows(tmp_path, "SELECT number FROM letters")
            await outbox.write(lambda conn: conn.execute("DELETE FROM letters"))


@pytest.mark.parametrize(
    "noted", ["DELETE FROM meta WHERE key = 'letters'", "UPDATE meta SET value = 'q' WHERE key = 'letters'"]
)
async def test_without_a_note_of_the_last_number_the_letters_tell_it(tmp_path, noted):
    """In a store of an earlier gateway, or where the note is damaged, the next number is behind all letters."""
    async with opened(tmp_path) as outbox:
        await keep(outbox, "a", b"first")
        await outbox.write(lambda conn: conn.execute(noted))
        await keep(outbox, "a", b"second")
        assert [(1,), (2,)] == rows(tmp_path, "SELECT number FROM letters ORDER BY number")
