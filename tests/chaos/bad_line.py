"""A TCP line between two processes that goes bad at command, and counts what it really did to the traffic.

It lives in a thread with a loop of its own. `weather` may be changed at any moment, from any thread. What a line
swallows is gone for that connection: nothing passes in that direction any more, and neither side is told, as when a
router forgets a connection. What it holds is kept and comes later, as over a network that finds its way again.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Self

from gateway.simulate.ports import free_port

UP, DOWN = "up", "down"  # from who connected to who listens; back
RST, FIN = "rst", "fin"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 16_384
_KEPT = 64  # chunks on the way in one direction; then the sender has to wait
_TURN_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What the line does to what passes; by default nothing."""

    delay_s: float = 0.0  # each way
    stall: float = 0.0  # the part of all chunks that needs to be sent again
    stall_s: float = 1.0
    bytes_per_s: float = 0.0  # each way; 0 is no limit
    swallow: frozenset[str] = frozenset()  # directions in which nothing passes, and what does is gone
    hold: bool = False  # nothing passes, and all of it comes when the weather changes
    cut_after: int = 0  # bytes in direction `cut_in` after which the connection breaks; 0: it does not
    cut_in: str = UP
    cut_how: str = RST


FINE = Weather()
SATELLITE = Weather(delay_s=0.3, stall=0.02)  # 600 ms there and back, and 2 % sent again
BLACK_HOLE = Weather(swallow=frozenset({UP, DOWN}))
HALF_OPEN = Weather(swallow=frozenset({DOWN}))  # it arrives, and no answer ever comes back


class BadLine:
    """Listens on a port of its own and carries bytes to another port of this machine."""

    def __init__(self, target: int, *, seed: int = 1) -> None:
        self.port = free_port()
        self.weather = FINE
        self.did: Counter[str] = (
            Counter()
        )  # chunks delayed, stalled, throttled, swallowed, held; connections cut, …
        self._target = target
        self._chance = random.Random(seed)
        self._open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._carrying: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bad-line", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def close(self) -> None:
        self.refuse()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def listen(self) -> None:
        """Take connections again, on the same port."""
        self._do(self._listen())

    def refuse(self) -> None:
        """Break what there is and close the port: who comes is refused by the system."""
        self._do(self._refuse())

    def cut(self, how: str = RST) -> int:
        """Break every connection now; give how many there were."""
        return self._do(self._cut_all(how))

    def _do(self, wanted: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(wanted, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def _refuse(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self.did["ports closed"] += 1
            await self._cut_all(RST)

    async def _cut_all(self, how: str) -> int:
        pairs = list(self._open)
        for pair in pairs:
            _break(pair, how)
        self.did["connections cut"] += len(pairs)
        await asyncio.sleep(0)
        return len(pairs)

    async def _end(self) -> None:
        for task in list(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        pair = None
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            pair = (writer, far_writer)
            self._open.add(pair)
            self.did["connections"] += 1
            ways = (_Way(self, UP, reader, far_writer, pair), _Way(self, DOWN, far_reader, writer, pair))
            await asyncio.gather(*(way.run() for way in ways))
        except (OSError, asyncio.CancelledError):  # broken off, or `close` was called
            self.did["far end refused"] += pair is None
        finally:
            self._open.discard(pair)
            self._carrying.discard(task)
            for end in pair or (writer,):
                end.transport.abort()


class _Way:
    """One direction of one connection: what was read waits its turn, so that delay does not cost throughput."""

    def __init__(
        self,
        line: BadLine,
        direction: str,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        self._line, self._direction, self._pair = line, direction, pair
        self._source, self._target = source, target
        self._kept: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_KEPT)
        self._passed = 0  # bytes since the line began to count down to a cut
        self._dead = False  # something was swallowed: nothing after it can be understood

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            await self._write()
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await reading

    async def _read(self) -> None:
        line, chunk = self._line, b"."
        while chunk:
            try:
                chunk = await self._source.read(_CHUNK)
            except OSError:
                chunk = b""
            wait_s = line.weather.delay_s
            if wait_s:
                line.did["chunks delayed"] += 1
            if line.weather.stall and line._chance.random() < line.weather.stall:
                line.did["chunks stalled"] += 1
                wait_s += line.weather.stall_s
            await self._kept.put((asyncio.get_running_loop().time() + wait_s, chunk))

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await self._kept.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._wait_out_hold()
            if not chunk:
                self._finish()
                return
            if self._swallows():
                self._line.did["chunks swallowed"] += 1
                continue
            if not await self._pass_on(chunk):
                return

    async def _wait_out_hold(self) -> None:
        if self._line.weather.hold:
            self._line.did["chunks held"] += 1
            while self._line.weather.hold:
                await asyncio.sleep(_TURN_S)

    def _swallows(self) -> bool:
        self._dead = self._dead or self._direction in self._line.weather.swallow
        return self._dead

    async def _pass_on(self, chunk: bytes) -> bool:
        """Write a chunk, or as much of it as passes before the cut; say whether the connection stands."""
        line, weather = self._line, self._line.weather
        cuts = bool(weather.cut_after) and self._direction == weather.cut_in
        self._passed = self._passed + len(chunk) if cuts else 0
        if cuts and self._passed >= weather.cut_after:
            keep = len(chunk) - (self._passed - weather.cut_after)
            self._target.write(chunk[: max(keep, 0)])
            await self._target.drain()
            line.did["connections cut"] += 1
            _break(self._pair, weather.cut_how)
            return False
        if weather.bytes_per_s:
            line.did["chunks throttled"] += 1
            await asyncio.sleep(len(chunk) / weather.bytes_per_s)
        self._target.write(chunk)
        await self._target.drain()
        return True

    def _finish(self) -> None:
        """Say the end to the other side, unless the line has gone dead for it."""
        if not self._swallows() and not self._target.is_closing():
            with contextlib.suppress(OSError):
                self._target.write_eof()


def _break(pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter], how: str) -> None:
    for end in pair:
        if how == RST:
            sock: socket.socket = end.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.transport.abort()
        else:
            end.close()
