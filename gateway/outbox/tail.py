"""The newest entries in memory, so that a sink that keeps up never reads the disk."""

from collections import deque
from collections.abc import Iterable, Sequence

from gateway.outbox.entry import Entry

_MOST_ENTRIES = 1_000
_MOST_BYTES = 8 * 1024 * 1024


class Tail:
    """The end of the log, without holes; used on the event loop only."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Remember new entries; the oldest are forgotten."""
        for entry in entries:
            if self._entries and entry.seq != self._entries[-1].seq + 1:
                # Entries are found by counting: behind a hole that would give others than were asked for.
                self._entries.clear()
                self._bytes = 0
            self._entries.append(entry)
            self._bytes += len(entry.body)
        while len(self._entries) > _MOST_ENTRIES or self._bytes > _MOST_BYTES:
            self._drop_oldest()

    def after(self, place: int, limit: int) -> Sequence[Entry] | None:
        """Give the entries after a place; None when they are not all here any more."""
        if not self._entries or self._entries[0].seq > place + 1:
            return None
        start = place + 1 - self._entries[0].seq
        stop = min(start + limit, len(self._entries))
        return [self._entries[index] for index in range(start, stop)]

    def forget(self, up_to: int) -> None:
        """Drop what was removed from the log, and what is older."""
        while self._entries and self._entries[0].seq <= up_to:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._entries.popleft().body)
