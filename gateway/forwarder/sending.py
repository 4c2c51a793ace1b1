"""Hand a batch to the sink, and find out what of it is refused for good, whatever fails in between.

A bug of ours that one event meets must not hold up the others; a time that cannot be must not cost an event.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from gateway import clock
from gateway.errors import SinkUnavailable
from gateway.forwarder.rendering import Rendering
from gateway.forwarder.witness import Witness
from gateway.outbox import Entry, Flag, LogReader, Outbox
from gateway.outbox.nameless import entry_without_person
from gateway.sink import Outgoing, Sink, StateSink

log = structlog.get_logger()

_ALL_FAIL = 3  # so many events in a row that a bug refuses are no longer about single events


class Sending:
    """Speaks with one sink about events; it moves no place."""

    def __init__(self, sink: Sink, outbox: Outbox, reader: LogReader, rendering: Rendering) -> None:
        self.answered = False  # the far end has answered; set back by whoever looks
        self.witness = Witness(sink.name, reader, self._send_alone, self._note_ahead)
        self._sink = sink
        self._outbox = outbox
        self._rendering = rendering
        self._failing = 0  # events in a row that a bug of ours has refused
        self._amended: set[int] = set()  # entries that were read in this round, and have lost a person since
        self._out: Sequence[Entry] = ()  # what the sink has in hand, and how it was written for it
        self._batch: list[Outgoing] = []

    def begin(self) -> None:
        """Begin a round: from now on nothing is sent that was read before."""
        self.answered = False
        self._amended = set()

    def amended(self, seqs: Collection[int]) -> None:
        """Take a person out of what was read, and out of what the sink has in hand and has not let go of."""
        self._amended.update(seqs)
        now = clock.now_ms()
        for index, entry in enumerate(self._out):
            if entry.seq in self._amended:
                self._batch[index] = replace(self._batch[index], payload=self._render(entry, now).payload)

    async def send(self, entries: Sequence[Entry], last: int) -> Mapping[int, str]:
        """Give what the far end refuses for good, by index; what these events are part of ends with ``last``.

        Raises `SinkUnavailable` when all of it, or what follows the delivered ones, is to be sent again.
        """
        now, could_be = clock.now_ms(), clock.plausible()
        try:
            rejected = await self._hand_over(entries, now)
            self._failing = 0
        except SinkUnavailable:
            raise
        except Exception:  # a bug of ours: the event that it is about must not hold up the others for ever
            log.exception("sink_failed", sink=self._sink.name, events=len(entries))
            rejected = await self._one_by_one(entries, now, last)
        return self._believed(rejected, len(entries), could_be)

    async def send_letter(self, entry: Entry) -> str | None:
        """Send alone what was refused before; give the reason when it is refused again.

        It stays a letter then, so nothing is in doubt: neither the far end nor a bug of ours is judged by it.
        Raises `SinkUnavailable` when it is to be sent again.
        """
        could_be = clock.plausible()
        try:
            rejected = await self._hand_over([entry], clock.now_ms(), again=True)
        except SinkUnavailable:
            raise
        except Exception as bug:  # a bug of ours may raise anything, and the letter is there to be looked at
            log.exception("sink_failed", sink=self._sink.name, events=1)
            return _failed_on_it(bug)
        return self._believed(rejected, 1, could_be).get(0)

    async def _send_alone(self, entry: Entry) -> Mapping[int, str]:
        return await self._hand_over([entry], clock.now_ms())

    async def _note_ahead(self, entry: Entry) -> None:
        await self._outbox.sinks.offer_ahead(self._sink.name, entry.seq)

    async def _hand_over(
        self, entries: Sequence[Entry], now: int, *, again: bool = False
    ) -> Mapping[int, str]:
        """Have the sink send entries; a person who is erased meanwhile is taken out of what has not left."""
        self._batch = [self._render(entry, now) for entry in entries]
        if again:
            self._batch = [replace(event, again=True) for event in self._batch]
        self._out = entries
        self._outbox.sinks.offer(self._sink.name, entries[0].seq, entries[-1].seq)
        try:
            return await self._sink.send(self._batch)
        finally:
            self._out, self._batch = (), []

    def _believed(self, rejected: Mapping[int, str], events: int, could_be: bool) -> Mapping[int, str]:
        """Give the refusals of an answer, unless the clock can be the reason; ``could_be`` is how it was when they left."""
        self.answered = True
        by_clock = not could_be and (clock.plausible() or len(rejected) == events)
        if rejected and by_clock and not isinstance(self._sink, StateSink):
            # What is signed with a time that cannot be is refused by all who look at it; none of it is given up for that.
            # An event that is taken proves that it was no matter of the time, unless the clock was set in between.
            sentence = f"events are refused: {next(iter(rejected.values()))}"
            raise SinkUnavailable(sentence, delivered=min(rejected))
        return rejected

    async def _one_by_one(self, entries: Sequence[Entry], now: int, last: int) -> Mapping[int, str]:
        """Send alone what failed together; an event that fails alone is refused, unless all of them do."""
        rejected: dict[int, str] = {}
        single = False  # a later event gets through: it is about single events after all
        for index, entry in enumerate(entries):
            try:
                refused = await self._hand_over([entry], now)
            except SinkUnavailable as error:
                error.delivered = min(rejected, default=index)
                error.refused = {}  # by their places in a call of one, and not in this batch
                raise
            except Exception as bug:  # a bug of ours may raise anything; alone, it costs this event alone
                if self._failing >= _ALL_FAIL and not single:
                    single = await self.witness.gets_through(entry, last)
                if self._failing >= _ALL_FAIL and not single:
                    sentence = f"The gateway fails on every event ({type(bug).__name__})."
                    raise SinkUnavailable(sentence, delivered=min(rejected, default=index)) from bug
                self._failing += 1
                rejected[index] = _failed_on_it(bug)
            else:
                self._failing = 0
                rejected |= {index + place: reason for place, reason in refused.items()}
        return rejected

    def _render(self, entry: Entry, now: int) -> Outgoing:
        """Write an entry; how long it waited is no matter of a clock that was wrong when it came, or is now."""
        if entry.seq in self._amended:
            entry = entry_without_person(entry)
        if clock.trusted() and not entry.flags & Flag.UNSYNCED:
            return self._rendering.render(entry, now)
        waited_s = self._outbox.waited_s(entry.seq)
        if waited_s is None:
            # Of an earlier life. An age that cannot be, or is long, may be a jump; it is no event to act on either way.
            apart_ms = now - entry.received
            return self._rendering.render(entry, now, math.inf if apart_ms < 0 else apart_ms)
        return self._rendering.render(entry, now, waited_s * 1000)


def _failed_on_it(bug: Exception) -> str:
    return f"the gateway failed on it ({type(bug).__name__}: {bug})"
