"""The contract of a sink: take a batch of events to one far end and say how it went.

The core owns the log, the cursor, order, retry, backoff and letters. A sink can say three things:
done (`send` returns), later (`SinkUnavailable`, with the number of events at the head of the batch that
were taken), never (the event's index in the returned mapping, with the reason). A sink keeps no events:
when `send` ends, in whatever way, it holds nothing of the batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event of the log, rendered for one sink."""

    seq: int  # place in the log; grows, may have holes
    id: str
    revision: int
    kind: str
    device: str
    time: str  # RFC 3339, UTC, milliseconds
    payload: bytes  # the event as one JSON object (`docs/events.md`)
    again: bool = False  # it was refused before: that it is refused once more says nothing about the far end


@dataclass(frozen=True, slots=True)
class State:
    """The newest state of one device, a flat JSON object; never history."""

    device: str
    payload: bytes


class Sink(Protocol):
    """Somewhere events go. One task calls it, one call at a time."""

    name: str
    window: int  # the largest batch: what may be sent twice after a fault

    @property
    def connected(self) -> bool:
        """False when the far end is known to be gone; asked while there is nothing to send."""

    def describe(self) -> Mapping[str, object]:
        """Say what a person may know about the connection: JSON values, no secrets."""

    async def open(self) -> None:
        """Reach the far end, or raise `SinkUnavailable`. Called before the first `send` and after a fault."""

    async def send(self, batch: Sequence[Outgoing]) -> Mapping[int, str]:
        """Deliver the batch in order; return {index: reason} of those that the far end will never take.

        While this waits, a person who is erased is taken out of the batch: an event in it gives way to the same one with
        another payload. So a payload is read when it leaves, and not before.

        Raises `SinkUnavailable` when the rest has to wait. Bounded in time by the sink itself.
        """

    async def close(self) -> None:
        """Leave the far end in good order; called once, after the last `send`. Does not raise."""


@runtime_checkable
class StateSink(Protocol):
    """A sink that also shows the newest state, beside the events and independent of any backlog."""

    async def publish_states(self, states: Sequence[State]) -> None:
        """Show these states, best effort: a state that cannot be shown now is read again after the next `open`."""

    async def publish_status(self, status: bytes) -> None:
        """Show the gateway's own status document, best effort."""
