"""What may happen to an outbox on the side of its sinks: deliveries, refusals, letters, arrears, and retention."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from outbox_invariants import TrueLife, value_of

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.outbox import letters, reading, retention

small = st.integers(0, 5)
few = st.integers(1, 6)
sinks = st.sampled_from(["strict", "live"])
# Which one of those that there are; no `st.data`, so that what hypothesis prints can be typed in as a test.
picks = st.integers(0, 30)


class SinkLife(TrueLife):
    """A life in which sinks take, refuse, fall behind and ask again."""

    @precondition(lambda self: len(self.model.sinks) < 4)
    @rule(name=st.sampled_from(["later", "latest"]), oldest=st.booleans())
    def enlist_another(self, name, oldest):
        if name in self.model.sinks:
            return

        def enlisted(position):
            self.model.enlist(name, oldest=oldest)
            self.positions[name] = position
            self.tally.verbs["enlist"] += 1

        start = "oldest" if oldest else "now"
        self.attempt(self.outbox.sinks.enlist(name, start=start, window=4), enlisted)

    @rule(name=sinks, number=few, refused=st.sets(small, max_size=2), now=st.booleans())
    def deliver(self, name, number, refused, now):
        position = self.positions[name]
        entries = self.at_hand(position.cursor, self.outbox.head, number)
        if entries:
            position.cursor = entries[-1].seq
            self.settle(name, entries, refused=[e for n, e in enumerate(entries) if n in refused], now=now)

    @precondition(lambda self: self.positions["live"].cursor < self.model.head)
    @rule()
    def go_on_at_the_head(self):
        """A live-first sink that fell behind owes itself what waits, and goes on with what is new."""
        self.positions["live"].jump(self.outbox.head)
        self.tally.verbs["fall behind"] += 1
        self.settle("live", [], now=True)

    @precondition(lambda self: any(position.arrears for position in self.positions.values()))
    @rule(name=sinks, pick=picks, number=few, now=st.booleans())
    def deliver_arrears(self, name, pick, number, now):
        position = self.positions[name]
        if not position.arrears:
            return
        owed = position.arrears[pick % len(position.arrears)]
        entries = self.at_hand(owed.first, owed.last, number)
        position.advance_arrears(owed, entries[-1].seq if entries else owed.last)
        if owed.replay:
            position.replayed += len(entries)
        self.tally.verbs["replay" if owed.replay else "deliver arrears"] += len(entries)
        self.settle(name, [] if owed.replay else entries, now=now)

    @precondition(lambda self: any(position.cursor for position in self.positions.values()))
    @rule(name=sinks, first=st.integers(0, 30), length=few)
    def ask_again(self, name, first, length):
        position = self.positions[name]
        last = min(first + length, position.cursor)
        if first < last:
            position.ask_again(first, last)
            self.tally.verbs["ask again"] += 1
            self.settle(name, [])

    def settle(self, name, entries, *, refused=(), now=False):
        """The far end has had these, and will never take some of them."""
        position, sink = self.positions[name], self.model.sinks[name]
        taken = [entry for entry in entries if entry not in refused]
        self.tally.verbs.update(deliver=len(taken), reject=len(refused))
        for entry in entries:
            row = self.model.log[entry.seq]
            assert (row.said.fact.device, row.said.value) == (entry.device, value_of(entry.body))
            assert entry.seq in sink.owed
            sink.settle(entry.device, entry.seq, refused=entry in refused, person=row.person)
        position.settle([entry.device for entry in taken], [entry.device for entry in refused])
        if refused or now:
            rejected = [(entry, "no") for entry in refused]
            self.insist(lambda: self.outbox.sinks.settle_now(position, rejected=rejected))
        else:
            self.do(self.soon(position))

    async def soon(self, position):
        self.outbox.sinks.settle(position)

    def insist(self, work):
        """A forwarder notes the same once more when the disk did not take it."""
        troubled = self.disk.is_troubled
        try:
            self.do(work())
        except StoreUnavailable:
            assert troubled
            self.tally.faults["failed commit"] += 1
            self.disk.make_room()
            self.do(work())
        self.model.committed()

    @precondition(lambda self: any(sink.letters for sink in self.model.sinks.values()))
    @rule(name=sinks, pick=picks, taken=st.booleans())
    def retry_a_letter(self, name, pick, taken):
        sink, position = self.model.sinks[name], self.positions[name]
        if not sink.letters:
            return
        with reading.looking(self.directory) as conn:
            kept = [one.number for one in letters.find(conn, sink=name)]
        chosen = kept[pick % len(kept)]
        mark = "UPDATE letters SET retry = ? WHERE number = ?"
        self.insist(lambda: self.outbox.write(lambda conn: conn.execute(mark, (1, chosen))))
        with reading.looking(self.directory) as conn:
            letter = letters.to_retry(conn, name)
        if taken:
            self.tally.verbs["retry a letter"] += 1
            position.answer_letter(letter.entry.device)
            sink.answer(letter.entry.device, letter.entry.seq)
            self.insist(lambda: self.outbox.sinks.settle_now(position, answered=[letter.number]))
        else:
            self.tally.verbs["retry a letter in vain"] += 1
            self.insist(lambda: self.outbox.write(lambda conn: conn.execute(mark, (0, chosen))))

    # Retention; not while held statements are on their way to the log, where they would meet half a fact

    def removed(self):
        """Have the model follow a removal; give what went."""
        gone = set(self.model.log) - {seq for (seq,) in self.ask("SELECT seq FROM events")}
        rows = [self.model.log[seq] for seq in gone]
        expired = sum(len(gone & sink.owed) for sink in self.model.sinks.values())
        self.tally.verbs.update(remove=len(gone), expire=expired)
        self.model.remove(gone, clock.now() if clock.plausible() else None)
        return rows

    @precondition(lambda self: self.model.log and not self.model.due())
    @rule(number=few)
    def tidy_up_settled(self, number):
        owed = {
            seq for sink in (*self.model.on_disk.values(), *self.model.sinks.values()) for seq in sink.owed
        }

        def step(conn, kept):
            return retention.remove_settled(conn, settled_up_to=kept.settled_up_to, limit=number)

        self.attempt(self.outbox.rewriting.remove(step), lambda told: self.nothing_owed(owed, told.rows))

    def nothing_owed(self, owed, rows):
        gone = self.removed()
        assert rows is None or rows == len(gone)
        assert not owed & {row.seq for row in gone}
        return gone

    @precondition(lambda self: self.model.log and not self.model.due())
    @rule(number=few)
    def give_up_owed(self, number):
        """The owner chose to drop the oldest: what goes is counted for every sink that was owed it."""
        self.insist(lambda: self.outbox.write(lambda conn: None))

        def step(conn, kept):
            return retention.remove_owed(conn, keep=kept.on_their_way, limit=number)

        self.attempt(self.outbox.rewriting.remove(step), lambda told: self.nothing_owed(set(), told.rows))

    @precondition(lambda self: self.model.log and not self.model.due() and not self.disk.is_troubled)
    @rule()
    def tidy_up_by_age(self):
        """By a clock that nobody has set nothing is old, and what came by such a clock has its age from a right one."""
        # By such a clock there may be nothing to write; the places go to the disk either way.
        self.insist(lambda: self.outbox.write(lambda conn: None))
        self.model.committed()
        owed = {seq for sink in self.model.on_disk.values() for seq in sink.owed}
        if self.hand.synced and self.model.log:
            self.model.dated.append((max(self.model.log), self.hand.instant))
        self.do(self.housekeeper.tidy())
        gone = self.nothing_owed(owed, None)
        cutoff = self.hand.instant - timedelta(days=self.outbox.settings.keep_days)
        dates = [head for head, at in self.model.dated if at < cutoff]
        for row in gone:
            assert self.hand.synced
            old = row.seq <= max(dates, default=0) if row.said.unsynced else row.said.received < cutoff
            assert old, row
        self.tally.verbs["remove by age"] += len(gone)
