"""One connection to the broker: paho on the asyncio loop, single-threaded, from CONNECT to its end.

Every connection has a paho client of its own. paho sends again on reconnect whatever it has not seen
acknowledged; a client that never reconnects cannot, so an event exists once on the wire however often we
connect. paho holds a plain lock while it calls back: a callback must only take notes, never call paho.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import SinkUnavailable
from gateway.sinks.mqtt import tcp, trouble
from gateway.sinks.mqtt.dial import dial
from gateway.sinks.mqtt.options import MqttOptions
from gateway.sinks.mqtt.stream import LARGEST_ANSWER, Stream, publish_packet
from gateway.sinks.mqtt.trouble import End, Loss

_TICK_S = 1.0  # how often paho looks at its keep-alive
_NO_LIMIT = 65_535
_DETAIL_CHARS = 100
_MISFIT = "a packet whose parts do not fit"
_STRAYS = 100  # acknowledgements of nothing, between two of something; brokers do say one twice


@dataclass(frozen=True, slots=True)
class Terms:
    """What the broker said in CONNACK. 3.1.1 says nothing: the defaults then hold."""

    since: datetime
    receive_maximum: int = _NO_LIMIT
    max_packet: int | None = None
    qos_1: bool = True
    retain: bool = True


class _Client(Client):
    """paho with a socket that is connected already: its own way of connecting blocks, and leaks failed ones."""

    ready: Stream | None = None

    def _create_socket(self) -> Any:
        return self.ready

    def heard(self) -> None:
        """Note that bytes came which paho does not see: a line on which they come slowly is not silent."""
        with self._msgtime_mutex:
            self._last_bytes_received = time.monotonic()


class Connection:
    """A connection that is opened once, may be lost at any time, and is thrown away then."""

    def __init__(
        self,
        options: MqttOptions,
        *,
        will: tuple[str, bytes] | None,
        on_ack: Callable[[int, int], bool],
        on_turn: Callable[[], None],
    ) -> None:
        """Call ``on_ack`` with identifier and reason code of each PUBACK, and ``on_turn`` after each reading.

        ``on_ack`` says whether anything waited for it.
        """
        self.loss: Loss | None = None
        self.ended = anyio.Event()
        self.terms: Terms | None = None
        self._refusal: SinkUnavailable | None = None
        self._answered = anyio.Event()
        self._options = options
        self._on_ack = on_ack
        self._on_turn = on_turn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sock: Stream | None = None
        self._identifier = 0  # of the last PUBLISH
        self._crowded = False  # the socket had no room, and the loop says when it has
        self._timer: asyncio.TimerHandle | None = None
        self._complaint = ""
        self._strays = 0
        self._client = self._new_client(will)

    def _new_client(self, will: tuple[str, bytes] | None) -> _Client:
        options = self._options
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=MQTTProtocolVersion(options.version),
            reconnect_on_failure=False,
        )
        client.username_pw_set(options.username, options.password)
        if will is not None:
            client.will_set(*will, qos=1, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_log = self._logged
        client.on_socket_open = self._attach
        client.on_socket_close = self._detach
        return client

    async def open(self) -> Terms:
        """Connect and wait for the broker's word, within the time for connecting."""
        options = self._options
        try:
            with anyio.fail_after(options.connect_timeout_s):
                self._start(await dial(options.host, options.port, options.tls, options.connect_timeout_s))
                await self._answered.wait()
        except TimeoutError as error:
            attached = self._loop is not None
            raise (
                trouble.no_answer(options) if attached else trouble.out_of_reach(error, options)
            ) from error
        except (OSError, ValueError) as error:
            raise trouble.out_of_reach(error, options) from error
        finally:
            if self.terms is None:
                self.abort(Loss(End.OURS))
        if self._refusal:
            raise self._refusal
        if self.terms is None:
            raise trouble.ended_early(self.loss or Loss(End.CLOSED), options)
        return self.terms

    def _start(self, sock: socket.socket) -> None:
        options, client = self._options, self._client
        self._loop = asyncio.get_running_loop()
        self._sock = client.ready = Stream(sock, self._unsent)
        tcp.send_at_once(sock)
        client.connect(options.host, options.port, keepalive=options.keepalive_s, properties=_wishes(options))
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> int | None:
        """Hand over one message, QoS 1; return its identifier, or None when the connection cannot take it."""
        if self._sock is None or self._sock.failed or self.loss is not None:
            return None
        self._identifier = self._identifier % _NO_LIMIT + 1
        version = self._options.version
        self._sock.put(publish_packet(topic, payload, self._identifier, retain=retain, version=version))
        return self._identifier

    async def leave(self) -> None:
        """Say goodbye, so that the broker drops the will, and wait until it is written."""
        if self.loss is None:
            self._client.disconnect()
            await self.ended.wait()

    def abort(self, loss: Loss) -> None:
        """Drop the connection now. What is not sent yet never will be; the broker publishes the will."""
        client = self._client
        client.on_socket_close = client.on_disconnect = None
        if self._sock is not None and self._sock.fileno() >= 0:
            self._detach(client, None, self._sock)
            tcp.reset(self._sock.sock)
        self._finish(loss)

    def _finish(self, loss: Loss) -> None:
        if self.loss is None:
            self.loss = loss
        if self._timer:
            self._timer.cancel()
        self._answered.set()
        self.ended.set()

    # What the loop calls.

    def _readable(self) -> None:
        stream = self._sock
        if stream is None:
            return
        stream.fill()
        for identifier, code in stream.acknowledged():
            self._client.heard()
            self._strays = 0 if self._on_ack(identifier, code) else self._strays + 1
            if self._strays > _STRAYS:
                self.abort(Loss(End.UNASKED, detail="PUBACKs of what was never sent"))
                break
        else:
            self._let_paho_read(stream)
        if stream.nonsense and self.loss is None:
            bad = End.UNREADABLE if stream.greeted else End.FOREIGN
            self.abort(Loss(End.UNASKED if stream.nonsense.unasked else bad, detail=stream.nonsense.what))
        self._on_turn()

    def _let_paho_read(self, stream: Stream) -> None:
        try:
            while self._client.socket() and stream.has_news:
                self._client.loop_read()
        except Exception as error:  # noqa: BLE001 - paho raises whatever its reading of a bad packet ends in
            self.abort(Loss(End.UNREADABLE, detail=str(error)[:_DETAIL_CHARS] or _MISFIT))

    def _unsent(self) -> None:
        """Write when all is there that comes in this turn."""
        if self._loop is not None:
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        stream = self._sock
        if stream is None or self._loop is None or self.loss is not None:
            return
        stream.flush()
        if stream.unsent:
            self._loop.add_writer(stream, self._write)
        elif self._crowded:
            self._loop.remove_writer(stream)
        self._crowded = stream.unsent

    def _tick(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(_TICK_S, self._tick)
            if (
                self._sock is not None and self._sock.failed
            ):  # and for a second nothing was read that says why
                self.abort(Loss(End.CLOSED, detail=self._complaint))
            else:
                self._client.loop_misc()
            if self.ended.is_set():
                self._on_turn()

    # What paho calls, with its lock held.

    def _attach(self, _client: Client, _userdata: object, sock: Any) -> None:
        if self._loop is not None:
            self._loop.add_reader(sock, self._readable)

    def _detach(self, _client: Client, _userdata: object, sock: Any) -> None:
        if self._loop is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _connected(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        code: ReasonCode,
        said: Properties | None,
    ) -> None:
        client.on_log = None  # from here on it would only cost time
        if code.is_failure:
            self._refusal = trouble.refused(code.value, str(code), self._options)
        else:
            self.terms = Terms(
                since=datetime.now(UTC),
                receive_maximum=getattr(said, "ReceiveMaximum", _NO_LIMIT),
                max_packet=getattr(said, "MaximumPacketSize", None),
                qos_1=getattr(said, "MaximumQoS", 1) > 0,
                retain=bool(getattr(said, "RetainAvailable", 1)),
            )
        self._answered.set()

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        code: ReasonCode,
        _said: Properties | None,
    ) -> None:
        told = flags.is_disconnect_packet_from_server
        end = End.TOLD if told else _ENDS.get(code.value, End.CLOSED)
        detail = f"{str(code).lower()}, 0x{code.value:02x}" if told else self._complaint
        if end is End.UNREADABLE:
            detail = detail or _MISFIT
        self._finish(Loss(end, code.value if told else 0, detail))

    def _logged(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._complaint = text


def _wishes(options: MqttOptions) -> Properties | None:
    """Say what the broker must keep to; MQTT 3.1.1 has no words for it."""
    if options.version != 5:
        return None
    wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
    wishes.MaximumPacketSize = LARGEST_ANSWER
    return wishes


_ENDS = {0x00: End.OURS, 0x82: End.UNREADABLE, 0x8D: End.SILENT}  # how paho translates what it saw itself
