"""Random lives of a store against a small model: identity, newest statement, days, places and accounts.

``MODEL_EXAMPLES`` and ``MODEL_STEPS`` make the lives more and longer.
"""

import asyncio
import contextlib
import copy
import operator
import os
import sqlite3
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from keeping import NOON, Running, after_crash, audited, count, counter, data_of

from gateway.outbox import Entry, letters, reading, retention, statements
from gateway.outbox.connection import FILE_NAME

DAY = "2026-10-05"
RECEIVED = NOON + timedelta(hours=12)
small = st.integers(0, 5)
few = st.integers(1, 6)
_FIGURES = ("delivered", "lettered", "expired")


@dataclass
class Sink:
    """What the account of a sink must say."""

    owed: set[int] = field(default_factory=set)
    delivered: int = 0
    expired: int = 0
    lettered: int = 0
    letters: set[int] = field(default_factory=set)  # numbers in the log of refused events
    by_device: Counter = field(default_factory=Counter)  # (device, figure)

    def state(self):
        return self.delivered, self.expired, self.lettered, len(self.letters), sorted(self.owed)


@dataclass
class Fact:
    """One minute of one device, and all that was said about it."""

    minute: int
    device: str
    said: list[tuple[int, int]] = field(default_factory=list)  # (revision as stated, enters), as they came
    intact: bool = True  # nothing of it has left the log

    def newest(self):
        """Of the highest number the statement that came last."""
        return max(enumerate(self.said), key=lambda one: (one[1][0], one[0]))[1][1]


