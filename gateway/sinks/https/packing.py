"""How many events go into the next request.

Two things can be wrong with a large request: the receiver says so (413), or it never gets an answer,
because the uplink is too slow for the deadline or something on the way cuts it off. Without the second
rule a batch that a slow uplink cannot carry in time would be tried for ever.
"""

from collections.abc import Sequence

_LEAST = 1024  # bytes; about one event: below this there is nothing to gain


class Packing:
    """The limits of one request, configured and learned."""

    def __init__(self, *, events: int, size: int) -> None:
        self._events = events
        self._size = size
        self._accepted_size = size  # what the receiver lets through; until the next fault
        self._carried_size = size  # what gets through in time; grows again with every success

    def end_of_next(self, bodies: Sequence[bytes], start: int) -> int:
        """Give the end of the request that begins at ``start``; at least one event goes in."""
        limit = min(self._accepted_size, self._carried_size)
        stop, size = start + 1, len(bodies[start])
        while stop < len(bodies) and stop - start < self._events:
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

    def no_answer(self, size: int) -> None:
        """Learn from a request that got no answer."""
        self._carried_size = max(_LEAST, min(self._carried_size, size // 2))

    def answered(self) -> None:
        """Try more again."""
        self._carried_size = min(self._size, self._carried_size * 2)
