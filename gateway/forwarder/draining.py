"""Send what a sink is owed, round by round, and note how far that has got.

Each round sends what is new first, then a piece of the arrears, then at most one letter that a person
wants to try again. A strict sink never has arrears of an outage: it sends everything in order.

What may come twice after a fault is bounded by the sink's window: the sum of what is in flight and what
was settled but is not yet on disk never exceeds it. Nothing is sent while what was sent cannot be noted.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway import clock
from gateway.errors import GatewayError, SinkUnavailable, StoreUnavailable
from gateway.forwarder.rendering import Rendering
from gateway.forwarder.sending import Sending
from gateway.outbox import Arrears, Entry, LogReader, Outbox, Position
from gateway.outbox.positions import MAX_REPLAYS
from gateway.retry import Backoff, Pacer
from gateway.sink import Sink

Letters = list[tuple[Entry, str]]


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
        self.wait_s = 0.0  # until the pace of a backlog allows more
        self.light = False  # this round sent far less than it could have
        self._sink = sink
        self._outbox = outbox
        self._reader = reader
        self._sending = Sending(sink, outbox, reader, rendering)
        self._live_first = pacing.live_first
        self._pacer = Pacer(pacing.rate_per_s)
        self._on_rejected = on_rejected
        self._took = False  # the far end has taken something in this round
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
        self._sending.begin()
        self.light = self._took = False
        self.wait_s = 0.0
        await self._catch_up_later()
        worked = await self._send_new()
        worked |= await self._send_arrears()
        worked |= await self._send_letter()
        return worked

    @property
    def answered(self) -> bool:
        """The far end has answered in this round."""
        return self._sending.answered

    @property
    def owes(self) -> bool:
        """Something waits that could be sent."""
        new = self.position.cursor < self._outbox.head
        return new or bool(self.position.arrears) or self.letters_asked

    def amended(self, seqs: Collection[int]) -> None:
        """Send these entries of the log as they are now, whatever of them is in hand."""
        self._sending.amended(seqs)

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

    async def owe_again(self, first: int, last: int) -> None:
        """Owe the range (first, last] once more; it is on disk when this returns.

        Raises `GatewayError` when too many ranges wait already, or `StoreUnavailable` when it cannot be noted.
        """
        before = [*self.position.arrears]
        if not self.position.ask_again(first, last):
            raise GatewayError(
                f"Sink {self._sink.name} has {MAX_REPLAYS} ranges to send again already, and no room for another:"
                " ask again when some of them are sent."
            )
        try:
            await self.save()
        except StoreUnavailable:
            self.position.arrears = before  # who asked is told that it was not noted
            raise

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

        await self._deliver(entries, advance, head)
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

        await self._deliver(entries, advance, owed.last, replay=owed.replay)
        return True

    async def _send_letter(self) -> bool:
        if not self.letters_asked:
            return False
        letter = await self._reader.to_retry(self._sink.name)
        if letter is None:
            self.letters_asked = False
            return False
        entry = letter.entry
        if entry is None:
            await self._keep_letter(letter.number, "It was damaged by the disk and cannot be sent any more.")
            return True
        reason = await self._sending.send_letter(entry)
        if reason is not None:
            await self._keep_letter(letter.number, reason)
        else:
            self.position.answer_letter(entry.device)
            self._answered.append(letter.number)
            await self.save()
        return True

    async def _keep_letter(self, number: int, reason: str) -> None:
        await self._outbox.write(
            lambda conn: conn.execute(
                "UPDATE letters SET retry = 0, reason = ? WHERE number = ?", (reason, number)
            )
        )

    async def _deliver(
        self, entries: Sequence[Entry], advance: Callable[[int], None], last: int, *, replay: bool = False
    ) -> None:
        """Send a batch and note how it went; the place moves past what was settled and not further.

        What it is part of ends with ``last``.
        """
        if self._outbox.sinks.is_settled(self._sink.name):
            self._unsaved = 0
        elif self._unsaved + len(entries) > self._sink.window:
            await self.save()
        try:
            rejected = await self._sending.send(entries, last)
        except SinkUnavailable as error:
            if not error.refused or not await self._hold(error.refused, entries, last):
                await self._note_head(error, entries, advance, replay)
                raise
            rejected, entries = error.refused, entries[: len(error.refused)]
            self._sending.answered = True
        self._count(entries, rejected, replay=replay)
        advance(entries[-1].seq)
        self.last_delivery = clock.now()
        self.delivered_at = time.monotonic()
        self._unsaved += len(entries)
        self._took |= len(rejected) < len(entries)
        if rejected:
            await self._reject([(entries[index], reason) for index, reason in rejected.items()], replay)
        else:
            self.note()

    async def _note_head(
        self,
        error: SinkUnavailable,
        entries: Sequence[Entry],
        advance: Callable[[int], None],
        replay: bool,
    ) -> None:
        """Note what was taken before a fault."""
        if error.delivered:
            self._count(entries[: error.delivered], {}, replay=replay)
            advance(entries[error.delivered - 1].seq)
            self.delivered_at = time.monotonic()
            await self.save()

    async def _hold(self, refused: Mapping[int, str], entries: Sequence[Entry], last: int) -> bool:
        """Say whether doubtful refusals are to be believed, because the far end takes something else now."""
        if self._took:  # arrears, right behind something new
            return True
        # As long as a part of the batch was not asked about, the sink looks further by itself.
        return len(refused) == len(entries) and await self._sending.witness.is_taken(entries, last)

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