class Life(RuleBasedStateMachine):
    """Pushes, corrections, deliveries, refusals, removals, restarts and crashes, in any order."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = tempfile.TemporaryDirectory()
        self.directory = Path(self.place.name) / "0"
        self.facts: list[Fact] = []
        self.log: dict[int, tuple[Fact, int]] = {}  # number: fact and enters
        self.head = 0
        self.counted = 0  # by facts that have left the log in part
        self.sink = Sink()
        self.on_disk = copy.deepcopy(self.sink)
        self.lives = 0

    def do(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def teardown(self):
        self.do(self.running.stop())
        self.loop.close()
        self.place.cleanup()

    @initialize()
    def begin(self):
        self.start()

    def start(self):
        async def open_store():
            self.running = await Running.start(self.directory)
            self.outbox = self.running.outbox
            self.position = await self.outbox.enlist("sink", start="oldest", window=4)

        self.do(open_store())

    def committed(self):
        """After any commit everything that was settled is on disk."""
        self.on_disk = copy.deepcopy(self.sink)

    # Receiving

    def push(self, *said):
        """Push statements (fact, revision, enters) and expect what is new of them."""
        events = [
            count(fact.minute, enters, revision=revision, device=counter(fact.device))
            for fact, revision, enters in said
        ]
        new = 0
        for fact, revision, enters in said:
            if (revision, enters) not in fact.said:
                new += 1
                fact.said.append((revision, enters))
                self.head += 1
                self.log[self.head] = (fact, enters)
                self.sink.owed.add(self.head)
        appended = self.do(self.outbox.append(events, RECEIVED))
        assert (new, len(said) - new) == (appended.new, appended.duplicates)
        self.committed()

    @rule(number=few, enters=small, device=st.sampled_from(["counter-a", "counter-b"]))
    def state_new_facts(self, number, enters, device):
        facts = [Fact(len(self.facts) + n, device) for n in range(number)]
        self.facts += facts
        self.push(*((fact, 10, enters) for fact in facts))

    @precondition(lambda self: any(fact.intact for fact in self.facts))
    @rule(data=st.data(), revision=st.integers(8, 13), enters=small)
    def state_again(self, data, revision, enters):
        """A correction, a resend, an older statement, or two statements with one number."""
        fact = data.draw(st.sampled_from([fact for fact in self.facts if fact.intact]))
        taken, higher = (any(how(r, revision) for r, _ in fact.said) for how in (operator.eq, operator.gt))
        if taken and higher and (revision, enters) not in fact.said:
            return  # which of its neighbours a late tie comes behind is a matter of numbers, not of this model
        self.push((fact, revision, enters))

    @precondition(lambda self: any(fact.said and fact.intact for fact in self.facts))
    @rule(data=st.data())
    def send_everything_again(self, data):
        facts = [fact for fact in self.facts if fact.intact]
        chosen = data.draw(st.lists(st.sampled_from(facts), min_size=1, max_size=4))
        self.push(*((fact, *said) for fact in chosen for said in fact.said))

    @precondition(lambda self: any(not fact.intact for fact in self.facts))
    @rule(data=st.data())
    def state_what_has_left_the_log(self, data):
        """Whatever comes of a fact that was removed in part, no day moves."""
        fact = data.draw(st.sampled_from([fact for fact in self.facts if not fact.intact]))
        event = count(fact.minute, 5, revision=99 + len(fact.said), device=counter(fact.device))
        self.head += 1
        fact.said.append((99 + len(fact.said), 5))
        self.log[self.head] = (fact, 5)
        self.sink.owed.add(self.head)
        before = self.days()
        assert 1 == self.do(self.outbox.append([event], RECEIVED)).new
        if not any(seq != self.head and other is fact for seq, (other, _) in self.log.items()):
            assert before == self.days()
        self.counted += self.days() - before
        self.committed()

    # Forwarding

    def at_hand(self, first, last, number):
        with reading.looking(self.directory) as conn:
            return [Entry(*row) for row in conn.execute(statements.READ_LOG, (first, last, number))]

    def settle(self, entries, *, refused=(), now=False):
        taken = [entry for entry in entries if entry not in refused]
        self.position.settle([entry.device for entry in taken], [entry.device for entry in refused])
        self.sink.owed -= {entry.seq for entry in entries}
        self.sink.delivered += len(entries) - len(refused)
        self.sink.lettered += len(refused)
        self.sink.letters |= {entry.seq for entry in refused}
        self.sink.by_device.update((entry.device, "delivered") for entry in taken)
        self.sink.by_device.update((entry.device, "lettered") for entry in refused)
        if refused or now:
            self.do(self.outbox.settle_now(self.position, rejected=[(entry, "no") for entry in refused]))
            self.committed()
        else:
            self.do(self.soon())

    async def soon(self):
        self.outbox.settle(self.position)

    @rule(number=few, refused=st.sets(small, max_size=2), now=st.booleans())
    def deliver(self, number, refused, now):
        entries = self.at_hand(self.position.cursor, self.outbox.head, number)
        if entries:
            self.position.cursor = entries[-1].seq
            self.settle(entries, refused=[e for n, e in enumerate(entries) if n in refused], now=now)

    @rule()
    def go_on_at_the_head(self):
        self.position.jump(self.outbox.head)
        self.do(self.outbox.settle_now(self.position))
        self.committed()

    @precondition(lambda self: self.position.arrears)
    @rule(number=few, now=st.booleans())
    def deliver_arrears(self, number, now):
        owed = self.position.arrears[0]
        entries = self.at_hand(owed.first, owed.last, number)
        self.position.advance_arrears(owed, entries[-1].seq if entries else owed.last)
        if owed.replay:
            self.position.replayed += len(entries)
            self.do(self.soon())
        else:
            self.settle(entries, now=now)

    @rule(first=st.integers(0, 30), length=few)
    def ask_again(self, first, length):
        last = min(first + length, self.position.cursor)
        if first < last:
            self.position.ask_again(first, last)
            self.do(self.soon())

    @precondition(lambda self: self.sink.letters)
    @rule(taken=st.booleans())
    def retry_a_letter(self, taken):
        def mark(conn):
            conn.execute("UPDATE letters SET retry = 1 WHERE number = (SELECT min(number) FROM letters)")

        self.do(self.outbox.write(mark))
        self.committed()
        with reading.looking(self.directory) as conn:
            letter = letters.to_retry(conn, "sink")
        assert letter.entry.seq in self.sink.letters
        if taken:
            self.position.answer_letter(letter.entry.device)
            self.sink.lettered -= 1
            self.sink.by_device[letter.entry.device, "lettered"] -= 1
            self.sink.by_device[letter.entry.device, "delivered"] += 1
            self.sink.delivered += 1
            self.sink.letters.discard(letter.entry.seq)
            self.do(self.outbox.settle_now(self.position, answered=[letter.number]))
        else:
            self.do(self.outbox.write(lambda conn: conn.execute("UPDATE letters SET retry = 0")))
        self.committed()

    # Removing

    def remove(self, step):
        removed = self.do(self.outbox.remove(step))
        left = {seq for (seq,) in self.ask("SELECT seq FROM events")}
        gone = set(self.log) - left
        assert removed.rows == len(gone)
        before = {id(fact): fact.newest() for fact, _ in (self.log[seq] for seq in gone) if fact.intact}
        for seq in gone:
            fact, _ = self.log.pop(seq)
            self.sink.by_device[fact.device, "expired"] += seq in self.sink.owed
            if fact.intact:
                self.counted += before[id(fact)]
                fact.intact = False
        self.sink.expired += len(gone & self.sink.owed)
        self.sink.owed -= gone
        self.committed()
        return gone

    @rule(number=few)
    def tidy_up_settled(self, number):
        owed = set(self.on_disk.owed) | set(self.sink.owed)
        gone = self.remove(
            lambda conn, kept: retention.remove_settled(conn, settled_up_to=kept.settled_up_to, limit=number)
        )
        assert not gone & owed

    @rule(number=few)
    def give_up_owed(self, number):
        self.do(self.outbox.settle_now(self.position))
        self.remove(lambda conn, kept: retention.remove_owed(conn, keep=kept.on_their_way, limit=number))

    # Ends

    @rule()
    def restart(self):
        self.do(self.running.stop())
        self.committed()
        self.start()

    @rule()
    def crash(self):
        self.lives += 1
        left = after_crash(self.directory, Path(self.place.name) / str(self.lives))
        self.do(self.running.abandon())
        self.directory = left
        self.sink = copy.deepcopy(self.on_disk)
        self.start()

    # What must hold

    def ask(self, query, *values):
        with contextlib.closing(sqlite3.connect(self.directory / FILE_NAME)) as conn:
            return conn.execute(query, values).fetchall()

    def days(self):
        return self.ask(
            "SELECT coalesce(sum(amount), 0) FROM tallies WHERE day = ? AND measure = 'enters'", DAY
        )[0][0]

    @invariant()
    def the_log_is_what_was_said(self):
        if not self.head:
            return
        found = {seq: data_of(body)["enters"] for seq, body in self.ask("SELECT seq, body FROM events")}
        assert {seq: enters for seq, (_, enters) in self.log.items()} == found
        assert self.head == self.outbox.head
        assert self.head == self.ask("SELECT sum(events) FROM devices")[0][0]

    @invariant()
    def the_newest_statement_counts(self):
        for fact in self.facts:
            if fact.intact:
                event = count(fact.minute, device=counter(fact.device))
                row = self.ask(
                    "SELECT body FROM events WHERE id = ? ORDER BY revision DESC LIMIT 1", event.id
                )
                assert fact.newest() == data_of(row[0][0])["enters"], fact
        if self.head:
            assert self.days() == self.counted + sum(fact.newest() for fact in self.facts if fact.intact)

    @invariant()
    def the_account_balances(self):
        if not hasattr(self, "position"):
            return
        waiting = self.position.waiting(self.outbox.head)
        ours = self.position.delivered, self.position.expired, self.position.lettered
        kept = self.ask("SELECT count(*) FROM letters WHERE stage = 'deliver'")[0][0]
        with reading.looking(self.directory) as conn:
            in_log = reading.count_owed(conn, self.position, self.outbox.head)
        assert self.sink.state()[:4] == (*ours, kept)
        assert len(self.sink.owed) == waiting == in_log

    @invariant()
    def every_device_has_its_account(self):
        """On disk, where a forwarder's last steps may still be missing."""
        if not hasattr(self, "position"):
            return
        found = audited(self.directory)
        told = {(device, figure): row[figure] for device, row in found.items() for figure in _FIGURES}
        assert +self.on_disk.by_device == +Counter(told)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "15")),
    stateful_step_count=int(os.environ.get("MODEL_STEPS", "30")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLife.__doc__ = (
    "No life of a store, however it goes, ends up with another log, day or account than the model's."
)
