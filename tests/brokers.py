"""Brokers for tests: a real mosquitto, a real subscriber, and a broker that misbehaves to order."""

import asyncio
import contextlib
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.simulate.ports import free_port


class Mosquitto:
    """A mosquitto of our own on a loopback port; it keeps the port over restarts.

    ``lines`` go into its configuration. Used as a context manager it is started and killed.
    """

    def __init__(self, directory: Path, *lines: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        own = [f"listener {self.port} 127.0.0.1", *lines]
        given = {line.split()[0] for line in lines}
        if "allow_anonymous" not in given:
            own.append("allow_anonymous true")
        if "persistence" not in given:
            own.append("persistence false")
        if "max_queued_messages" not in given:
            own.append("max_queued_messages 0")  # by default it drops what a subscriber is too slow for
        # Started as root, it would become a user who cannot read the test's own files.
        own += ["user root", f"log_dest file {directory / 'mosquitto.log'}"]
        self.config = directory / f"mosquitto-{self.port}.conf"
        self.config.write_text("\n".join(own) + "\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def start(self) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.fail("mosquitto is not installed: apt-get install mosquitto")
        self._process = subprocess.Popen(
            [program, "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        pytest.fail(f"mosquitto did not start: {(self.directory / 'mosquitto.log').read_text()}")

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Make it a black hole: connections stand and nothing answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    retain: bool  # it was kept by the broker, not published now


class Subscriber:
    """A real client that keeps what it is sent; it reconnects by itself."""

    def __init__(
        self, port: int, topic: str = "#", *, name: str = "watcher", password: str | None = None
    ) -> None:
        self.messages: list[Message] = []
        self._news = threading.Condition()
        self._subscribed = threading.Event()
        self._lost = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv311
        )
        if password is not None:
            self._client.username_pw_set(name, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._cut_off()
        self._client.on_message = self._came
        self._client.connect("127.0.0.1", port)

    def _came(self, _client, _userdata, message) -> None:
        with self._news:
            self.messages.append(Message(message.topic, message.payload, message.retain))
            self._news.notify_all()

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(10), "the subscriber could not subscribe"
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _cut_off(self) -> None:
        self._subscribed.clear()
        self._lost.set()

    def wait_lost(self) -> None:
        """Wait until the broker is gone and all that it had sent is read. Blocks: call it in a thread."""
        assert self._lost.wait(10), "the subscriber is still connected"

    def wait_connected(self) -> None:
        """Wait until the subscription stands, after the broker came back. Blocks: call it in a thread."""
        assert self._subscribed.wait(10), "the subscriber did not come back"

    def wait_for(self, enough: Callable[[Sequence[Message]], object], timeout_s: float = 10) -> list[Message]:
        """Wait until what came is enough, and return all of it. Blocks: call it in a thread."""
        with self._news:
            if not self._news.wait_for(lambda: enough(self.messages), timeout_s):
                pytest.fail(f"not enough came: {self.messages[-20:]}")
            return list(self.messages)


async def watch(subscriber: Subscriber, enough: Callable[[Sequence[Message]], object]) -> list[Message]:
    """Wait for messages without blocking the loop."""
    return await asyncio.to_thread(subscriber.wait_for, enough)


@dataclass(frozen=True)
class Published:
    topic: str
    payload: bytes
    mid: int
    dup: bool
    retain: bool
    connection: int  # 0 for the first connection, …
    wire_bytes: int = 0  # with its fixed header


ACCEPT = b"\x00"
CLOSE = "close"
IGNORE = None
Answer = bytes | str | None


@dataclass
class FakeBroker:
    """A broker that does what the test says, byte by byte.

    ``answer`` gets each PUBLISH and returns the reason code as one byte, or `IGNORE`, or `CLOSE`.
    """

    version: int = 5
    connack: bytes | None = b"\x00\x00\x00"  # after the fixed header; None: CONNECT is never answered
    answer: Callable[[Published], Answer] = lambda _published: ACCEPT
    farewell: bytes = b""  # written before a CLOSE
    published: list[Published] = field(default_factory=list)
    connects: list[bytes] = field(default_factory=list)
    goodbyes: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _writer: asyncio.StreamWriter | None = None

    def write(self, data: bytes) -> None:
        """Send anything on the newest connection."""
        assert self._writer is not None
        self._writer.write(data)

    def later(self, delay_s: float, data: bytes) -> None:
        asyncio.get_running_loop().call_later(delay_s, self.write, data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writer = writer
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.connects)
        while True:
            first, body, wire_bytes = await _packet(reader)
            match first >> 4:
                case 1:
                    self.connects.append(body)
                    if self.connack is not None:
                        writer.write(b"\x20" + bytes([len(self.connack)]) + self.connack)
                case 3:
                    if not self._take(_published(first, body, number, self.version, wire_bytes), writer):
                        await writer.drain()
                        writer.close()
                        return
                case 12:
                    writer.write(b"\xd0\x00")
                case 14:
                    self.goodbyes += 1
                    return

    def _take(self, message: Published, writer: asyncio.StreamWriter) -> bool:
        self.published.append(message)
        answer = self.answer(message)
        if isinstance(answer, str):
            writer.write(self.farewell)
            return False
        if answer is not None:
            writer.write(puback(message.mid, answer if self.version == 5 and answer != ACCEPT else b""))
        return True

    @property
    def open_connections(self) -> int:
        return len(self._tasks)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["FakeBroker"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()

    def events(self, connection: int | None = None) -> list[Published]:
        """What came on event topics, on one connection or on all."""
        return [
            p
            for p in self.published
            if p.topic.endswith("/event") and (connection is None or p.connection == connection)
        ]


def puback(mid: int, reason: bytes = b"") -> bytes:
    return b"\x40" + bytes([2 + len(reason)]) + struct.pack("!H", mid) + reason


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes, int]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            return first, await reader.readexactly(length), 1 + shift // 7 + length


def _published(first: int, body: bytes, connection: int, version: int, wire_bytes: int) -> Published:
    topic_end = 2 + struct.unpack_from("!H", body)[0]
    (mid,) = struct.unpack_from("!H", body, topic_end)
    start = topic_end + 2 + (1 if version == 5 else 0)
    return Published(
        body[2:topic_end].decode(),
        body[start:],
        mid,
        bool(first & 8),
        bool(first & 1),
        connection,
        wire_bytes,
    )
