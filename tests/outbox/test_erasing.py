"""Erasing a person: gone from every file, kept out by a resend, and no number changes."""

import asyncio
import contextlib
import json
import sqlite3
from dataclasses import replace

import pytest
from keeping import FILE_NAME, NOON, access, count, opened, rows, tallies

from gateway.album import Album, Limits
from gateway.daemon.erasing import Eraser, erase_at_rest, masking
from gateway.errors import GatewayError
from gateway.event import Device
from gateway.faults import Faults
from gateway.intake import Intake, Policy
from gateway.outbox import Flag, epochs, erasing, held, opening, persons, positions, reading

pytestmark = pytest.mark.anyio
ADA = {"user_id": "ada-4711", "name": "Ada Canary", "job_number": "J-canary"}
BOB = {"user_id": "bob-4712", "name": "Bob Canary"}
LISTED = frozenset({"user_id", "name", "job_number"})


class Site:
    """What a daemon has for erasing."""

    def __init__(self, outbox, listed=LISTED):
        self.outbox = outbox
        self.album = Album(outbox, Faults(), Limits())
        self.intake = Intake(outbox, Policy(personal=listed))
        self.eraser = Eraser(outbox, self.album)

    async def keep(self, *events):
        return await self.intake.keep(events, NOON)

    async def erase(self, **wish):
        return await self.eraser.answer({"sure": True, **wish})


def everything(directory) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


@pytest.mark.parametrize("listed", [LISTED, frozenset()])
async def test_the_person_is_in_no_file_any_more(tmp_path, listed):
    """After the erasure no file below the store holds the person's id, name or mark; others are untouched."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox, listed)
        await here.keep(*(access(n, personal=ADA) for n in range(300)), access(900, personal=BOB))
        mark = persons.mark_of(outbox.key, "ada-4711").encode()
        assert mark in everything(tmp_path)
        told = await here.erase(person="ada-4711")
        assert (300, True) == (told["events"], told["found"])
        left = everything(tmp_path)
        assert [] == [word for word in (b"ada-4711", b"Ada Canary", b"J-canary", mark) if word in left]
        assert 1 == len(rows(tmp_path, "SELECT 1 FROM events WHERE personal IS NOT NULL"))
        assert [(300,)] == rows(tmp_path, f"SELECT count(*) FROM events WHERE flags & {Flag.ERASED}")


async def test_no_number_changes(tmp_path):
    """Events, tallies and accounts are after an erasure what they were before."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await outbox.sinks.enlist("out", start="oldest", window=10)
        await here.keep(*(access(n, personal=ADA) for n in range(5)), count(1, 3))
        before = tallies(tmp_path, "terminal-t"), rows(tmp_path, "SELECT count(*), max(seq) FROM events")
        told = await here.erase(person="ada-4711")
        assert before == (
            tallies(tmp_path, "terminal-t"),
            rows(tmp_path, "SELECT count(*), max(seq) FROM events"),
        )
        assert [{"delivered": 0, "not_delivered": 5}] == [
            {name: sink[name] for name in ("delivered", "not_delivered")} for sink in told["sinks"]
        ]


async def test_a_resend_neither_counts_nor_brings_the_person_back(tmp_path):
    """The terminal sends the same record again: it is a duplicate, and the person stays out."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA))
        await here.erase(person="ada-4711")
        again = await here.keep(access(1, personal=ADA))
        assert (0, 1) == (again.new, again.duplicates)
        changed = await here.keep(access(1, personal=ADA, entry="card"))
        assert (0, 1) == (changed.new, changed.duplicates)
        assert b"ada-4711" not in everything(tmp_path)
        assert {("2026-10-05", "allowed"): 1} == tallies(tmp_path, "terminal-t")


async def test_what_waits_in_memory_leaves_without_the_person(tmp_path):
    """A forwarder that asks for the newest entries after the erasure does not get them from before it."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA))
        assert outbox.recent(0, 10)
        await here.erase(person="ada-4711")
        assert outbox.recent(0, 10) is None
        await here.keep(access(2, personal=BOB))
        assert ["bob-4712"] == [json.loads(entry.personal)["user_id"] for entry in outbox.recent(1, 10)]


