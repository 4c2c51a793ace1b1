"""How many events each source brought since the start, by kind, and how long ago the last one came."""

from collections import Counter
from collections.abc import Mapping

from gateway import clock

Kinds = tuple[str, str]  # source and kind


class Arrivals:
    """Counted on the writer's thread, and told when the transaction is on disk. Sources and kinds are those of the code."""

    def __init__(self) -> None:
        self._running: list[Kinds] = []
        self._counts: Counter[Kinds] = Counter()
        self._last: dict[str, float] = {}

    def note(self, source: str, kind: str) -> None:
        """Note an event of the running transaction."""
        self._running.append((source, kind))

    def forget(self) -> None:
        """Forget what was rolled back."""
        self._running.clear()

    def committed(self) -> None:
        """Count what is on disk now."""
        now = clock.steady()
        self._counts.update(self._running)
        self._last.update((source, now) for source, _ in self._running)
        self._running.clear()

    def counts(self) -> Mapping[Kinds, int]:
        """Give the events of this life, by source and kind."""
        return dict(self._counts)

    def ages_s(self) -> Mapping[str, float]:
        """Give how long ago each source had its last new event, in this life."""
        now = clock.steady()
        return {source: now - at for source, at in self._last.items()}
