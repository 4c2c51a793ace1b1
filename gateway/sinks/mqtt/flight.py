"""One batch on its way: what goes next, what was taken, what never will be."""

from collections.abc import Sequence

import anyio

from gateway.errors import Rejected
from gateway.sink import Outgoing
from gateway.sinks.mqtt.suspects import Suspects
from gateway.sinks.mqtt.topics import Topics, packet_size
from gateway.sinks.mqtt.trouble import NEVER, SUSPICIOUS, refusal

_TOO_LARGE = 0x95
_FAILURE = 0x80  # PUBACK reason codes from here on


class Flight:
    """The state of one `send`; it lives no longer than the call."""

    def __init__(
        self,
        batch: Sequence[Outgoing],
        topics: Topics,
        suspects: Suspects,
        *,
        max_packet: int,
        version: int,
    ) -> None:
        self.ended = anyio.Event()
        self.batch = batch
        self.rejected: dict[int, str] = {}
        self.refused: dict[int, int] = {}  # index: PUBACK reason code
        self.taken = 0
        self.nobody_listens: bool | None = None
        self._suspects = suspects
        self._is_taken = bytearray(len(batch))
        self._todo: list[tuple[int, str]] = []
        self._alone: set[int] = set()
        self._next = 0
        self._flying = 0
        for index, event in enumerate(batch):
            try:
                topic = topics.event(event.device)
            except Rejected as error:
                self.rejected[index] = str(error)
                continue
            size = packet_size(topic, event.payload, version)
            if size > max_packet:
                self.rejected[index] = (
                    f"The event makes a packet of {size} bytes and the broker takes at most {max_packet}."
                )
            else:
                self._todo.append((index, topic))
        if suspects:
            self._set_apart()

    def _set_apart(self) -> None:
        """Plan for the events that failed before."""
        suspects, seq = self._suspects, [event.seq for event in self.batch]
        self.rejected |= {index: why for index, _ in self._todo if (why := suspects.verdict(seq[index]))}
        todo = [item for item in self._todo if item[0] not in self.rejected]
        self._alone = {index for index, _ in todo if suspects.must_go_alone(seq[index])}
        unproven = [item for item in todo if suspects.lacks_proof(seq[item[0]])]
        others = [item for item in todo if item not in unproven]
        self._todo = others[:1] + unproven + others[1:]

    @property
    def delivered(self) -> int:
        """How many events at the head of the batch were taken."""
        first = self._is_taken.find(0)
        return len(self.batch) if first < 0 else first

    @property
    def is_done(self) -> bool:
        return self._flying == 0 and (bool(self.refused) or self._next == len(self._todo))

    @property
    def wants_quiet(self) -> bool:
        """Whether nothing else may be on the way: the next one, or the one that is, goes alone."""
        if not self._alone:
            return False
        last = self._next - 1 if self._flying else self._next
        return any(self._todo[at][0] in self._alone for at in (last, self._next) if at < len(self._todo))

    def next(self) -> tuple[int, str] | None:
        """Name the next event to publish and its topic, or nothing when there is none now."""
        if self.refused or self._next == len(self._todo) or (self._flying and self.wants_quiet):
            return None
        return self._todo[self._next]

    def sent(self) -> None:
        self._next += 1
        self._flying += 1

    def acknowledged(self, index: int, code: int) -> None:
        self._flying -= 1
        seq = self.batch[index].seq
        if code < _FAILURE:
            self._is_taken[index] = 1
            self.taken += 1
            self.nobody_listens = code != 0
            self._suspects.accepted += 1
            if self._suspects:
                self._suspects.clear(seq)
        elif code in NEVER:
            advice = " (its limit, when it announces none: `max_packet_bytes`)" if code == _TOO_LARGE else ""
            self.rejected[index] = f"The broker refuses the event: {refusal(code)}{advice}."
            self._suspects.condemned(seq, self.rejected[index])
        else:
            self.refused[index] = code
            why = f"The broker refuses this event again and again: {refusal(code)}."
            self._suspects.refused(seq, why, suspicious=code in SUSPICIOUS)

    def first_waiting(self) -> int | None:
        """Return the index of the first event that is sent and not answered."""
        for index, _ in self._todo[: self._next]:
            if not self._is_taken[index] and index not in self.rejected and index not in self.refused:
                return index
        return None
