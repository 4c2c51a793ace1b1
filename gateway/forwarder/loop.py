"""Drain the log into one sink: its own pace, its own outage, its own place.

Each round sends what is new first, then a piece of the arrears, then at most one letter that a person
wants to try again. A strict sink never has arrears of an outage: it sends everything in order.

What may come twice after a fault is bounded by the sink's window: the sum of what is in flight and what
was settled but is not yet on disk never exceeds it.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import structlog

from gateway.errors import SinkUnavailable, StoreUnavailable
from gateway.faults import Faults
from gateway.forwarder.rendering import Rendering
from gateway.outbox import Arrears, Entry, LogReader, Outbox, Position, milliseconds
from gateway.retry import Backoff, Pacer
from gateway.sink import Outgoing, Sink

log = structlog.get_logger()

# While there is nothing to send, how often the sink is asked whether it still has its far end.
_IDLE_CHECK_S = 1.0
_FAULTS = ("sink_unavailable", "mqtt_", "https_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How a sink is driven."""

    live_first: bool
    start: str = "oldest"  # or "now"
    rate_per_s: float = 2_000  # of a backlog; 0 is no cap
    backoff: Backoff


class Forwarder:
    """One sink's loop."""

    def __init__(
        self,
        sink: Sink,
        outbox: Outbox,
        rendering: Rendering,
        pacing: Pacing,
        faults: Faults,
        rng: random.Random,
    ) -> None:
        self.sink = sink
        self.position: Position | None = None
        self.paused_until = 0.0  # monotonic
        self.last_error: str | None = None
        self.last_delivery: datetime | None = None
        self.progress = time.monotonic()  # the loop came round; a hung sink shows here
        self._outbox = outbox
        self._rendering = rendering
        self._pacing = pacing
        self._faults = faults
        self._rng = rng
        self._pacer = Pacer(pacing.rate_per_s)
        self._wake = anyio.Event()  # there may be something to send
        self._poke = anyio.Event()  # a person or the daemon wants something
        self._stop_by: float | None = None
        self._letters_asked = True  # letters marked before a restart are found at the first round
        self._unsaved = 0

    # Control, called from other tasks of the same loop

    def wake(self) -> None:
        """Look at the log again."""
        self._wake.set()

    def stop(self, grace_s: float) -> None:
        """Send what waits for so long, put the place on disk, leave; `run` ends then."""
        self._stop_by = time.monotonic() + grace_s
        self._poked()

    def _poked(self) -> None:
        self._wake.set()
        self._poke.set()

    def try_now(self) -> None:
        """Forget the backoff and a stop that the far end asked for: a person wants a try."""
        self.paused_until = 0.0
        if self.position is not None:
            self.position.attempts = 0
            self.position.retry_at = 0
            self.position.stopped = None
        self._poked()

    def letters_asked(self) -> None:
        """Look for letters that are to be tried again."""
        self._letters_asked = True
        self._poked()

    def replay(self, first: int, last: int) -> None:
        """Send the range (first, last] once more, beside everything else."""
        if self.position is not None:
            self.position.arrears.append(Arrears(first, last, replay=True))
            self._outbox.settle(self.position)
            self._poked()

    # The loop

    async def run(self) -> None:
        """Forward until `stop`."""
        name = self.sink.name
        self.position = await self._outbox.enlist(name, start=self._pacing.start, window=self.sink.window)
        self._resume_backoff(self.position)
        reader = LogReader(self._outbox.path)
        self._outbox.follow(self.wake)
        try:
            while not await self._rest():
                await self._session(self.position, reader)
        finally:
            self._outbox.unfollow(self.wake)
            reader.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(3):
                await self.sink.close()

    async def _session(self, position: Position, reader: LogReader) -> None:
        """Reach the far end and send until something fails or the gateway stops."""
        try:
            await self.sink.open()
            await self._drain(position, reader)
        except SinkUnavailable as error:
            await self._failed(position, error)
        except StoreUnavailable as error:
            # Nothing more may be sent than what can be noted as sent; the store's own fault says why.
            log.warning("forwarding_paused", sink=self.sink.name, reason=str(error))
            self.paused_until = time.monotonic() + 1

    async def _drain(self, position: Position, reader: LogReader) -> None:
        while True:
            self.progress = time.monotonic()
            self._wake = anyio.Event()
            self._catch_up_later(position)
            worked = await self._send_new(position, reader)
            worked |= await self._send_arrears(position, reader)
            worked |= await self._send_letter(position, reader)
            if self._stop_by is not None and (not worked or time.monotonic() > self._stop_by):
                await self._outbox.settle_now(position)
                return
            # Only now: an HTTPS sink opens without a request, and a backoff must grow until one is answered.
            self._reached(position)
            if worked:
                continue
            if not self.sink.connected:
                raise SinkUnavailable("The connection was lost.")
            with anyio.move_on_after(_IDLE_CHECK_S):
                await self._wake.wait()

    def _catch_up_later(self, position: Position) -> None:
        """Let a live-first sink go on at the head when it has fallen behind."""
        fallen_behind = self._outbox.head - position.cursor > self.sink.window
        if self._pacing.live_first and fallen_behind and position.jump(self._outbox.head):
            self._outbox.settle(position)

    async def _send_new(self, position: Position, reader: LogReader) -> bool:
        head = self._outbox.head
        if position.cursor >= head:
            return False
        limit = self.sink.window
        behind = head - position.cursor > limit
        if behind:
            limit = await self._paced(limit)
        entries = self._outbox.recent(position.cursor, limit)
        if entries is None:
            entries = await reader.read(position.cursor, head, limit)
        if not entries:  # a hole: retention gave up what was here
            position.cursor = head
            return True

        def advance(up_to: int) -> None:
            position.cursor = up_to

        await self._deliver(position, entries, advance)
        return True

    async def _send_arrears(self, position: Position, reader: LogReader) -> bool:
        if not position.arrears:
            return False
        owed = position.arrears[0]
        limit = await self._paced(self.sink.window, patient=False)
        if not limit:
            return False  # the pace allows nothing yet; new events are looked at meanwhile
        entries = await reader.read(owed.first, owed.last, limit)
        if not entries:
            position.advance_arrears(owed, owed.last)
            self._outbox.settle(position)
            return True
        current: Arrears | None = owed

        def advance(up_to: int) -> None:
            nonlocal current
            if current is not None:
                current = position.advance_arrears(current, up_to)

        await self._deliver(position, entries, advance, replay=owed.replay)
        return True

    async def _send_letter(self, position: Position, reader: LogReader) -> bool:
        if not self._letters_asked:
            return False
        letter = await reader.to_retry(self.sink.name)
        if letter is None or letter.entry is None:
            self._letters_asked = False
            return False
        rejected = await self.sink.send([self._render(letter.entry)])
        if rejected:
            reason = rejected[0]
            await self._outbox.write(
                lambda conn: conn.execute(
                    "UPDATE letters SET retry = 0, reason = ? WHERE number = ?", (reason, letter.number)
                )
            )
        else:
            position.lettered -= 1
            position.delivered += 1
            await self._outbox.settle_now(position, answered=[letter.number])
        return True

    async def _deliver(
        self,
        position: Position,
        entries: Sequence[Entry],
        advance: Callable[[int], None],
        *,
        replay: bool = False,
    ) -> None:
        """Send a batch and note how it went; the place moves past what was settled and not further."""
        if not self._outbox.is_settled(position.name):
            if self._unsaved + len(entries) > self.sink.window:
                await self._outbox.settle_now(position)
                self._unsaved = 0
        else:
            self._unsaved = 0
        try:
            rejected = await self.sink.send([self._render(entry) for entry in entries])
        except SinkUnavailable as error:
            if error.delivered:
                self._count(position, error.delivered, 0, replay=replay)
                advance(entries[error.delivered - 1].seq)
                await self._outbox.settle_now(position)
            raise
        self._count(position, len(entries) - len(rejected), len(rejected), replay=replay)
        advance(entries[-1].seq)
        self.last_delivery = datetime.now(UTC)
        self._unsaved += len(entries)
        if rejected:
            await self._reject(
                position, [(entries[index], reason) for index, reason in rejected.items()], replay
            )
        else:
            self._outbox.settle(position)

    def _count(self, position: Position, delivered: int, rejected: int, *, replay: bool) -> None:
        if replay:
            position.replayed += delivered
        else:
            position.delivered += delivered
            position.lettered += rejected

    async def _reject(self, position: Position, letters: list[tuple[Entry, str]], replay: bool) -> None:
        first = letters[0]
        self._faults.report(
            "sink_rejects",
            self.sink.name,
            f"Sink {self.sink.name} refuses events for good, the latest from {first[0].device}: {first[1]}",
        )
        log.error(
            "event_rejected", sink=self.sink.name, count=len(letters), event_id=first[0].id, reason=first[1]
        )
        # A replayed event has its place in the account already; its letter would be counted twice.
        await self._outbox.settle_now(position, rejected=[] if replay else letters)

    def _render(self, entry: Entry) -> Outgoing:
        return self._rendering.render(entry, milliseconds(datetime.now(UTC)))

    # Pace, backoff, rest

    async def _paced(self, limit: int, *, patient: bool = True) -> int:
        """Say how many events the pace of a backlog allows now; wait for the first one if patient."""
        if self._stop_by is not None:
            return limit
        allowed, wait_s = self._pacer.take(limit, time.monotonic())
        while not allowed and patient:
            await anyio.sleep(wait_s)
            allowed, wait_s = self._pacer.take(limit, time.monotonic())
        return allowed

    def _reached(self, position: Position) -> None:
        if self.last_error is None and not position.attempts:
            return
        if position.attempts:
            log.info("sink_reached", sink=self.sink.name, after_attempts=position.attempts)
            position.attempts = 0
            position.retry_at = 0
            self._outbox.settle(position)
        self.last_error = None
        self._faults.clear_subject(self.sink.name, _FAULTS)

    async def _failed(self, position: Position, error: SinkUnavailable) -> None:
        position.attempts = 1 if error.delivered else position.attempts + 1
        self.last_error = str(error)
        delay_s = self._pacing.backoff.delay(position.attempts, self._rng, retry_after_s=error.retry_after_s)
        if error.stop:
            position.stopped = str(error)
        position.retry_at = milliseconds(datetime.now(UTC)) + int(delay_s * 1000)
        self.paused_until = time.monotonic() + delay_s
        self._faults.report(error.fault, self.sink.name, f"Sink {self.sink.name}: {error}")
        log.warning(
            "sink_unavailable",
            sink=self.sink.name,
            reason=str(error),
            attempts=position.attempts,
            next_try_s=round(delay_s, 1),
        )
        self._outbox.settle(position)

    def _resume_backoff(self, position: Position) -> None:
        """Wait out a backoff that began before the restart; a clock that jumped never makes it longer than the cap."""
        left_s = self._pacing.backoff.remaining(position.retry_at / 1000, datetime.now(UTC).timestamp())
        if position.attempts:
            self.paused_until = time.monotonic() + left_s
        if position.stopped is not None:
            self._faults.report("https_gone", self.sink.name, position.stopped)

    async def _rest(self) -> bool:
        """Wait until the next try is due; True when the gateway stops instead."""
        while self._stop_by is None:
            self.progress = time.monotonic()
            stopped = self.position is not None and self.position.stopped is not None
            left_s = self.paused_until - time.monotonic()
            if left_s <= 0 and not stopped:
                return False
            self._poke = anyio.Event()
            with anyio.move_on_after(1.0 if stopped else min(left_s, 1.0)):
                await self._poke.wait()
        return True
