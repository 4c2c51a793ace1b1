"""How far a call of `send` has got, and whether refusals may be believed.

Events get their verdict strictly from left to right.
"""

from collections.abc import Mapping, Sequence

from gateway.sink import Outgoing


class Progress:
    """The verdicts of one call, and what of them outlives an interruption.

    A call that is interrupted can report only the events before the first refused one as delivered.
    The verdicts behind it are handed to the next call, by number and without the events; else a
    receiver that takes a few requests at a time would see the same events again and again and a batch
    with one refused event at its head would never end. Handed on is only what lies before the last
    success: a refusal that nothing taken followed may be the receiver's own fault.
    """

    def __init__(self, batch: Sequence[Outgoing], earlier: Mapping[int, str | None]) -> None:
        self._batch = batch
        self.refused: dict[int, str] = {}
        self.settled = 0  # events at the head that have a verdict
        for event in batch:
            if event.seq not in earlier:
                break
            reason = earlier[event.seq]
            if reason is not None:
                self.refused[self.settled] = reason
            self.settled += 1
        self._sure = self.settled  # settled up to the last success

    def taken(self, count: int) -> None:
        self.settled += count
        self._sure = self.settled

    def refuse(self, reason: str) -> None:
        self.refused[self.settled] = reason
        self.settled += 1

    @property
    def row(self) -> list[int]:
        """Events that were refused since something was taken, first to last."""
        return [index for index in self.refused if index >= self._sure]

    @property
    def delivered(self) -> int:
        """Events at the head that were taken."""
        return min(self._sure, min(self.refused, default=self._sure))

    def to_hand_on(self) -> dict[int, str | None]:
        """Give the verdicts that cannot be reported yet, by number in the log."""
        return {self._batch[i].seq: self.refused.get(i) for i in range(self.delivered, self._sure)}


class Doubt:
    """Tells a receiver that refuses some events from one that refuses everything.

    A wrong path, a changed schema or a broken deployment answers 400 to all that comes; that must not
    turn the backlog into letters. After ``FEW`` refusals in a row nothing is reported as refused until
    something is taken again. On the other hand, a quiet night may bring more heartbeats than that to
    a receiver that rightly refuses heartbeats; so each further call looks further ahead, up to the
    whole window, and the first event that is taken proves the refusals before it. Was the whole window
    refused, the fault carries the refusals: the core then has something behind them tried.
    """

    FEW = 20

    def __init__(self, window: int) -> None:
        self._most = self.FEW + window
        self._patience = self.FEW
        self._reported = 0  # refused in a row by earlier calls
        self._now = 0  # refused in a row by this call

    def begin(self) -> None:
        self._now = 0

    def taken(self) -> None:
        self._patience = self.FEW
        self._reported = self._now = 0

    def refused(self) -> bool:
        """Count one refusal; True: stop here for now."""
        self._now += 1
        return self._grown(self._reported + self._now >= self._patience)

    def end(self) -> bool:
        """Close the call; True: its refusals must not be reported."""
        if self._grown(self._reported + self._now >= self.FEW):
            return True
        self._reported += self._now
        return False

    def _grown(self, doubtful: bool) -> bool:
        if doubtful:
            self._patience = min(self._patience * 2, self._most)
        return doubtful
