"""What may be on the way at once: events of the current batch, and states beside them.

The broker counts every PUBLISH that it has not acknowledged, whatever it carries: states and events share
one window, turn by turn, and states never hold more than a small part of it.
"""

import time
from typing import Protocol

import anyio

from gateway.sinks.mqtt.flight import Flight

_STATE = -1  # acknowledges a state; indexes of events are 0 and up
_NOBODY = -2  # acknowledges an event of a `send` that has ended
_STATE_SHARE = 10  # states hold at most one part in this many
_FAILURE = 0x80
_TOO_LARGE = 0x95


class _Publish(Protocol):
    def __call__(self, topic: str, payload: bytes, *, retain: bool) -> int | None: ...


class Window:
    """The unacknowledged messages of one connection."""

    def __init__(self, publish: _Publish, *, limit: int, retain: bool) -> None:
        self.limit = limit
        self.flight: Flight | None = None
        self.states_may_go = True
        self.last_ack = time.monotonic()
        self.broken = False  # paho would not take a message: the connection is of no more use
        self.answered_state: tuple[str, int] | None = (
            None  # topic and size, when a state was acknowledged last
        )
        self.state_refused: int | None = None  # reason code of the last state or status that was refused
        self._too_large: tuple[str, int] | None = None
        self._drained = anyio.Event()
        self._publish = publish
        self._retain = retain
        self._out: dict[int, int] = {}  # packet identifier: index of the event, or one of the above
        self._states: dict[str, bytes] = {}  # topic: newest payload, waiting
        self._shown: dict[int, tuple[str, int]] = {}  # packet identifier: topic and size of a state under way
        self._states_out = 0
        self._state_limit = max(1, limit // _STATE_SHARE)
        self._states_turn = False

    def show(self, topic: str, payload: bytes, *, only_if_none: bool = False) -> None:
        """Put a retained message in line; it replaces what waits for the same topic."""
        if not (only_if_none and topic in self._states):
            self._states[topic] = payload

    def forget_states(self) -> None:
        self._states.clear()

    def carry(self, flight: Flight) -> None:
        self.flight = flight
        self.last_ack = time.monotonic()
        self.fill()

    def let_go(self) -> None:
        """Forget the batch; what is on the way keeps its place until it is acknowledged."""
        self.flight = None
        for mid, index in self._out.items():
            if index >= 0:
                self._out[mid] = _NOBODY

    def fill(self) -> None:
        """Publish as much as the window has room for."""
        idle = 0
        while len(self._out) < self.limit and idle < 2 and not self.broken:
            self._states_turn = not self._states_turn
            idle = 0 if (self._send_state() if self._states_turn else self._send_event()) else idle + 1
        if self.flight and self.flight.is_done:
            self.flight.ended.set()
        if self._is_drained:
            self._drained.set()

    @property
    def _is_drained(self) -> bool:
        return not self._out and not (self._states and self.states_may_go)

    async def drained(self) -> None:
        """Wait until all that may go is acknowledged, or the connection is lost."""
        if not self._is_drained:
            self._drained = anyio.Event()
            await self._drained.wait()

    @property
    def unanswered_state(self) -> tuple[str, int] | None:
        """Topic and size of the state that waits longest for its acknowledgement; None when that is an event.

        A state that the broker called too large counts as one: mosquitto hangs up behind that word.
        """
        if self._too_large:
            return self._too_large
        return self._shown.get(next(iter(self._out), -1))

    def stop(self) -> None:
        """Wake everybody who waits: nothing will be acknowledged any more."""
        if self.flight:
            self.flight.ended.set()
        self._drained.set()

    def acknowledge(self, mid: int, code: int) -> bool:
        """Note what the broker made of a message; False when none of that number is on the way."""
        index = self._out.pop(mid, None)
        if index is None:
            return False
        if index == _STATE:
            self._states_out -= 1
            self.answered_state = self._shown.pop(mid)
            if code >= _FAILURE:
                self.state_refused = code
            if code == _TOO_LARGE:
                self._too_large = self.answered_state
            return True
        self.answered_state = None
        self.last_ack = time.monotonic()  # of an event: a broker that takes only states makes no progress
        if index >= 0 and self.flight:
            self.flight.acknowledged(index, code)
        return True

    def _send_event(self) -> bool:
        flight = self.flight
        due = flight.next() if flight else None
        if flight is None or due is None or (self._out and flight.wants_quiet):
            return False
        index, topic = due
        if self._put(topic, flight.batch[index].payload, index, retain=False) is None:
            return False
        flight.sent()
        return True

    def _send_state(self) -> bool:
        if not self._states or not self.states_may_go or self._states_out >= self._state_limit:
            return False
        if self.flight and self.flight.wants_quiet:
            return False
        topic = next(iter(self._states))
        mid = self._put(topic, self._states[topic], _STATE, retain=self._retain)
        if mid is None:
            return False
        self._shown[mid] = (topic, len(self._states.pop(topic)))
        self._states_out += 1
        return True

    def _put(self, topic: str, payload: bytes, index: int, *, retain: bool) -> int | None:
        mid = self._publish(topic, payload, retain=retain)
        if mid is None:
            self.broken = True
            return None
        self._out[mid] = index
        return mid
