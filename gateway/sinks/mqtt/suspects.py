"""Which event keeps a broker from taking the others, and when that is certain enough to give it up.

Brokers with a limit that they do not announce close the connection on one event for ever. An event is given
up only when it fails again and again, also with nothing else on the way, and the broker took other events
meanwhile: otherwise the fault is the broker's or its access rules', and a backlog must not become letters.
"""

from dataclasses import dataclass

_TRIES = 3  # failures in a row with others on the way, before it is sent alone
_TRIES_ALONE = 4  # failures in all, the last one alone


@dataclass(slots=True)
class _Suspicion:
    accepted_before: int
    failures: int = 0
    alone: bool = False
    verdict: str = ""


class Suspects:
    """The events that failed lately, by their place in the log."""

    def __init__(self) -> None:
        self.accepted = 0  # events that the broker took, in all
        self._by_seq: dict[int, _Suspicion] = {}

    def __bool__(self) -> bool:
        return bool(self._by_seq)

    def must_go_alone(self, seq: int) -> bool:
        found = self._by_seq.get(seq)
        return found is not None and found.alone

    def verdict(self, seq: int) -> str:
        """Return why this event cannot be delivered, or nothing when it should be tried."""
        found = self._by_seq.get(seq)
        return found.verdict if found else ""

    def is_proven(self, seq: int) -> bool:
        """Say whether the broker took other events since this one began to fail."""
        found = self._by_seq.get(seq)
        return found is not None and self.accepted > found.accepted_before

    def ended_connection(self, seq: int, accepted_before: int, why: str, *, certain: bool) -> None:
        """Note that the connection ended with this event the first on the way; ``certain``: over a packet."""
        found = self._at(seq, accepted_before)
        found.failures += 1
        if found.alone and (certain or found.failures >= _TRIES_ALONE):
            found.verdict = why
        elif certain or found.failures >= _TRIES:
            found.alone = True

    def refused(self, seq: int, accepted_before: int, why: str, *, suspicious: bool) -> None:
        """Note that the broker refused this very event; it goes alone, so that no other is sent twice for it."""
        found = self._at(seq, accepted_before)
        found.alone = True
        found.failures = found.failures + 1 if suspicious else 0
        if found.failures >= _TRIES:
            found.verdict = why

    def clear(self, seq: int) -> None:
        self._by_seq.pop(seq, None)

    def clear_all(self) -> None:
        self._by_seq.clear()

    def _at(self, seq: int, accepted_before: int) -> _Suspicion:
        return self._by_seq.setdefault(seq, _Suspicion(accepted_before))