async def test_erasing_beside_pushes_loses_none(tmp_path):
    """While the file is written anew pushes wait for their turn, and all of them are kept."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(*(access(n, personal=ADA) for n in range(200)))

        async def pushes():
            for n in range(1000, 1100):
                await here.keep(access(n, personal=BOB))

        await asyncio.gather(pushes(), here.erase(person="ada-4711"))
        assert [(300,)] == rows(tmp_path, "SELECT count(*) FROM events")
        assert b"Ada Canary" not in everything(tmp_path)


async def test_letters_lose_the_person(tmp_path):
    """A refused event and a body that nobody could read stay letters, without the person."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA))
        position = await outbox.sinks.enlist("out", start="oldest", window=10)
        entry = outbox.recent(0, 1)[0]
        position.cursor, position.lettered = entry.seq, 1
        await outbox.sinks.settle_now(position, [(entry, "no")])
        for source, body in (
            ("face_terminal", b'{"who":"ada-4711","n":4711'),
            ("people_counter", b"<ada-4711>"),
        ):
            await outbox.keep_letter(
                stage="parse", sender="a", reason="r", received_at=NOON, head={"source": source}, body=body
            )
        assert 2 == (await here.erase(person="ada-4711"))["letters"]
        (deliver, one, other) = rows(tmp_path, "SELECT head, body FROM letters ORDER BY number")
        assert json.loads(deliver[0])["personal"] is None
        assert (b'{"who":"***","n":4711', b"<ada-4711>") == (one[1], other[1])


async def test_a_letter_that_is_written_while_the_person_is_looked_for(tmp_path):
    """A body that becomes a letter between the look and the removal loses the person too, and is counted."""
    async with opened(tmp_path) as outbox:
        letter = {"stage": "parse", "sender": "a", "reason": "r", "received_at": NOON, "head": {}}
        await outbox.keep_letter(**letter, body=b'{"who":"bob-4712"}')
        person, mask = erasing.Person(key=outbox.key, stated="ada-4711"), masking("ada-4711")
        with reading.looking(tmp_path) as conn:
            found = erasing.find(conn, person, mask)
        await outbox.keep_letter(**letter, body=b'{"who":"ada-4711"}')
        gone = await outbox.rewriting.amend(
            lambda conn: erasing.erase(conn, person, found, mask), lambda gone: gone.seqs
        )
        assert 1 == len(gone.letters)
        bodies = rows(tmp_path, "SELECT body FROM letters ORDER BY number")
        assert [(b'{"who":"bob-4712"}',), (b'{"who":"***"}',)] == bodies


async def test_an_event_that_is_refused_after_the_erasure(tmp_path):
    """It was on its way to a sink when the person was erased: its letter does not bring the person back."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA))
        position = await outbox.sinks.enlist("out", start="oldest", window=10)
        entry = outbox.recent(0, 1)[0]
        await here.erase(person="ada-4711")
        position.cursor, position.lettered = entry.seq, 1
        await outbox.sinks.settle_now(position, [(entry, "no")])
        assert [(1,)] == rows(tmp_path, "SELECT count(*) FROM letters")
        assert b"ada-4711" not in everything(tmp_path)


async def test_held_events_lose_the_person_and_stay_without_when_adopted(tmp_path):
    """What waits for adoption is stripped, and neither the adoption nor a resend brings the person back."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        one = held.hold(here.intake.prepared(access(1, personal=ADA)))
        push = held.Push("10.0.0.9", "10.0.0.9", "/", 0, False)
        await outbox.write(lambda conn: held.add(conn, "face_terminal", push, [one]))
        assert 1 == (await here.erase(person="ada-4711"))["held"]
        assert b"ada-4711" not in everything(tmp_path)
        with reading.looking(tmp_path) as conn:
            (waiting,) = held.first_of(conn, "terminal-t", 10)
        await here.keep(waiting.event)
        again = await here.keep(access(1, personal=ADA))
        assert (0, 1) == (again.new, again.duplicates)
        assert [(None,)] == rows(tmp_path, "SELECT personal FROM events")


