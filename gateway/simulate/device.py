"""A simulated device on the wire: it keeps what it has to say until the other side really took it.

What a device says is written down by its script alone, from its seed and its own clock; the line decides
only when and how often it is sent. So one seed says the same whatever the network does.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from gateway.event import Json
from gateway.simulate.clock import Clock, Stop, pause
from gateway.simulate.facts import Key
from gateway.simulate.ledger import Ledger, Statement
from gateway.simulate.wire import Answer, NoReply, Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How good the connection is, and what the device does about it."""

    resend: float = 0.0  # probability that a reply gets lost, so that the same bytes are sent again
    reorder: float = 0.0  # probability that a push is overtaken by the next one
    spells: tuple[
        tuple[float, float], ...
    ] = ()  # (start, length) without network, device seconds from its start
    keeps: int = (
        50_000  # pushes kept while they cannot be sent; then the oldest is dropped. 0: nothing is kept
    )
    retry_s: float = 1.0  # our seconds between attempts
    timeout_s: float = 10.0  # our seconds that it waits for a reply


@dataclass(frozen=True, slots=True)
class Push:
    """One request, when it is due by the device's clock, and the facts in it."""

    at: float
    # Called, it gives the same bytes each time: kept pictures would fill the memory. None: nothing to say by
    # then; a script must say so about every minute, or an empty shop would never give way to anything else.
    body: bytes | Callable[[], bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: tuple[tuple[Key, Mapping[str, Json]], ...] = ()
    path: str | None = None

    def content(self) -> bytes:
        return self.body() if callable(self.body) else self.body or b""


@dataclass(slots=True)
class Figures:
    """What happened on the wire so far, in pushes."""

    made: int = 0
    attempts: int = 0  # requests of which at least the first byte could leave
    acknowledged: int = 0
    refused: int = 0  # complete replies that were no success in the device's dialect
    unanswered: int = 0
    resent: int = 0  # sent again only because the reply was lost on purpose
    dropped: int = 0  # fell out of the device's own buffer, or was not kept


@dataclass(slots=True)
class _Kept:
    push: Push
    statements: list[Statement]


class Device:
    """The part of every simulated device that sends. A subclass writes the script and knows a success."""

    method = "POST"

    def __init__(
        self, url: str, *, seed: int | str, clock: Clock | None, line: Line | None, ledger: Ledger | None
    ) -> None:
        self.clock = clock or Clock()
        self.ledger = Ledger() if ledger is None else ledger
        self.figures = Figures()
        self.wire = Wire(url, timeout_s=(line or Line()).timeout_s)
        self._line = line or Line()
        self._luck = Random(f"line {seed}")
        self._waiting: deque[_Kept] = deque()
        self._overtaken: list[_Kept] = []
        self._not_before = 0.0  # monotonic: when the next attempt may be made
        self._born = self.clock.now()

    def script(self, start: float) -> Iterator[Push]:
        """Give everything that the device ever wants to say from this moment on, in order of time."""
        raise NotImplementedError

    def took(self, answer: Answer) -> bool:
        """Say whether this reply is a success in the device's dialect."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Pushes that the device still keeps."""
        return len(self._waiting) + len(self._overtaken)

    @property
    def online(self) -> bool:
        return self._spell_end() is None

    async def run(
        self, *, duration_s: float | None = None, stop: Stop | None = None, linger_s: float = 30.0
    ) -> Ledger:
        """Be the device for so many of its seconds, or until ``stop``; then give the ledger.

        After ``duration_s`` it says nothing new, but tries for ``linger_s`` of our seconds to send what it
        still keeps. At ``stop`` it ends with the reply that it is waiting for.
        """
        stop = stop or asyncio.Event()
        self._born = self.clock.now()
        end = self._born + duration_s if duration_s is not None else float("inf")
        try:
            for push in self.script(self._born):
                await self._until(min(push.at, end), stop)
                if stop.is_set() or push.at > end:
                    break
                if push.body is not None:
                    self._keep(push)
            await self._empty(linger_s, stop)
        finally:
            await self.wire.close()
        return self.ledger

    def _keep(self, push: Push) -> None:
        self.figures.made += 1
        kept = _Kept(push, [self.ledger.state(key, truth) for key, truth in push.facts])
        if self._luck.random() < self._line.reorder:
            self._overtaken.append(kept)
            return
        self._waiting.append(kept)
        self._waiting.extend(self._overtaken)
        self._overtaken.clear()
        while len(self._waiting) > max(self._line.keeps, 1):
            self._waiting.popleft()
            self.figures.dropped += 1

    async def _until(self, moment: float, stop: Stop) -> None:
        """Send what is kept until this device time; on a stepping clock, send all of it and then jump."""
        while not stop.is_set():
            offline_until, wait_s = self._spell_end(), self._not_before - time.monotonic()
            if offline_until is not None:
                self.wire.drop()
                await self.clock.until(min(moment, offline_until), stop)
            elif self._waiting and wait_s <= 0:
                await self._send()
            elif self._waiting and self.clock.speed == 0:
                await pause(wait_s, stop)
            else:
                await self.clock.until(moment, stop, at_most_s=wait_s if self._waiting else None)
            if self.clock.now() >= moment and not (self._waiting and self._may_send()):
                return

    async def _empty(self, linger_s: float, stop: Stop) -> None:
        self._waiting.extend(self._overtaken)
        self._overtaken.clear()
        last = time.monotonic() + linger_s
        while self._waiting and not stop.is_set() and time.monotonic() < last:
            offline_until = self._spell_end()
            if offline_until is not None:
                await self.clock.until(offline_until, stop, at_most_s=last - time.monotonic())
            elif self._may_send():
                await self._send()
            else:
                await pause(min(self._not_before, last) - time.monotonic(), stop)

    async def _send(self) -> None:
        """Try the push at the head once; it leaves the buffer when it was taken, or when nothing is kept."""
        kept = self._waiting[0]
        taken = False
        try:
            await self.wire.open()
            self.figures.attempts += 1
            for statement in kept.statements:
                statement.sent = True
            if self._luck.random() < self._line.resend:
                await self._lose_reply(kept.push)
                return
            content, headers = kept.push.content(), kept.push.headers
            answer = await self.wire.exchange(content, headers, path=kept.push.path, method=self.method)
            taken = self.took(answer)
            self.figures.refused += not taken
        except NoReply:
            self.figures.unanswered += 1
        if taken:
            self.figures.acknowledged += 1
            for statement in kept.statements:
                statement.acknowledged = True
        else:
            self._not_before = time.monotonic() + self._line.retry_s
        if taken or self._line.keeps == 0:
            self._waiting.popleft()
            self.figures.dropped += not taken

    async def _lose_reply(self, push: Push) -> None:
        """Send, and never learn what the answer was; the push stays at the head and goes out again at once."""
        self.figures.resent += 1
        if self._luck.random() < 0.5:
            await self.wire.send_and_hang_up(push.content(), push.headers, path=push.path, method=self.method)
        else:
            await self.wire.exchange(push.content(), push.headers, path=push.path, method=self.method)

    def _may_send(self) -> bool:
        return self._spell_end() is None and time.monotonic() >= self._not_before

    def _spell_end(self) -> float | None:
        """Tell when the present spell without network ends; None when there is none."""
        now = self.clock.now()
        spells = [(self._born + start, self._born + start + length) for start, length in self._line.spells]
        return max((end for start, end in spells if start <= now < end), default=None)
