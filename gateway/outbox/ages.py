"""How long an entry has waited, by the steady clock: what was received while nobody knew the time has no other age."""

from bisect import bisect_left

from gateway import clock

_APART_S = 1.0
_MOST = 4_096


class Ages:
    """Remembers when the head of the log was where; used on the event loop only."""

    def __init__(self, head: int) -> None:
        self._seqs = [head]
        self._steady = [clock.steady()]

    def note(self, head: int) -> None:
        """Note that everything up to the head is there now."""
        now = clock.steady()
        if now - self._steady[-1] < _APART_S and len(self._seqs) > 1:
            self._seqs[-1] = head  # counts as a little older than it is
            return
        self._seqs.append(head)
        self._steady.append(now)
        if len(self._seqs) > _MOST:  # what lies further back is known less exactly
            self._seqs[1:-1] = self._seqs[1:-1][1::2]
            self._steady[1:-1] = self._steady[1:-1][1::2]

    def waited_s(self, seq: int) -> float | None:
        """Say how long ago an entry came; None when that was in an earlier life."""
        place = bisect_left(self._seqs, seq)
        if place == 0:
            return None
        return clock.steady() - self._steady[min(place, len(self._steady) - 1)]