async def test_a_refused_event_can_still_be_sent(tmp_path):
    """What is left of a letter of the deliver stage is an entry that a sink can be given again."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA, description="Ada Canary shouted"))
        position = await outbox.sinks.enlist("out", start="oldest", window=10)
        entry = outbox.recent(0, 1)[0]
        position.cursor, position.lettered = entry.seq, 1
        await outbox.sinks.settle_now(position, [(entry, "no")])
        await here.erase(person="ada-4711")
        await outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 1"))
        (head,) = rows(tmp_path, "SELECT head FROM letters")[0]
        left = json.loads(head)
        assert (entry.id, entry.seq, None) == (left["id"], left["seq"], left["personal"])
        assert b"Ada Canary" not in everything(tmp_path)


async def test_only_the_named_device(tmp_path):
    """With a device, what another device said about the same id stays."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        other = Device(id="terminal-u", source="face_terminal")
        await here.keep(access(1, personal=ADA), access(2, personal=ADA, device=other))
        assert 1 == (await here.erase(person="ada-4711", device="terminal-u"))["events"]
        assert [("terminal-t",)] == rows(tmp_path, "SELECT device FROM events WHERE personal IS NOT NULL")


async def test_by_a_pseudonym_of_a_far_end(tmp_path):
    """Whoever knows only what a sink was given can have the person erased; a wrong one is told."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox, frozenset())
        await outbox.write(lambda conn: positions.enlist(conn, "out", after=0, owed=0, head=0))
        await here.keep(access(1, personal=ADA), access(2, personal=BOB))
        known = persons.pseudonym(outbox.key, "out", persons.mark_of(outbox.key, "ada-4711"))
        assert 1 == (await here.erase(pseudonym=known))["events"]
        with pytest.raises(GatewayError):
            await here.erase(pseudonym=known)


async def test_looking_changes_nothing(tmp_path):
    """Without the confirmation the figures are told and nothing is touched; nobody is told as nobody."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA))
        told = await here.erase(person="ada-4711", sure=False)
        assert (1, False) == (told["events"], told["done"])
        assert [(1,)] == rows(tmp_path, "SELECT count(*) FROM events WHERE personal IS NOT NULL")
        assert not (await here.erase(person="nobody"))["found"]
        with pytest.raises(GatewayError):
            await here.erase()


async def test_with_the_daemon_down(tmp_path):
    """The same with nobody running: the file is rewritten, and the damaged ones beside it are named."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(*(access(n, personal=ADA) for n in range(50)))
        with pytest.raises(GatewayError, match="Another gateway"):
            erase_at_rest(tmp_path, 2**30, {"person": "ada-4711", "sure": True})
    captures = tmp_path / "captures"
    captures.mkdir()
    (captures / "one.jsonl").write_text('{"x":"ada-4711"}')
    (captures / "two.jsonl").write_text('{"x":"ada-47112"}')
    (tmp_path / "gateway.db.damaged-1").write_text("x")
    told = erase_at_rest(tmp_path, 2**30, {"person": "ada-4711", "sure": True})
    assert (50, 1) == (told["events"], told["captures"])
    assert b"Ada Canary" not in everything(tmp_path)
    assert [captures / "two.jsonl"] == list(captures.iterdir())
    assert any("gateway.db.damaged-1" in sentence for sentence in told["not_reached"])


@pytest.mark.parametrize(
    ("person", "body", "left"),
    [
        ("77", b'{"a":77,"b":"77","c":"1770"}', b'{"a":77,"b":"***","c":"1770"}'),
        ("10042", b'{"a":10042,"b":"100421"}', b'{"a":***,"b":"100421"}'),
        ("Zoë", '{"a":"Zoë","b":"Zo\\u00eb"}'.encode(), b'{"a":"***","b":"***"}'),
    ],
)
def test_an_id_is_masked_where_it_is_a_word(person, body, left):
    """An id is taken out where it stands alone, and a short one only where it is the whole of a text."""
    assert left == masking(person)(body)


async def test_a_newer_statement_brings_nothing_of_the_person_back(tmp_path):
    """What a device says anew about an erased record keeps neither its own words nor the reference to a picture."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA, description="Ada at the door"))
        await here.erase(person="ada-4711")
        again = access(1, personal=ADA, description="Ada again", picture_sha256="ab" * 32, note=1)
        assert 1 == (await here.keep(replace(again, revision=3))).new
        found = [
            json.loads(body)["data"] for (body,) in rows(tmp_path, "SELECT body FROM events ORDER BY seq")
        ]
    assert ["", ""] == [data["description"] for data in found]
    assert ("erased", False) == (found[1]["picture"], "picture_sha256" in found[1])
    assert b"Ada again" not in everything(tmp_path)


