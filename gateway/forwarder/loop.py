"""Drive one sink: reach its far end, drain the log into it, wait out its outages.

The loop's own task is the only one that changes the sink's position; what other tasks want is asked for
and done at its next turn.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio
import structlog

from gateway import clock
from gateway.errors import GatewayError, SinkUnavailable, StoreUnavailable
from gateway.faults import Faults
from gateway.forwarder.draining import Draining, Letters, Pacing
from gateway.forwarder.rendering import Rendering
from gateway.outbox import LogReader, Outbox, Position, StoreDamaged
from gateway.sink import Sink, StateSink

log = structlog.get_logger()

# While there is nothing to send, how often the sink is asked whether it still has its far end.
_IDLE_CHECK_S = 1.0
_STORE_PAUSE_S = 1.0
_CLOSE_S = 3.0
_FAULTS = ("sink_unavailable", "mqtt_", "https_")
_OF_CLOCKS = ("_tls", "_login", "_rejects_all")  # a far end says these, too, when our clock is wrong
_MAX_REQUESTS = 100
_LONGEST_WISH_S = 3960.0  # an hour of Retry-After, and its spread
_NOTED_S = 8.0  # a person at a terminal waits for a little more

Request = Callable[[Draining], Awaitable[None]]


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
        self.progress = time.monotonic()  # the loop came round; a hung sink shows here
        self._began = time.monotonic()
        self._outbox = outbox
        self._rendering = rendering
        self._pacing = pacing
        self._faults = faults
        self._rng = rng
        self._draining: Draining | None = None
        self._requests: list[Request] = []
        self._wake = anyio.Event()  # there may be something to send
        self._poke = anyio.Event()  # a person or the daemon wants something
        self._stop_by: float | None = None
        self._blames_clock = False
        self._troubled = True  # what an earlier life reported is cleared by the first answer, too

    @property
    def last_delivery(self) -> datetime | None:
        """When the far end last took something."""
        return self._draining.last_delivery if self._draining else None

    def stuck_s(self) -> float:
        """Say for how long something has waited and nothing has left; 0 while nothing waits.

        What waits since an earlier life counts from the start of this one: nobody has tried longer.
        """
        position = self.position
        if position is None or not position.waiting(self._outbox.head):
            return 0.0
        now = time.monotonic()
        waited_s = self._outbox.waited_s(position.settled_up_to() + 1)
        delivered = self._draining.delivered_at if self._draining else None
        quiet_s = now - max(self._began, delivered or self._began)
        return quiet_s if waited_s is None else min(quiet_s, waited_s)

    @property
    def works(self) -> bool | None:
        """The far end is there and its last answer was no refusal; None when it was never asked."""
        if self.last_error is not None or not self.sink.connected:
            return False
        # Without a session only an answer proves anything.
        return True if isinstance(self.sink, StateSink) or self.last_delivery else None

    # Control, called from other tasks of the same loop

    def wake(self) -> None:
        """Look at the log again."""
        self._wake.set()

    def stop(self, grace_s: float) -> None:
        """Send what waits for so long, put the place on disk, leave; `run` ends then."""
        self._stop_by = time.monotonic() + grace_s
        self._poked()

    def try_now(self) -> None:
        """Forget the backoff and a stop that the far end asked for: a person wants a try."""

        async def forgive(draining: Draining) -> None:
            self.paused_until = 0.0
            position = draining.position
            position.attempts, position.retry_at, position.stopped = 0, 0, None
            draining.note()

        self._ask(forgive)

    def clock_set(self) -> None:
        """Try again what a wrong clock can have been the reason of: certificates and signatures go by it."""
        if self._blames_clock:
            self.paused_until = 0.0
            self._poked()

    def letters_asked(self) -> None:
        """Look for letters that are to be tried again."""

        async def look(draining: Draining) -> None:
            draining.letters_asked = True

        self._ask(look)

    async def replay(self, first: int, last: int) -> None:
        """Send the range (first, last] once more, beside everything else; that is on disk when this returns.

        Raises `GatewayError` when there is no room for another range, or it could not be noted.
        """
        noted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def owe(draining: Draining) -> None:
            if noted.done():
                return  # nobody waits for it any more, and was told so
            try:
                await draining.owe_again(first, last)
            except GatewayError as error:
                _tell(noted, error)
            else:
                _tell(noted)

        self._ask(owe)
        try:
            await asyncio.wait_for(noted, _NOTED_S)
        except TimeoutError as error:
            sentence = f"Sink {self.sink.name} waits for its far end's answer and could not note the range; ask again."
            raise GatewayError(sentence) from error

    def _ask(self, request: Request) -> None:
        if len(self._requests) >= _MAX_REQUESTS:
            raise GatewayError(f"Sink {self.sink.name} has too much to do already; ask again later.")
        self._requests.append(request)
        self._poked()

    def _poked(self) -> None:
        self._wake.set()
        self._poke.set()

    # The loop

    async def run(self) -> None:
        """Forward until `stop`."""
        self.position = position = await self._outbox.sinks.enlist(
            self.sink.name, start=self._pacing.start, window=self.sink.window
        )
        reader = LogReader(self._outbox.path)
        self._draining = draining = Draining(
            self.sink, self._outbox, reader, self._rendering, self._pacing, position, self._rejected
        )
        self._resume_backoff(position)
        self._outbox.follow(self.wake)
        self._outbox.rewriting.watch(draining.amended)
        try:
            while not await self._rest(draining):
                await self._session(draining)
            await self._take_requests(draining)
        finally:
            self._outbox.unfollow(self.wake)
            self._outbox.rewriting.unwatch(draining.amended)
            reader.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
                await self.sink.close()

    async def _session(self, draining: Draining) -> None:
        """Reach the far end and send until something fails or the gateway stops."""
        try:
            await self.sink.open()
            await self._drain(draining)
        except SinkUnavailable as error:
            self._failed(draining, error)
        except StoreUnavailable as error:
            if isinstance(error, StoreDamaged):
                self._outbox.damaged(error)
            # Nothing more may be sent than what can be noted as sent; the store's own fault says why.
            log.warning("forwarding_paused", sink=self.sink.name, reason=str(error))
            self.paused_until = time.monotonic() + _STORE_PAUSE_S

    async def _drain(self, draining: Draining) -> None:
        while True:
            self.progress = time.monotonic()
            self._wake = anyio.Event()
            await self._take_requests(draining)
            draining.hurry = self._stop_by is not None
            worked = await draining.round()
            if self._stop_by is not None and (not draining.owes or time.monotonic() > self._stop_by):
                await draining.save()
                return
            if draining.answered or not draining.owes:
                # Only now: an HTTPS sink opens without a request, and a backoff must grow until one is answered.
                self._reached(draining)
            if worked:
                if draining.light and self._pacing.gather_s and self._stop_by is None:
                    # A request costs more than an event: what comes within moments shares the next one.
                    await anyio.sleep(self._pacing.gather_s)
                continue
            if not self.sink.connected:
                await self.sink.send(())  # which says why, where the sink knows
                raise SinkUnavailable("The connection was lost.")
            with anyio.move_on_after(min(draining.wait_s or _IDLE_CHECK_S, _IDLE_CHECK_S)):
                await self._wake.wait()

    async def _take_requests(self, draining: Draining) -> None:
        requests, self._requests = self._requests, []
        for request in requests:
            await request(draining)

    def _rejected(self, letters: Letters) -> None:
        entry, reason = letters[0]
        self._faults.report(
            "sink_rejects",
            self.sink.name,
            f"Sink {self.sink.name} refuses events for good, the latest from {entry.device}: {reason}",
        )
        log.error("event_rejected", sink=self.sink.name, count=len(letters), event_id=entry.id, reason=reason)

    # Outages

    def _reached(self, draining: Draining) -> None:
        position = draining.position
        if not self._troubled:
            return
        self._troubled = False
        if position.attempts:
            log.info("sink_reached", sink=self.sink.name, after_attempts=position.attempts)
            position.attempts = 0
            position.retry_at = 0
            draining.note()
        self.last_error = None
        self._faults.clear_subject(self.sink.name, _FAULTS)

    def _failed(self, draining: Draining, error: SinkUnavailable) -> None:
        position = draining.position
        position.attempts = 1 if error.delivered else position.attempts + 1
        self.last_error = str(error)
        delay_s = self._pacing.backoff.delay(position.attempts, self._rng, retry_after_s=error.retry_after_s)
        if error.stop:
            position.stopped = str(error)
        position.retry_at = clock.now_ms() + int(delay_s * 1000)
        self.paused_until = time.monotonic() + delay_s
        self._troubled = True
        sentence = f"Sink {self.sink.name}: {error}"
        of_clocks = error.fault.endswith(_OF_CLOCKS) and not clock.trusted()
        self._blames_clock = of_clocks or not clock.plausible()
        if self._blames_clock:
            sentence += f" The clock of this box is not set, which can be the reason: it shows {clock.now():%Y-%m-%d}."
        # One outage is one fault: "the connection was lost" gives way to "nothing accepts connections".
        self._faults.clear_subject(self.sink.name, _FAULTS, but=error.fault)
        self._faults.report(error.fault, self.sink.name, sentence)
        log.warning(
            "sink_unavailable",
            sink=self.sink.name,
            reason=str(error),
            attempts=position.attempts,
            next_try_s=round(delay_s, 1),
        )
        draining.note()

    def _resume_backoff(self, position: Position) -> None:
        """Wait out a pause that began before the restart, also one that the far end asked for.

        A clock that jumped never makes it longer than the longest wish that is honoured.
        """
        left_s = position.retry_at / 1000 - clock.now().timestamp()
        if position.attempts and left_s > 0:
            longest_s = _LONGEST_WISH_S if clock.trusted() else self._pacing.backoff.cap_s
            self.paused_until = time.monotonic() + min(left_s, longest_s)
        if position.stopped is not None:
            self._faults.report("https_gone", self.sink.name, position.stopped)

    async def _rest(self, draining: Draining) -> bool:
        """Wait until the next try is due; True when the gateway stops instead."""
        while self._stop_by is None:
            self.progress = time.monotonic()
            self._poke = anyio.Event()
            await self._take_requests(draining)
            stopped = draining.position.stopped is not None
            left_s = self.paused_until - time.monotonic()
            if left_s <= 0 and not stopped:
                return False
            with anyio.move_on_after(1.0 if stopped else min(left_s, 1.0)):
                await self._poke.wait()
        return True


def _tell(noted: asyncio.Future[None], error: GatewayError | None = None) -> None:
    """Answer who waits, unless he went away meanwhile."""
    if noted.done():
        return
    if error is None:
        noted.set_result(None)
    else:
        noted.set_exception(error)
