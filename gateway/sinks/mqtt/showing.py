"""Which retained messages a broker does not take, so that showing them never keeps the events from leaving.

A broker with a limit that it does not announce closes the connection on a status or a state that is too large, for
ever. Events that do so are found out and become letters; what is only shown is shown shorter, or not at all.
"""

import json
import time
from collections.abc import Iterator

_IN_A_ROW = 2
_IN_A_ROW_ANSWERED = 4  # a line that breaks shows the same picture now and then
_IN_VAIN = 3  # ends that were laid on something shown, whatever it was: now the events are tried alone
_FORGOTTEN_S = 3600.0  # the line may have been the reason after all, or somebody has raised the limit
_SHORT = ("state", "gateway", "name", "site", "version")


class Showing:
    """What ended connections lately, by topic; it outlives the connections."""

    def __init__(self) -> None:
        self._last: tuple[str, int] | None = None  # topic, and how often in a row
        self._in_vain = 0
        # Topic: size that was too large, and when that was learnt.
        self._limits: dict[str, tuple[int, float]] = {}

    @property
    def withheld(self) -> bool:
        """Say whether nothing but a status at the greeting is to be shown, so that only an event can be the reason.

        A broker that acknowledges late and ends the connection on an event leaves states unanswered: with many of them
        each would be suspected in turn, and the event never.
        """
        return self._in_vain >= _IN_VAIN

    def went_on(self, *, without: bool) -> bool:
        """Note that events got through, perhaps without one that was found guilty; True: show again what was withheld.

        When it was an event, what was believed of topics meanwhile was its doing.
        """
        was_withheld, self._in_vain = self.withheld, 0
        if was_withheld and without:
            self._limits.clear()
            self._last = None
        return was_withheld

    def fits(self, topic: str, payload: bytes) -> bool:
        """Say whether the broker may take so large a message there, for all that is known."""
        size, learnt = self._limits.get(topic, (0, 0.0))
        if size and time.monotonic() - learnt > _FORGOTTEN_S:
            del self._limits[topic]
            return True
        return not size or len(payload) < size

    def ended_connection(self, unanswered: tuple[str, int] | None, answered: tuple[str, int] | None) -> bool:
        """Note what was shown when the broker closed: unanswered for longest, or else answered last of all.

        mosquitto 2.0 acknowledges over MQTT 3.1.1 what is above its message_size_limit, and then closes. True when
        something shown is so likely the reason that no event is.
        """
        shown = unanswered or (None if self.withheld else answered)
        self._in_vain += unanswered is not None
        if shown is None:
            self._last = None
            return False
        topic, size = shown
        times = self._last[1] + 1 if self._last and self._last[0] == topic else 1
        self._last = (topic, times)
        if times >= (_IN_A_ROW if unanswered else _IN_A_ROW_ANSWERED):
            self._limits[topic] = (size, time.monotonic())
            self._last = None
        return unanswered is not None


def shorter(status: bytes) -> Iterator[bytes]:
    """Give the status as it is, and then without what can make it long."""
    yield status
    said = json.loads(status)
    short = {name: said[name] for name in _SHORT if name in said}
    faults = said.get("faults")
    yield json.dumps(short | ({"faults_not_shown": len(faults)} if faults else {})).encode()
    yield json.dumps({name: said[name] for name in _SHORT[:2] if name in said}).encode()
