"""Everything that may happen to an outbox, in any order: each rule is a verb, of a device, a sink, a person or fate."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from outbox_life import START
from outbox_model import KNOWN, PIECE, STRANGERS
from outbox_sink_rules import SinkLife, few, picks, small

devices = st.sampled_from(KNOWN)
strangers = st.sampled_from(STRANGERS)
everybody = st.sampled_from(KNOWN + STRANGERS)
people = st.sampled_from(["ada-4711", "bob-4712"])
kills = st.sampled_from([None] * 6 + ["before", "after"])
# Where a clock is set to, in hours from the truth, and whether somebody who knows the time did that.
jumps = st.sampled_from(
    [(0, True), (0, True), (-5, True), (5, True), (40 * 24, True), (-3, False), (-700, False)]
)
_EPOCH = START.replace(year=1970, month=1, day=1)


class AnyLife(SinkLife):
    """Pushes, corrections, deliveries, refusals, strangers, erasures, removals, full disks, clocks and crashes."""

    # Devices

    @rule(device=devices, number=few, value=small, person=people, big=st.booleans(), kill=kills)
    def state_new_facts(self, device, number, value, person, big, kill):
        self.state(device, number, value, person, big=big, kill=kill)

    @rule(device=strangers, number=few, value=small, person=people, kill=kills)
    def stranger_states_new_facts(self, device, number, value, person, kill):
        self.state(device, number, value, person, kill=kill)

    @rule(device=everybody, pick=picks, revision=st.integers(8, 13), value=small, kill=kills)
    def state_again(self, device, pick, revision, value, kill):
        """A correction, a resend, an older statement, or two statements with one number."""
        facts = [fact for fact in self.model.facts if fact.device == device and self.whole(fact)]
        if facts:
            fact = facts[pick % len(facts)]
            if device in STRANGERS:
                revision *= 10  # so far apart that what is held and what is in the log do not meet
            revision = 0 if fact.is_record else revision
            if not self.model.is_ambiguous(fact, revision, value):
                is_new = (revision, value) not in self.model.stated(fact)
                self.tally.verbs["correct"] += self.push((fact, revision, value), kill=kill) and is_new

    @rule(device=everybody, chosen=st.lists(picks, min_size=1, max_size=4))
    def send_everything_again(self, device, chosen):
        facts = [fact for fact in self.model.facts if fact.device == device and self.whole(fact)]
        if facts:
            again = {pick % len(facts) for pick in chosen}
            said = [(facts[n], *content) for n in sorted(again) for content in self.model.stated(facts[n])]
            if said:
                self.push(*said)

    @precondition(lambda self: self.model.removed)
    @rule(pick=picks, value=small)
    def state_what_has_left_the_log(self, pick, value):
        """Of what was removed in part: whatever comes moves no sum that it should not."""
        facts = sorted(
            (fact for fact in self.model.removed if fact.device in KNOWN), key=lambda fact: fact.number
        )
        if facts:
            fact = facts[pick % len(facts)]
            left = self.model.about(fact)
            if not fact.is_record:
                self.push((fact, 99 + (left[-1].said.revision if left else 0), value))
            elif not left:
                self.push((fact, 0, value))

    def whole(self, fact):
        """Say whether nothing of a fact has left the log."""
        return fact not in self.model.removed

    # Strangers

    @precondition(lambda self: set(STRANGERS) - self.model.adopted)
    @rule(device=strangers)
    def adopt(self, device):
        before = self.model.due()
        work = self.outbox.desk.decide(lambda desk: desk.adopt(device))
        self.tally.verbs["adopt"] += self.attempt(work, lambda _: self.model.adopt(device))
        assert before is None or self.model.due() is not None

    @precondition(lambda self: any(self.model.held.values()))
    @rule(device=strangers)
    def ignore(self, device):
        def ignored(dropped):
            gone = self.model.ignore(device)
            assert gone == dropped.get(device, 0)
            self.tally.verbs["ignore"] += 1

        self.attempt(self.outbox.desk.decide(lambda desk: desk.ignore(device)), ignored)

    @precondition(lambda self: self.model.ignored)
    @rule(pick=picks)
    def notice(self, pick):
        device = sorted(self.model.ignored)[pick % len(self.model.ignored)]
        work = self.outbox.desk.decide(lambda desk: desk.notice(device))
        self.tally.verbs["notice"] += self.attempt(work, lambda _: self.model.ignored.discard(device))

    @precondition(lambda self: self.model.due())
    @rule(kill=kills)
    def settle_what_was_held(self, kill):
        device = self.model.due()

        def settled(piece):
            held = min(PIECE, len(self.model.held[device]))
            new, left = self.model.settle_piece(device)
            assert (new, held - new, 0, left) == (piece.new, piece.duplicates, piece.lettered, piece.left)
            self.tally.verbs["settle what was held"] += new

        self.attempt(self.outbox.desk.settle(self.intake.prepared), settled, kill=kill)

    # Persons

    @precondition(lambda self: any(row.person for row in self.model.log.values()) or self.model.held)
    @rule(person=people)
    def erase(self, person):
        def erased(told):
            entries = self.model.erase(person)
            assert entries == told["events"]
            self.tally.verbs["erase"] += entries > 0
            if not self.disk.is_troubled and not self.names(person):
                files = b"".join(path.read_bytes() for path in self.directory.iterdir())
                assert person.encode() not in files

        self.attempt(self.eraser.answer({"sure": True, "person": person}), erased)

    def names(self, person):
        """Say whether somebody is still in it: what was said of him in the lobby since then."""
        return any(one.person == person for held in self.model.held.values() for one in held)

    # Fate

    @rule(how=st.sampled_from(["full", "full", "the next commit fails", "room"]))
    def trouble_the_disk(self, how):
        if how == "full":
            self.disk.fill()
        elif how == "room":
            self.disk.make_room()
        else:
            self.disk.fails = True

    @rule(seconds=st.sampled_from([1, 40, 4_000]), jump=jumps, epoch=st.booleans())
    def let_time_pass(self, seconds, jump, epoch):
        """The steady clock goes on, and the instant jumps: by hours, by weeks, or to 1970."""
        self.hand.go(seconds)
        hours, synced = jump
        gone = timedelta(seconds=self.hand.gone_s - self.began_s)
        before = _EPOCH if epoch and not synced else START
        self.jump(before + gone + timedelta(hours=hours), synced=synced)

    @precondition(lambda self: self.alive > 2)
    @rule(crash=st.booleans())
    def die(self, crash):
        if crash:
            self.copy()
            self.tally.faults["crash"] += 1
            self.reopen_copy()
        else:
            self.tally.verbs["stop"] += 1
            self.stop()
            self.start()

    # The end

    def end_well(self):
        """With room, every sink gets exactly what it is owed, as it was said, and a fresh event still flows."""
        self.disk.make_room()
        self.state("counter-a", 1, 3, "")
        fresh = self.outbox.head
        for name, sink in self.model.sinks.items():
            position = self.positions[name]
            found = [entry.seq for entry in self.at_hand(position.cursor, self.outbox.head, 10_000)]
            for owed in position.arrears:
                if not owed.replay:
                    found += [entry.seq for entry in self.at_hand(owed.first, owed.last, 10_000)]
            assert sorted(sink.owed) == sorted(found), name
            assert fresh in found, name
        self.the_store_is_what_the_model_says()
        self.tally.verbs["end well"] += 1
