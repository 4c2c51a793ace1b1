"""The MQTT sink as the core sees it: it opens, sends a batch, says how it went, and closes.

A fault found between two calls is told by the next one. The connection stays when only an event was refused:
`open` then returns at once.
"""

import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import anyio

from gateway.errors import Rejected, SinkUnavailable, StoreUnavailable
from gateway.event import Json
from gateway.sink import Outgoing, State
from gateway.sinks.mqtt import trouble
from gateway.sinks.mqtt.connection import Connection, Terms
from gateway.sinks.mqtt.flight import Flight
from gateway.sinks.mqtt.options import MqttOptions
from gateway.sinks.mqtt.showing import Showing, shorter
from gateway.sinks.mqtt.topics import LARGEST_PACKET, Topics, packet_size
from gateway.sinks.mqtt.trouble import End, Loss
from gateway.sinks.mqtt.verdicts import Verdicts
from gateway.sinks.mqtt.window import Window

_GOODBYE_S = 1.5


class MqttSink:
    """Events to one broker."""

    def __init__(
        self,
        options: MqttOptions,
        states: Callable[[], Awaitable[Sequence[State]]],
        status: Callable[[], bytes],
    ) -> None:
        """Ask ``states`` and ``status`` for what to show, after every connect."""
        self.name = options.name
        self.window = options.window
        self.nobody_listens: bool | None = None  # the broker had no subscriber for the last event (MQTT 5)
        self._options = options
        self._topics = Topics(options.base, options.gateway_id)
        self._states = states
        self._status = status
        self._verdicts = Verdicts(options, self._topics)
        self._showing = Showing()
        self._connection: Connection | None = None
        self._traffic: Window | None = None
        self._opened_at = 0.0

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.loss is None and self._traffic is not None

    async def open(self) -> None:
        if self.connected:
            return
        if self._connection is not None:
            told = self._bury()
            if told.fault == "mqtt_client_id_taken":
                raise told  # so that the core waits: answering at once is how two clients wear a broker out
        connection = Connection(
            self._options,
            will=(self._topics.status, self._offline()),
            on_ack=self._acknowledged,
            on_turn=self._turn,
        )
        try:
            terms = await connection.open()
            self._check(terms)
            self._connection = connection
            await self._introduce(connection, terms)
        except BaseException:  # cancelled too: a half-opened connection must not stay behind
            connection.abort(Loss(End.OURS))
            self._connection = self._traffic = None
            self._verdicts.never_opened()
            raise

    def _check(self, terms: Terms) -> None:
        if not terms.qos_1:
            raise trouble.no_qos_1(self._options)

    async def _introduce(self, connection: Connection, terms: Terms) -> None:
        """Show status and states. The status must be acknowledged: from then on a fault is not the greeting's."""
        limit = min(self._options.inflight, terms.receive_maximum)
        traffic = self._traffic = Window(connection.publish, limit=limit, retain=terms.retain)
        self._show_status(traffic, self._told_status())
        traffic.fill()
        # States that come from now on wait for the reading of all states, which must not overtake them.
        traffic.states_may_go = False
        with anyio.move_on_after(self._options.connect_timeout_s) as waiting:
            if connection.loss is None:  # else nobody would end the wait
                await traffic.drained()
        if connection.loss:
            self._find_out(connection.loss, traffic)
            raise trouble.lost_at_greeting(connection.loss, self._topics.status, self._options)
        if waiting.cancelled_caught:
            raise trouble.no_answer(self._options)
        self._opened_at = time.monotonic()
        if not self._showing.withheld:
            await self._show_all(traffic)
        traffic.states_may_go = True
        traffic.fill()

    async def _show_all(self, traffic: Window) -> None:
        with contextlib.suppress(StoreUnavailable):  # best effort; the store tells of its own trouble
            for topic, payload in self._showable(await self._states()):
                traffic.show(topic, payload, only_if_none=True)

    async def send(self, batch: Sequence[Outgoing]) -> Mapping[int, str]:
        connection, traffic = self._connection, self._traffic
        if connection is None or traffic is None or connection.loss:
            raise self._bury()
        flight = Flight(
            batch,
            self._topics,
            self._verdicts.suspects,
            max_packet=self._max_packet,
            version=self._options.version,
        )
        try:
            traffic.carry(flight)
            await self._arrive(flight, connection, traffic)
        finally:
            traffic.let_go()
        if flight.nobody_listens is not None and self._options.version == 5:
            self.nobody_listens = flight.nobody_listens
        rejected = self._verdicts.outcome(flight)
        if self._showing.went_on(without=bool(rejected)):
            self._show_status(traffic, self._told_status())
            await self._show_all(traffic)
            traffic.fill()
        return rejected

    async def _arrive(self, flight: Flight, connection: Connection, traffic: Window) -> None:
        timeout_s = self._options.timeout_s
        while not (flight.is_done or connection.loss or traffic.broken):
            patience_s = traffic.last_ack + timeout_s - time.monotonic()
            if patience_s <= 0:
                connection.abort(Loss(End.SILENT, detail=f"no acknowledgement for {timeout_s:g} s"))
            with anyio.move_on_after(patience_s):
                await flight.ended.wait()
        if traffic.broken:
            connection.abort(Loss(End.CLOSED))
        if not flight.is_done:
            raise self._bury(flight)

    def _bury(self, flight: Flight | None = None) -> SinkUnavailable:
        """Forget the dead connection and say how it died."""
        connection, self._connection = self._connection, None
        traffic, self._traffic = self._traffic, None
        if connection is None or connection.loss is None:
            return SinkUnavailable(f"There is no connection to {self._options.endpoint}.", fault="mqtt_lost")
        was_shown = traffic is not None and self._find_out(connection.loss, traffic)
        lived_s = time.monotonic() - self._opened_at
        return self._verdicts.lost(connection.loss, lived_s, flight, blames_event=not was_shown)

    def _find_out(self, loss: Loss, traffic: Window) -> bool:
        """Note what the broker closed on; True when that can be something shown, and is no event's doing."""
        if loss.end is End.SILENT or not loss.may_be_the_event:
            return False
        return self._showing.ended_connection(traffic.unanswered_state, traffic.answered_state)

    async def close(self) -> None:
        connection, traffic = self._connection, self._traffic
        if connection is None:
            return
        # Also in the middle of a shutdown, and never for long: the broker may be gone.
        with anyio.move_on_after(_GOODBYE_S, shield=True):
            if traffic and connection.loss is None:
                traffic.forget_states()
                traffic.show(self._topics.status, self._offline(reason="stopped"))
                traffic.fill()
                await traffic.drained()
                await connection.leave()
        connection.abort(Loss(End.OURS))
        self._connection = self._traffic = None

    async def publish_states(self, states: Sequence[State]) -> None:
        if self._traffic and self.connected and not self._showing.withheld:
            for topic, payload in self._showable(states):
                self._traffic.show(topic, payload)
            self._traffic.fill()

    async def publish_status(self, status: bytes) -> None:
        if self._traffic and self.connected and not self._showing.withheld:
            self._show_status(self._traffic, status)
            self._traffic.fill()

    def _told_status(self) -> bytes:
        """Give the status; where the disk keeps it from being told, at least that the gateway is there."""
        try:
            return self._status()
        except (StoreUnavailable, OSError):  # best effort, as the states are
            return json.dumps({"state": "online", "gateway": self._options.gateway_id}).encode()

    def _show_status(self, traffic: Window, status: bytes) -> None:
        """Show as much of the status as the broker takes; with many faults it is long."""
        for form in shorter(status):
            if self._takes(self._topics.status, form):
                traffic.show(self._topics.status, form)
                return

    def _takes(self, topic: str, payload: bytes) -> bool:
        fits = packet_size(topic, payload, self._options.version) <= self._max_packet
        return fits and self._showing.fits(topic, payload)

    def describe(self) -> Mapping[str, Json]:
        """Say what the status page shows of this sink; nothing in it is secret."""
        options, traffic = self._options, self._traffic
        refused = traffic.state_refused if traffic else None
        terms = self._connection.terms if self._connection and self.connected else None
        return {
            "endpoint": options.endpoint,
            "client_id": options.client_id,
            "username": options.username,
            "version": options.version_name,
            "topics": self._topics.root,
            "connected": self.connected,
            "connected_since": terms.since.isoformat(timespec="seconds") if terms else None,
            "receive_maximum": terms.receive_maximum if terms else None,
            "max_packet": terms.max_packet if terms else None,
            "inflight": traffic.limit if traffic else options.inflight,
            "state_refused": None if refused is None else trouble.refusal(refused),
            "nobody_listens": self.nobody_listens,
        }

    @property
    def _max_packet(self) -> int:
        terms = self._connection.terms if self._connection else None
        return min(
            terms.max_packet or LARGEST_PACKET if terms else LARGEST_PACKET,
            self._options.max_packet_bytes or LARGEST_PACKET,
        )

    def _showable(self, states: Sequence[State]) -> Iterator[tuple[str, bytes]]:
        for state in states:
            with contextlib.suppress(Rejected):  # its events are rejected with a reason; once is enough
                topic = self._topics.state(state.device)
                if self._takes(topic, state.payload):
                    yield topic, state.payload

    def _offline(self, **more: str) -> bytes:
        return json.dumps({"state": "offline", "gateway": self._options.gateway_id, **more}).encode()

    def _acknowledged(self, mid: int, code: int) -> bool:
        return self._traffic is not None and self._traffic.acknowledge(mid, code)

    def _turn(self) -> None:
        if self._connection and self._traffic:
            if self._connection.loss:
                self._traffic.stop()
            else:
                self._traffic.fill()
