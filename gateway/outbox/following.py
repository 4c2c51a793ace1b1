"""The log as those see it who follow it: how far it reaches, its newest entries, and word of each commit."""

from collections.abc import Callable, Sequence

from gateway.outbox.ages import Ages
from gateway.outbox.entry import Entry
from gateway.outbox.tail import Tail


class Following:
    """What is committed, and no more than that; used on the event loop only."""

    def __init__(self, head: int) -> None:
        self.head = head  # of what is on disk
        self.tail = Tail()
        self.ages = Ages(head)
        self._wakes: list[Callable[[], None]] = []

    def follow(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called after each commit that made new entries."""
        self._wakes.append(wake)

    def unfollow(self, wake: Callable[[], None]) -> None:
        """Stop calling ``wake``."""
        self._wakes.remove(wake)

    def recent(self, after: int, limit: int) -> Sequence[Entry] | None:
        """Give the entries after a place from memory; None when they are not all there any more."""
        return () if after >= self.head else self.tail.after(after, limit)

    def committed(self, entries: Sequence[Entry], gone_up_to: int) -> None:
        """Take over what is on disk now; what is no longer as it was is forgotten."""
        self.tail.add(entries)
        if gone_up_to:
            self.tail.forget(gone_up_to)
        if entries:
            self.head = entries[-1].seq
            self.ages.note(self.head)
            for wake in self._wakes:
                wake()
