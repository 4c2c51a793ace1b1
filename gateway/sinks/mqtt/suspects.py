"""Which event keeps a broker from taking the others, and when that is certain enough to give it up.

Brokers with a limit that they do not announce close the connection on one event for ever. An event is given
up only when it fails again and again, at last with nothing else on the way, and after the broker took another
event since the first failure. Without that proof the fault is the broker's, or its access rules', and a
backlog must not become letters; so an event that lacks only the proof is sent right behind another one.
"""

from dataclasses import dataclass

_TRIES = 3  # failures in a row with others on the way, before it is sent alone
_TRIES_ALONE = 4  # failures in all, the last one alone


@dataclass(slots=True)
class _Suspicion:
    accepted_before: int
    failures: int = 0
    alone: bool = False
    lacks_proof: bool = False
    verdict: str = ""


class Suspects:
    """The events that failed lately, by their place in the log."""

    def __init__(self) -> None:
        self.accepted = 0  # events that the broker took, in all
        self._by_seq: dict[int, _Suspicion] = {}

    def __bool__(self) -> bool:
        return bool(self._by_seq)

    def verdict(self, seq: int) -> str:
        """Return why this event is given up, or nothing when it is to be tried."""
        found = self._by_seq.get(seq)
        return found.verdict if found else ""

    def must_go_alone(self, seq: int) -> bool:
        found = self._by_seq.get(seq)
        return found is not None and found.alone

    def lacks_proof(self, seq: int) -> bool:
        """Say whether this event would be given up if the broker took another one now."""
        found = self._by_seq.get(seq)
        return found is not None and found.lacks_proof

    def ended_connection(self, seq: int, why: str, *, certain: bool) -> None:
        """Note that the connection ended with this event the first on the way; ``certain``: over a packet."""
        found = self._failed(seq)
        if found.alone and (certain or found.failures >= _TRIES_ALONE):
            self._judge(found, why)
        elif certain or found.failures >= _TRIES:
            found.alone = True

    def refused(self, seq: int, why: str, *, suspicious: bool) -> None:
        """Note that the broker refused this very event; it goes alone, so that no other is sent twice for it."""
        found = self._failed(seq)
        found.alone = True
        if not suspicious:
            found.failures = 0
        elif found.failures >= _TRIES:
            self._judge(found, why)

    def condemned(self, seq: int, why: str) -> None:
        """Keep the broker's last word on this event, which some brokers hang up on before it can be told."""
        self._by_seq.setdefault(seq, _Suspicion(self.accepted)).verdict = why

    def clear(self, seq: int) -> None:
        """Forget this event: it was taken, or its rejection was told."""
        self._by_seq.pop(seq, None)

    def _failed(self, seq: int) -> _Suspicion:
        found = self._by_seq.setdefault(seq, _Suspicion(self.accepted))
        found.failures += 1
        return found

    def _judge(self, found: _Suspicion, why: str) -> None:
        if self.accepted > found.accepted_before:
            found.verdict = why
        else:
            found.lacks_proof = True
