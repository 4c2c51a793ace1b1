"""The bytes of one connection: our PUBLISHes and their PUBACKs beside the rest, which is paho's.

paho keeps a message, with a lock and a condition, for each PUBLISH, writes each with a call of its own and reads each
answer in three: four fifths of what an event costs on its way to a broker. Nothing of that is of use here: the log
keeps the messages, and the window knows what is out. So PUBLISH and PUBACK pass paho by, as whole packets, in one
buffer with what paho writes; what else a broker may say (CONNACK, PINGRESP, DISCONNECT) is paho's as ever.

Nothing else gets as far as paho, which would keep every message that a broker makes up, and answer it: we subscribe to
nothing, so whatever is neither an answer nor a farewell ends the connection, and so does what is too long to be one.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.sinks.mqtt import tcp

# Bytes; the longest honest ones hold a reason in words. What paho makes of their properties grows with the square of them.
LARGEST_ANSWER = 4_096

_PUBLISH_QOS_1, _RETAIN = 0x32, 0x01
_CONNACK, _PUBACK, _PINGREQ, _PINGRESP, _DISCONNECT = 0x20, 0x40, 0xC0, 0xD0, 0xE0
_UNASKED = {  # what brokers send to those who asked for it; other kinds are no broker's, or none at all
    0x20: "a second CONNACK",
    0x30: "PUBLISH",
    0x50: "PUBREC",
    0x60: "PUBREL",
    0x70: "PUBCOMP",
    0x90: "SUBACK",
    0xB0: "UNSUBACK",
    0xD0: "PINGRESP without a ping",
    0xF0: "AUTH",
}
# The codes that a PUBACK can have; 0x95 (packet too large) is none by the standard, and what Mosquitto answers.
_TAKEN_OR_NOT = frozenset((0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x95, 0x97, 0x99))
_STRANGERS = {  # how others begin, who are no broker
    b"HTTP/": "it is a web server",
    b"\x15\x03": "it wants TLS. Is it the broker, write mqtts:// in the endpoint",
}
_READ_BYTES = 16_384  # at a time, so that devices get their turn; as much as TLS has in one record
_LENGTH_BYTES = 4
_WAIT = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True, slots=True)
class Nonsense:
    """What a broker must not send; ``unasked`` when it is good MQTT, only not for us."""

    unasked: bool
    what: str


class Stream:
    """The socket that paho is given."""

    def __init__(self, sock: socket.socket, on_unsent: Callable[[], None]) -> None:
        """Call ``on_unsent`` when there is something to write."""
        self.sock = sock
        self.failed = False  # a write failed: what can be read is read first, and that tells why
        self._on_unsent = on_unsent
        self._unsent = bytearray()
        self.nonsense: Nonsense | None = None  # once it is something, nothing more is read
        self._arrived = bytearray()  # not told apart yet
        self._for_paho = bytearray()
        self.greeted = False  # CONNACK came
        self._pings = 0  # not answered yet
        self._ended: OSError | bytes | None = None  # how reading ended, once it has

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    # Writing

    @property
    def unsent(self) -> bool:
        """Something waits for room in the socket."""
        return bool(self._unsent)

    def send(self, data: bytes) -> int:
        """Take a packet of paho's."""
        if data[0] == _PINGREQ:
            self._pings += 1
        self._unsent += data
        self.flush()
        if self._unsent:
            self._on_unsent()
        return len(data)

    def put(self, packet: bytes) -> None:
        """Take a packet of ours; `flush` writes it together with those that come in the same moment."""
        if not self._unsent:
            self._on_unsent()
        self._unsent += packet

    def flush(self) -> None:
        """Write what the socket takes."""
        try:
            while self._unsent and not self.failed:
                del self._unsent[: self.sock.send(self._unsent)]
        except _WAIT:
            pass  # the socket is full: the rest goes when the loop says that it takes more
        except OSError:
            # A broker that refuses an event and hangs up resets the connection while the rest of the window is being
            # written: its acknowledgements that had come by then must still be read.
            self.failed = True
        if self.failed:
            self._unsent.clear()

    # Reading

    def fill(self) -> None:
        """Read what has arrived."""
        tcp.acknowledge_at_once(self.sock)
        try:
            while True:
                data = self.sock.recv(_READ_BYTES)
                self._arrived += data
                if not data:
                    self._ended = b""
                # TLS may hold decrypted bytes that the loop cannot see on the socket.
                if not data or not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
                    return
        except _WAIT:
            pass  # all that is there was read
        except OSError as error:
            self._ended = error

    def acknowledged(self) -> Iterator[tuple[int, int]]:
        """Give identifier and reason code of each PUBACK that is here whole; other answers go to paho."""
        data = self._arrived
        while data and self.nonsense is None:
            self.nonsense = self._beyond_answer(data[0]) if self.greeted else _beyond_greeting(data)
            head = _head(data)
            if self.nonsense or head is None:
                return
            begin, end = head
            if end > LARGEST_ANSWER:
                self.nonsense = Nonsense(unasked=False, what=f"a packet of {end} bytes")
                return
            if len(data) < end:
                return
            if data[0] != _PUBACK:
                self._hand_over(data[:end])
                del data[:end]
                continue
            code = data[begin + 2] if end - begin > 2 else 0
            if end - begin < 2 or code not in _TAKEN_OR_NOT:
                self.nonsense = Nonsense(unasked=False, what=f"PUBACK {data[:8].hex(' ')}")
                return
            identifier = data[begin] << 8 | data[begin + 1]
            del data[:end]
            yield identifier, code

    def _beyond_answer(self, first: int) -> Nonsense | None:
        """Say what is wrong with a packet that begins like this, now."""
        if first in (_PUBACK, _DISCONNECT) or (first == _PINGRESP and self._pings):
            return None
        kind = _UNASKED.get(first & 0xF0)
        return Nonsense(unasked=kind is not None, what=kind or f"a packet that begins with 0x{first:02x}")

    def _hand_over(self, packet: bytearray) -> None:
        if packet[0] == _CONNACK:
            self.greeted = True
        elif packet[0] == _PINGRESP:
            self._pings -= 1
        self._for_paho += packet

    @property
    def has_news(self) -> bool:
        """There is something that paho should read."""
        return bool(self._for_paho) or self._ended is not None

    def recv(self, size: int) -> bytes:
        """Give paho what is its own."""
        if self._for_paho:
            part = bytes(self._for_paho[:size])
            del self._for_paho[:size]
            return part
        if self._ended is None:
            raise BlockingIOError
        if isinstance(self._ended, OSError):
            raise self._ended
        return self._ended


