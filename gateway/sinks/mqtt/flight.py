"""One batch on its way: what goes next, what was taken, what never will be."""

from collections.abc import Sequence

import anyio

from gateway.errors import Rejected
from gateway.sink import Outgoing
from gateway.sinks.mqtt.suspects import Suspects
from gateway.sinks.mqtt.topics import Topics, packet_size
from gateway.sinks.mqtt.trouble import NEVER, REFUSALS

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
        self.held: list[int] = []  # given up, if the broker takes another one
        self.refused: dict[int, int] = {}  # index: PUBACK reason code
        self.taken = 0
        self.accepted_before = suspects.accepted
        self.nobody_listens: bool | None = None
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
                self._plan(index, topic, suspects)

    def _plan(self, index: int, topic: str, suspects: Suspects) -> None:
        seq = self.batch[index].seq
        if suspects.verdict(seq):
            self.held.append(index)
            return
        self._todo.append((index, topic))
        if suspects.must_go_alone(seq):
            self._alone.add(index)

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
        if code < _FAILURE:
            self._is_taken[index] = 1
            self.taken += 1
            self.nobody_listens = code != 0
        elif code in NEVER:
            self.rejected[index] = f"The broker refuses the event: {REFUSALS[code]} (0x{code:02x})."
        else:
            self.refused[index] = code

    def first_waiting(self) -> int | None:
        """Return the index of the first event that is sent and not answered."""
        for index, _ in self._todo[: self._next]:
            if not self._is_taken[index] and index not in self.rejected and index not in self.refused:
                return index
        return None

    def taken_indexes(self) -> list[int]:
        return [index for index, taken in enumerate(self._is_taken) if taken]
