"""How a batch went, judged with what happened to the batches before it."""

from collections.abc import Mapping

from gateway.errors import SinkUnavailable
from gateway.sinks.mqtt import trouble
from gateway.sinks.mqtt.flight import Flight
from gateway.sinks.mqtt.options import MqttOptions
from gateway.sinks.mqtt.suspects import Suspects
from gateway.sinks.mqtt.topics import Topics
from gateway.sinks.mqtt.trouble import End, Loss

_SHORT_LIFE_S = 15.0
_SHORT_LIVES_OF_A_QUARREL = 3  # two clients with one id push each other out again and again


class Verdicts:
    """What is to be told of batches and of lost connections."""

    def __init__(self, options: MqttOptions, topics: Topics) -> None:
        self.suspects = Suspects()
        self._options = options
        self._topics = topics
        self._short_lives = 0
        self._has_refused = False  # on this connection; some brokers then hang up

    def outcome(self, flight: Flight) -> Mapping[int, str]:
        """Return what the broker will never take, or raise when the rest has to wait."""
        if flight.refused:
            raise self._refused(flight)
        for index in flight.rejected:
            self.suspects.clear(flight.batch[index].seq)
        return flight.rejected

    def lost(
        self, loss: Loss, lived_s: float, flight: Flight | None, *, blames_event: bool = True
    ) -> SinkUnavailable:
        """Say how a connection was lost, and whether that is the fault of an event or of another client."""
        if flight and flight.refused:
            return self._refused(flight)
        told = trouble.lost(loss, self._options)
        first = flight.first_waiting() if flight else None
        stuck = flight is not None and first is not None and flight.taken == 0
        explained, self._has_refused = self._has_refused or stuck, False
        if loss.end is End.CLOSED and lived_s < _SHORT_LIFE_S and not explained:
            self._short_lives += 1
            if self._short_lives >= _SHORT_LIVES_OF_A_QUARREL:
                told = trouble.thrown_out(self._options)
        else:
            self._short_lives = 0
        if flight:
            told.delivered = flight.delivered
            if first is not None and blames_event and loss.may_be_the_event:
                self._blame(flight, first, loss)
        return told

    def never_opened(self) -> None:
        """Note that the broker was not there: short lives before that were its own."""
        self._short_lives = 0

    def _refused(self, flight: Flight) -> SinkUnavailable:
        self._has_refused = True
        index, code = min(flight.refused.items())
        topic = self._topics.event(flight.batch[index].device)
        return trouble.refused_event(code, topic, self._options, flight.delivered)

    def _blame(self, flight: Flight, index: int, loss: Loss) -> None:
        event = flight.batch[index]
        why = (
            f"The broker ends the connection on this event of {len(event.payload)} bytes, "
            "again and again and also when it is sent alone."
        )
        self.suspects.ended_connection(event.seq, why, certain=loss.points_at_a_packet)
