"""What must hold after every step of a life: the store says what the model says, in every table."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis.stateful import invariant
from keeping import audited, data_of
from outbox_life import Life
from outbox_model import KNOWN, STRANGERS, Row, Said

from gateway.outbox import Flag, held, letters, reading

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIGURES = ("delivered", "lettered", "expired")


def ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def value_of(body: str) -> int:
    data = data_of(body)
    return int(data["enters"] if "enters" in data else data["score"])


def row_of(row: Row) -> tuple[object, ...]:
    said = row.said
    return said.fact.device, ms(said.fact.time), said.value, ms(said.received), said.unsynced, row.erased


class TrueLife(Life):
    """A life that is held against the model after each step."""

    @invariant()
    def the_store_is_what_the_model_says(self):
        """All of it, in one order, so that a life that ends here is known to be sound."""
        self.the_log_is_what_was_said()
        self.nobody_is_in_the_log_who_was_erased()
        self.the_newest_statement_counts()
        self.the_lobby_holds_what_strangers_said()
        self.the_accounts_balance()
        self.ages_go_by_the_steady_clock()
        self.sound = True

    def the_log_is_what_was_said(self):
        """Each entry: whose it is, what it says, when it came, whether by a clock that was right, and who is in it."""
        found = {
            seq: (
                device,
                time,
                value_of(body),
                received,
                bool(flags & Flag.UNSYNCED),
                bool(flags & Flag.ERASED),
            )
            for seq, device, time, body, received, flags in self.ask(
                "SELECT seq, device, time, body, received, flags FROM events"
            )
        }
        assert {seq: row_of(row) for seq, row in self.model.log.items()} == found
        assert self.model.head == self.outbox.head

    def nobody_is_in_the_log_who_was_erased(self):
        """Who is in an entry, and in no other; an erased person is in none, in no letter, and not in the lobby."""
        for seq, personal in self.ask("SELECT seq, personal FROM events"):
            expected = self.model.log[seq].person
            assert (expected is None) == (personal is None), (seq, expected, personal)
            assert expected is None or f'"user_id":"{expected}"' in personal
        with reading.looking(self.directory) as conn:
            for name, sink in self.model.sinks.items():
                kept = {one.entry.seq: one.entry.personal for one in letters.find(conn, sink=name)}
                assert {seq: who is None for seq, who in sink.letters.items()} == {
                    seq: who is None for seq, who in kept.items()
                }

    def the_newest_statement_counts(self):
        """Days, lifetimes and the book are what the newest statements say, each fact once."""
        days = {
            (device, day, measure): n for device, day, measure, n in self.ask("SELECT * FROM tallies") if n
        }
        assert {owner: n for owner, n in self.model.sums.items() if n} == days
        lives = {
            (device, measure): high
            for device, measure, high in self.ask("SELECT device, measure, high FROM lifetimes")
            if high
        }
        assert {owner: high for owner, high in self.model.high.items() if high} == lives
        book = self.ask("SELECT id, duplicates FROM devices")
        assert self.model.in_book == {device for device, _ in book}
        assert +self.model.duplicates == +Counter(dict(book))
        assert self.model.head == (self.ask("SELECT sum(events) FROM devices")[0][0] or 0)

    def the_lobby_holds_what_strangers_said(self):
        """In their order, with their own receipt, and nobody who was erased."""
        with reading.looking(self.directory) as conn:
            for device in (*KNOWN, *STRANGERS):
                expected = [_held(one) for one in self.model.held.get(device, [])]
                found = [
                    (
                        one.received,
                        one.unsynced,
                        value_of(one.text),
                        one.event.revision,
                        one.event.personal.get("user_id"),
                    )
                    for one in held.first_of(conn, device, 1_000)
                ]
                assert expected == found
        waiting = [len(one) for one in self.model.held.values() if one]
        assert (len(waiting), sum(waiting)) == (self.outbox.desk.lobby.devices, self.outbox.desk.lobby.events)

    def the_accounts_balance(self):
        """Of every sink in memory, and on disk by device, where a forwarder's last steps may still be missing."""
        for name, sink in self.model.sinks.items():
            position = self.positions[name]
            ours = position.delivered, position.expired, position.lettered
            assert (sink.delivered, sink.expired, sink.lettered) == ours, name
            with reading.looking(self.directory) as conn:
                in_log = reading.count_owed(conn, position, self.outbox.head)
            assert len(sink.owed) == position.waiting(self.outbox.head) == in_log, name
            found = audited(self.directory, name)
            told = {(device, figure): row[figure] for device, row in found.items() for figure in _FIGURES}
            assert +self.model.on_disk[name].by_device == +Counter(told), name

    def ages_go_by_the_steady_clock(self):
        """However the instant jumps: an entry has waited for as long as it has waited, rounded up by a second."""
        for seq in range(max(1, self.model.head - 20), self.model.head + 1):
            waited, came = self.outbox.waited_s(seq), self.came.get(seq)
            if came is None:
                assert waited is None, seq
            else:
                gone_s = self.hand.gone_s - came
                assert gone_s <= waited <= gone_s + 1.001, seq


def _held(said: Said) -> tuple[object, ...]:
    return ms(said.received), said.unsynced, said.value, said.revision, said.person
