"""Which events go into the next request.

- Two things can be wrong with a large request: the receiver says so (413), or it fails, because the uplink
  is too slow for the deadline, something on the way cuts it off, or the receiver does not get through it
  in time (504). Without the second rule such a batch would be tried for ever.
- A request whose fate is unknown is repeated with the same events once more before it is made smaller,
  also when there are new events behind them: then it has the same id, and a receiver that remembers
  only the ids of requests can tell that it had it.
"""

from collections.abc import Sequence

from gateway.sink import Outgoing

_LEAST = 1024  # bytes; about one event: below this there is nothing to gain
_GROW_AFTER = 16  # requests; to try a size that is still too large costs two deadlines


class Packing:
    """The limits of one request, configured and learned."""

    def __init__(self, *, events: int, size: int) -> None:
        self._events = events
        self._size = size
        self._accepted_size = size  # what the receiver lets through; until the next fault
        self._carried_size = size  # what gets through in time
        self._settled = 0  # requests in a row

        self._pending: tuple[int, int] | None = None  # numbers of the first and last event to repeat

    def end_of_next(self, batch: Sequence[Outgoing], bodies: Sequence[bytes], start: int) -> int:
        """Give the end of the request that begins at ``start``; at least one event goes in."""
        stop = start + 1
        if self._pending and self._pending[0] == batch[start].seq:
            while stop < len(batch) and batch[stop].seq <= self._pending[1]:
                stop += 1
            return stop
        limit = min(self._accepted_size, self._carried_size)
        size = len(bodies[start])
        while stop < len(batch) and stop - start < self._events:
            size += len(bodies[stop]) + 1
            if size > limit:
                break
            stop += 1
        return stop

    def forget(self) -> None:
        """Ask the receiver anew how much it takes: it may have been changed during the fault."""
        self._accepted_size = self._size

    def too_large(self, size: int) -> None:
        """Learn from a 413."""
        self._accepted_size = max(_LEAST, min(self._accepted_size, size // 2))

    def failed(self, events: Sequence[Outgoing], size: int) -> None:
        """Learn from a request that may have failed by its size; the second time it is taken to have."""
        self._settled = 0
        span = (events[0].seq, events[-1].seq)
        if self._pending == span:
            self._carried_size = max(_LEAST, min(self._carried_size, size // 2))
            self._pending = None
        else:
            self._pending = span

    def put_off(self, events: Sequence[Outgoing]) -> None:
        """Learn from an answer that means later."""
        self._pending = (events[0].seq, events[-1].seq)

    def settled(self) -> None:
        """Learn from an answer that settles a request: after a while a larger one may be tried."""
        self._pending = None
        self._settled += 1
        if self._settled % _GROW_AFTER == 0:
            self._carried_size = min(self._size, self._carried_size * 2)
