"""The HTTPS sink itself: the batch in order, refusals narrowed down to the events that cause them.

- The events of a request are taken or not taken as a whole. A request that is refused is halved, left
  half first, until the refused events stand alone; so order is kept and only they become letters.
- Every request is bounded in time; a call of `send` is bounded by their number, and each success in it
  counts even when a later one fails.
"""

from collections.abc import Mapping, Sequence

from gateway.errors import SinkUnavailable
from gateway.sink import Outgoing
from gateway.sinks.https.envelope import BATCH, SINGLE, Envelope, single_id
from gateway.sinks.https.options import HttpsOptions
from gateway.sinks.https.packing import Packing
from gateway.sinks.https.progress import Doubt, Progress
from gateway.sinks.https.upstream import Upstream
from gateway.sinks.https.verdict import Answer, Verdict, unavailable

_UNDER_WAY = ("https_timeout", "https_broken")  # the faults that a request may owe to its size


class HttpsSink:
    """Delivers events to one HTTPS endpoint."""

    def __init__(self, options: HttpsOptions) -> None:
        self.name = options.name
        self.window = options.window
        self._options = options
        self._upstream = Upstream(options, SINGLE if options.batch == 1 else BATCH)
        self._envelope = Envelope(options.gateway_id)
        self._packing = Packing(events=options.batch, size=options.batch_bytes)
        self._doubt = Doubt(options.window)
        self._handed_on: dict[int, str | None] = {}

    @property
    def connected(self) -> bool:
        """HTTP keeps no session that could be lost while there is nothing to send."""
        return True

    async def open(self) -> None:
        """Begin with a new connection; no request is made before there is an event to send."""
        self._packing.forget()
        await self._upstream.open()

    async def send(self, batch: Sequence[Outgoing]) -> Mapping[int, str]:
        """Deliver the batch in order; see `gateway.sink.Sink`."""
        call = _Call(batch, self._envelope, Progress(batch, self._earlier(batch)))
        self._doubt.begin()
        try:
            while call.progress.settled < len(batch):
                start = call.progress.settled
                await self._settle(call, start, self._packing.end_of_next(batch, call.bodies, start))
            if self._doubt.end():
                raise self._refuses_everything(call.progress)
        except SinkUnavailable as fault:
            fault.delivered = call.progress.delivered
            self._handed_on = call.progress.to_hand_on() or self._handed_on
            raise
        return call.progress.refused

    async def close(self) -> None:
        """Close the connection."""
        await self._upstream.close()

    def describe(self) -> dict[str, str | int | float | bool]:
        """Say how events leave here, without any secret."""
        options = self._options
        return {
            "name": options.name,
            "endpoint": options.place,
            "format": "one CloudEvent per request" if options.batch == 1 else "CloudEvents batch",
            "batch": options.batch,
            "gzip": options.gzip,
            "signatures": len(options.secrets),
            "bearer": options.bearer is not None,
            "headers": ", ".join(sorted(options.headers)),
            "timeout_s": options.timeout_s,
            "window": options.window,
        }

    def _earlier(self, batch: Sequence[Outgoing]) -> dict[int, str | None]:
        """Give what an interrupted call handed on, if this is the call that goes on where that one stopped.

        Another part of the log leaves it for later; a replay that only touches it makes it void.
        """
        if not any(event.seq in self._handed_on for event in batch):
            return {}
        earlier, self._handed_on = self._handed_on, {}
        return earlier if batch[0].seq == next(iter(earlier)) else {}

    async def _settle(self, call: "_Call", start: int, stop: int) -> None:
        """Get a verdict for each of these events, however many requests it takes."""
        answer = await self._post(call, start, stop)
        if answer.verdict is Verdict.LATER:
            if answer.status == 408 or answer.status >= 500:
                self._packing.failed(call.batch[start:stop], call.size(start, stop))
            else:
                self._packing.put_off(call.batch[start:stop])
            raise unavailable(answer, self._options)
        self._packing.settled()
        if answer.verdict is Verdict.TAKEN:
            self._doubt.taken()
            await self._ask_again(call, call.batch[start].kind)
            call.progress.taken(stop - start)
        elif stop - start == 1:
            call.progress.refuse(self._reason(answer))
            if not call.batch[start].again and self._doubt.refused():
                raise self._refuses_everything(call.progress)
        else:
            if answer.verdict is Verdict.TOO_LARGE:
                self._packing.too_large(call.size(start, stop))
            middle = (start + stop) // 2
            await self._settle(call, start, middle)
            await self._settle(call, middle, stop)

    async def _ask_again(self, call: "_Call", taken: str) -> None:
        """Make sure that a long row of refusals ended with an event of another sort, and not with a repair.

        Who refused everything and is well again takes what it refused a moment ago; nothing of the row is given up.
        """
        row = call.progress.row
        if len(row) < Doubt.FEW:
            return
        alike = [index for index in row if call.batch[index].kind == taken]
        index = (alike or row)[-1]
        answer = await self._post(call, index, index + 1)
        if answer.verdict is Verdict.LATER:
            raise unavailable(answer, self._options)
        if answer.verdict is Verdict.TAKEN:
            sentence = "it takes again what it refused a moment ago; all of that is sent once more"
            raise SinkUnavailable(sentence, fault="https_error")

    async def _post(self, call: "_Call", start: int, stop: int) -> Answer:
        events, bodies = call.batch[start:stop], call.as_they_are(start, stop)
        if self._options.batch == 1:
            request_id, body = single_id(events[0]), bodies[0]
        else:
            request_id = self._envelope.batch_id(events)
            body = b"[%b]" % b",".join(bodies)
        try:
            return await self._upstream.post(request_id, body)
        except SinkUnavailable as fault:
            if fault.fault in _UNDER_WAY:
                self._packing.failed(events, len(body))
            raise

    def _reason(self, answer: Answer) -> str:
        reason = f"{self._options.place} refused this event: {answer.said()}"
        if answer.status == 413:
            return f"{reason}; it is too large for the receiver"
        if answer.status == 415 and self._options.gzip:
            return (
                f"{reason}; if it refuses every event, it may not read gzip: set gzip = false for this sink"
            )
        return reason

    def _refuses_everything(self, progress: Progress) -> SinkUnavailable:
        last = progress.refused[max(progress.refused)]
        return SinkUnavailable(
            f"nothing is taken any more; the newest answer: {last}. No event is given up for now: "
            "check endpoint, content type and signing secret with the receiver's operator",
            fault="https_rejects_all",
            # Doubtful as long as nothing else is taken; what was taken in between settles those before it.
            refused=progress.refused if len(progress.refused) == progress.settled else None,
        )


class _Call:
    """One call of `send`: its events, how they are written, and how far they have got."""

    def __init__(self, batch: Sequence[Outgoing], envelope: Envelope, progress: Progress) -> None:
        self.batch = batch
        self.bodies = [envelope.wrap(event) for event in batch]
        self.progress = progress
        self._envelope = envelope
        self._written = list(batch)

    def as_they_are(self, start: int, stop: int) -> Sequence[bytes]:
        """Give these bodies for a request; of an event that has changed since it was written, what it says now."""
        for index in range(start, stop):
            if self.batch[index] is not self._written[index]:
                self._written[index] = self.batch[index]
                self.bodies[index] = self._envelope.wrap(self.batch[index])
        return self.bodies[start:stop]

    def size(self, start: int, stop: int) -> int:
        return sum(len(body) + 1 for body in self.bodies[start:stop]) + 1