async def test_another_list_of_personal_fields_makes_no_new_entry(tmp_path):
    """A resend after a reload that lists one more field is the same statement."""
    async with opened(tmp_path) as outbox:
        await Site(outbox, frozenset({"user_id"})).keep(access(1, personal=ADA))
        kept = await Site(outbox, LISTED).keep(access(1, personal=ADA))
        assert (0, 1) == (kept.new, kept.duplicates)


async def drained(outbox, name, *, start="oldest"):
    """Have a sink that begins here, or began earlier, take all that waits for it."""
    position = await outbox.sinks.enlist(name, start=start, window=10)
    position.delivered += position.waiting(outbox.head)
    position.cursor = outbox.head
    await outbox.sinks.settle_now(position)
    return position


def restored(directory) -> None:
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME, isolation_level=None)) as conn:
        head, skipped = opening.last_number(conn), opening.skipped_numbers(conn)
        epochs.begin(conn, 1_000, head=head, skipped=skipped, beyond=0)


def reached(directory) -> dict[str, int]:
    """Say how many of Ada's events each sink has had, or may have had."""
    told = erase_at_rest(directory, 2**30, {"person": "ada-4711"})
    assert [sink["name"] for sink in told["sinks"] if sink["delivered"]] == [
        line.split()[1] for line in told["not_reached"] if line.startswith("Sink ")
    ]
    return {sink["name"]: sink["delivered"] for sink in told["sinks"]}


async def test_who_has_had_the_person_is_known_through_restores(tmp_path):
    """After a restore, and another one, each sink is named with what it had before and since; one that came later is not."""
    told = []
    for life in range(3):
        async with opened(tmp_path) as outbox:
            here = Site(outbox)
            await here.keep(*(access(10 * life + n, personal=ADA) for n in range(4)))
            await drained(outbox, "all")
            if life:
                await drained(outbox, "later", start="now")
            if not life:
                assert [4] == [
                    sink["delivered"] for sink in (await here.erase(person="ada-4711", sure=False))["sinks"]
                ]
            await here.keep(access(10 * life + 9, personal=ADA))
        told.append(reached(tmp_path))
        restored(tmp_path)
        assert told[-1] == reached(tmp_path)
    # The fifth of each life may have been on its way when the life ended; "later" began behind the ninth event.
    assert [{"all": 5}, {"all": 10, "later": 1}, {"all": 15, "later": 6}] == told


async def test_a_new_sink_that_got_a_log_with_holes_is_named(tmp_path):
    """A sink that began at the oldest entry has had all that the log held, however many numbers are gone between them."""
    async with opened(tmp_path) as outbox:
        await Site(outbox).keep(*(access(n, personal=ADA if n < 2 else BOB) for n in range(10)))
        await outbox.write(lambda conn: conn.execute("DELETE FROM events WHERE seq BETWEEN 3 AND 9"))
        await drained(outbox, "new")
    assert {"new": 2} == reached(tmp_path)


async def test_a_sink_that_began_behind_the_person_has_not_had_them(tmp_path):
    """A sink from "now" has had nothing of before, whatever came since; sent again on request it may have had all."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(*(access(n, personal=ADA) for n in range(5)))
        await outbox.sinks.enlist("new", start="now", window=10)
        await here.keep(*(access(10 + n, personal=BOB) for n in range(50)))
        await drained(outbox, "new")
    assert {"new": 0} == reached(tmp_path)
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("new", start="now", window=10)
        position.ask_again(0, 3)
        await outbox.sinks.settle_now(position)
    assert {"new": 5} == reached(tmp_path)
    async with opened(tmp_path) as outbox:
        position = await outbox.sinks.enlist("new", start="now", window=10)
        position.advance_arrears(position.arrears[0], 3)
        position.replayed += 3
        await outbox.sinks.settle_now(position)
    assert {"new": 5} == reached(tmp_path)


async def test_where_it_cannot_be_told_a_sink_is_named(tmp_path):
    """Entries that are gone from the middle leave the beginning of a sink open: it may have had the person."""
    async with opened(tmp_path) as outbox:
        here = Site(outbox)
        await here.keep(access(1, personal=ADA))
        await outbox.sinks.enlist("new", start="now", window=10)
        await here.keep(*(access(10 + n, personal=BOB) for n in range(3)))
        await drained(outbox, "new")
        await outbox.write(lambda conn: conn.execute("DELETE FROM events WHERE seq = 3"))
    assert {"new": 1} == reached(tmp_path)