def publish_packet(topic: str, payload: bytes, identifier: int, *, retain: bool, version: int) -> bytes:
    """Write a PUBLISH with QoS 1."""
    name = topic.encode()
    properties = b"\0" if version == 5 else b""
    rest = b"%b%b%b%b%b" % (
        len(name).to_bytes(2, "big"),
        name,
        identifier.to_bytes(2, "big"),
        properties,
        payload,
    )
    kind = _PUBLISH_QOS_1 | _RETAIN if retain else _PUBLISH_QOS_1
    return b"%c%b%b" % (kind, _length(len(rest)), rest)


def _length(size: int) -> bytes:
    """Write a length as MQTT does: seven bits a byte, the lowest first."""
    written = bytearray()
    while size > 0x7F:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    written.append(size)
    return bytes(written)


def _beyond_greeting(data: bytearray) -> Nonsense | None:
    """Say what it is that does not begin as a broker does."""
    if data[0] in (_CONNACK, _DISCONNECT):
        return None
    known = (what for begin, what in _STRANGERS.items() if data.startswith(begin))
    return Nonsense(unasked=False, what=next(known, "what it says is no MQTT"))


def _head(data: bytearray) -> tuple[int, int] | None:
    """Say where the rest of the first packet begins and ends; None while that cannot be known."""
    size = 0
    for at in range(1, 1 + _LENGTH_BYTES):
        if at >= len(data):
            return None
        size |= (data[at] & 0x7F) << 7 * (at - 1)
        if data[at] < 0x80:
            return at + 1, at + 1 + size
    return 1 + _LENGTH_BYTES, LARGEST_ANSWER + 1  # no length at all
