"""Send what a sink is owed, round by round, and note how far that has got.

Each round sends what is new first, then a piece of the arrears, then at most one letter that a person
wants to try again. A strict sink never has arrears of an outage: it sends everything in order.

What may come twice after a fault is bounded by the sink's window: the sum of what is in flight and what
was settled but is not yet on disk never exceeds it. Nothing is sent while what was sent cannot be noted.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway import clock
from gateway.errors import SinkUnavailable
from gateway.forwarder.rendering import Rendering
from gateway.outbox import Arrears, Entry, Flag, LogReader, Outbox, Position
from gateway.retry import Backoff, Pacer
from gateway.sink import Outgoing, Sink, StateSink

log = structlog.get_logger()

Letters = list[tuple[Entry, str]]

_ALL_FAIL = 3  # so many events in a row that a bug refuses are no longer about single events


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How a sink is driven."""

    live_first: bool
    start: str = "oldest"  # or "now"
    rate_per_s: float = 2_000  # of a backlog; 0 is no cap
    backoff: Backoff
    gather_s: float = 0.0  # after a small batch, how long the next one gathers; the first event never waits


class Draining:
    """Moves one sink's position; nobody else changes it while this lives."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        reader: LogReader,
        rendering: Rendering,
        pacing: Pacing,
        position: Position,
        on_rejected: Callable[[Letters], None],
    ) -> None:
        self.position = position
        self.hurry = False  # the gateway stops: the pace of a backlog no longer matters
        self.letters_asked = True  # letters marked before a restart are found at the first round
        self.last_delivery: datetime | None = None
        self.delivered_at: float | None = None  # the same in monotonic seconds: no clock that jumps moves it
        self.answered = False  # the far end has answered in this round
        self.wait_s = 0.0  # until the pace of a backlog allows more
        self.light = False  # this round sent far less than it could have
        self._sink = sink
        self._outbox = outbox
        self._reader = reader
        self._rendering = rendering
        self._live_first = pacing.live_first
        self._pacer = Pacer(pacing.rate_per_s)
        self._on_rejected = on_rejected
        self._failing = 0  # events in a row that a bug of ours has refused
        self._unsaved = 0  # delivered, and not known to be on disk
        self._unnoted = False  # the disk did not take the place with its letters: that comes before all else
        self._rejected: Letters = []
        self._answered: list[int] = []

    async def round(self) -> bool:
        """Send a piece of everything that is owed; True when there was something to do.

        Raises `SinkUnavailable`, or `StoreUnavailable` when nothing more may be sent for now.
        """
        if self._unnoted:
            await self.save()
        self.answered, self.wait_s, self.light = False, 0.0, False
        await self._catch_up_later()
        worked = await self._send_new()
        worked |= await self._send_arrears()
        worked |= await self._send_letter()
        return worked

    @property
    def owes(self) -> bool:
        """Something waits that could be sent."""
        new = self.position.cursor < self._outbox.head
        return new or bool(self.position.arrears) or self.letters_asked

    def note(self) -> None:
        """Have the place on disk soon."""
        if not self._unnoted:
            self._outbox.sinks.settle(self.position)

    async def save(self) -> None:
        """Put the place on disk with all that belongs to it."""
        self._unnoted = True
        await self._outbox.sinks.settle_now(self.position, self._rejected, self._answered)
        self._rejected, self._answered = [], []
        self._unnoted, self._unsaved = False, 0

    async def _catch_up_later(self) -> None:
        """Let a live-first sink go on at the head when it has fallen behind."""
        head = self._outbox.head
        if self._live_first and head - self.position.cursor > self._sink.window and self.position.jump(head):
            # Retention goes by what is on disk, so the leap is noted before anything behind it is sent.
            await self.save()

    async def _send_new(self) -> bool:
        position, head, limit = self.position, self._outbox.head, self._sink.window
        if position.cursor >= head:
            return False
        if head - position.cursor > limit:
            limit = self._paced(limit)
            if not limit:
                return False
        entries = self._outbox.recent(position.cursor, limit)
        if entries is None:
            entries = await self._reader.read(position.cursor, head, limit)
        if not entries:  # a hole: retention gave up what was here
            position.cursor = head
            self.note()
            return True

        def advance(up_to: int) -> None:
            position.cursor = up_to

        await self._deliver(entries, advance)
        self.light = len(entries) < self._sink.window // 2 and not position.arrears
        return True

    async def _send_arrears(self) -> bool:
        if not self.position.arrears:
            return False
        owed = self.position.arrears[0]
        limit = self._paced(self._sink.window)
        if not limit:
            return False  # new events are looked at meanwhile
        entries = await self._reader.read(owed.first, owed.last, limit)
        if not entries:
            self.position.advance_arrears(owed, owed.last)
            self.note()
            return True
        left: Arrears | None = owed

        def advance(up_to: int) -> None:
            nonlocal left
            if left is not None:
                left = self.position.advance_arrears(left, up_to)

        await self._deliver(entries, advance, replay=owed.replay)
        return True

    async def _send_letter(self) -> bool:
        if not self.letters_asked:
            return False
        letter = await self._reader.to_retry(self._sink.name)
        if letter is None or letter.entry is None:
            self.letters_asked = False
            return False
        rejected = await self._send([letter.entry])
        if rejected:
            reason, number = rejected[0], letter.number
            await self._outbox.write(
                lambda conn: conn.execute(
                    "UPDATE letters SET retry = 0, reason = ? WHERE number = ?", (reason, number)
                )
            )
        else:
            self.position.answer_letter(letter.entry.device)
            self._answered.append(letter.number)
            await self.save()
        return True

    async def _deliver(
        self, entries: Sequence[Entry], advance: Callable[[int], None], *, replay: bool = False
    ) -> None:
        """Send a batch and note how it went; the place moves past what was settled and not further."""
        if self._outbox.sinks.is_settled(self._sink.name):
            self._unsaved = 0
        elif self._unsaved + len(entries) > self._sink.window:
            await self.save()
        try:
            rejected = await self._send(entries)
        except SinkUnavailable as error:
            if error.delivered:
                self._count(entries[: error.delivered], {}, replay=replay)
                advance(entries[error.delivered - 1].seq)
                self.delivered_at = time.monotonic()
                await self.save()
            raise
        self._count(entries, rejected, replay=replay)
        advance(entries[-1].seq)
        self.last_delivery = clock.now()
        self.delivered_at = time.monotonic()
        self._unsaved += len(entries)
        if rejected:
            await self._reject([(entries[index], reason) for index, reason in rejected.items()], replay)
        else:
            self.note()

    async def _send(self, entries: Sequence[Entry]) -> Mapping[int, str]:
        now = clock.now_ms()
        try:
            rejected = await self._sink.send([self._render(entry, now) for entry in entries])
            self._failing = 0
        except SinkUnavailable:
            raise
        except Exception:  # a bug of ours: the event that it is about must not hold up the others for ever
            log.exception("sink_failed", sink=self._sink.name, events=len(entries))
            rejected = await self._one_by_one(entries, now)
        self.answered = True
        if rejected and not clock.plausible() and not isinstance(self._sink, StateSink):
            # What is signed with a time that cannot be is refused by all who look at it; none of it is given up for that.
            sentence = f"events are refused: {next(iter(rejected.values()))}"
            raise SinkUnavailable(sentence, delivered=min(rejected))
        return rejected

    async def _one_by_one(self, entries: Sequence[Entry], now: int) -> Mapping[int, str]:
        """Send alone what failed together; an event that fails alone is refused, unless all of them do."""
        rejected: dict[int, str] = {}
        for index, entry in enumerate(entries):
            try:
                refused = await self._sink.send([self._render(entry, now)])
            except SinkUnavailable as error:
                error.delivered = min(rejected, default=index)
                raise
            except Exception as bug:  # see `_send`
                if self._failing >= _ALL_FAIL:
                    sentence = f"The gateway fails on every event ({type(bug).__name__})."
                    raise SinkUnavailable(sentence, delivered=min(rejected, default=index)) from bug
                self._failing += 1
                rejected[index] = f"the gateway failed on it ({type(bug).__name__}: {bug})"
            else:
                self._failing = 0
                rejected |= {index + place: reason for place, reason in refused.items()}
        return rejected

    def _render(self, entry: Entry, now: int) -> Outgoing:
        """Write an entry; how long it waited is no matter of a clock that was wrong when it came, or is now."""
        if clock.trusted() and not entry.flags & Flag.UNSYNCED:
            return self._rendering.render(entry, now)
        waited_s = self._outbox.waited_s(entry.seq)
        if waited_s is None:
            # Of an earlier life. An age that cannot be, or is long, may be a jump; it is no event to act on either way.
            apart_ms = now - entry.received
            return self._rendering.render(entry, now, math.inf if apart_ms < 0 else apart_ms)
        return self._rendering.render(entry, now, waited_s * 1000)

    def _count(self, entries: Sequence[Entry], rejected: Mapping[int, str], *, replay: bool) -> None:
        if replay:
            self.position.replayed += len(entries) - len(rejected)
        elif not rejected:
            self.position.settle(entry.device for entry in entries)
        else:
            taken = [entry.device for index, entry in enumerate(entries) if index not in rejected]
            self.position.settle(taken, [entries[index].device for index in rejected])

    async def _reject(self, letters: Letters, replay: bool) -> None:
        self._on_rejected(letters)
        # A replayed event has its place in the account already; its letter would be counted twice.
        if not replay:
            self._rejected += letters
        await self.save()

    def _paced(self, limit: int) -> int:
        """Say how many events the pace of a backlog allows now; if none, note when there will be some."""
        if self.hurry:
            return limit
        allowed, wait_s = self._pacer.take(limit, time.monotonic())
        if not allowed:
            self.wait_s = wait_s or self.wait_s
        return allowed
