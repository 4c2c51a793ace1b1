"""A far end that does what a test has written down, and a forwarder that drives it."""

import asyncio
import contextlib
import json
import random
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from gateway.errors import SinkUnavailable
from gateway.faults import Faults
from gateway.forwarder import Forwarder, Pacing, Rendering
from gateway.outbox import Outbox
from gateway.retry import Backoff


def later(delivered: int = 0, **more: Any) -> SinkUnavailable:
    return SinkUnavailable("not now", delivered=delivered, **more)


class Scripted:
    """A sink. The script holds one outcome per call of `send`; when it is used up everything is taken.

    An outcome is None (taken), an exception, a mapping of refusals, or a function of the batch that gives one
    of these or a coroutine.
    """

    def __init__(
        self, *script: Any, name: str = "out", window: int = 10, opens: tuple[Any, ...] = ()
    ) -> None:
        self.name, self.window = name, window
        self.connected = True
        self.script = deque(script)
        self.opening = deque(opens)
        self.batches: list[list[int]] = []  # numbers, as they were offered
        self.taken: list[int] = []
        self.payloads: dict[int, dict] = {}
        self.opens = self.closes = 0
        self.watch: Callable[[list[int]], None] = lambda _batch: None

    def describe(self):
        return {}

    async def open(self) -> None:
        self.opens += 1
        if self.opening:
            outcome = self.opening.popleft()
            if outcome is not None:
                raise outcome
        self.connected = True

    async def send(self, batch):
        numbers = [event.seq for event in batch]
        self.batches.append(numbers)
        self.watch(numbers)
        outcome = self.script.popleft() if self.script else None
        if callable(outcome):
            outcome = outcome(batch)
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        await asyncio.sleep(0)
        if isinstance(outcome, BaseException):
            if isinstance(outcome, SinkUnavailable):  # how many come at once is a matter of speed
                outcome.delivered = min(outcome.delivered, len(batch))
                self._take(batch[: outcome.delivered])
            raise outcome
        refused = outcome or {}
        self._take([event for index, event in enumerate(batch) if index not in refused])
        return refused

    async def close(self) -> None:
        self.closes += 1

    def _take(self, events) -> None:
        for event in events:
            self.taken.append(event.seq)
            self.payloads[event.seq] = json.loads(event.payload)


class Line:
    """A forwarder at work."""

    def __init__(self, outbox: Outbox, sink: Scripted, faults: Faults | None = None, **pacing: Any) -> None:
        backoff = pacing.pop("backoff", Backoff(base_s=0.01, cap_s=0.02))
        self.sink, self.outbox, self.faults = sink, outbox, faults or Faults()
        self.forwarder = Forwarder(
            sink,
            outbox,
            Rendering(
                gateway_id="gw",
                sink=sink.name,
                pseudonym_key=b"k" * 32,
                personal=frozenset(),
                late_after_ms=10**15,
            ),
            Pacing(**{"live_first": False, "rate_per_s": 0, "backoff": backoff, **pacing}),
            self.faults,
            random.Random(1),
        )
        self.task = asyncio.create_task(self.forwarder.run())

    @property
    def position(self):
        return self.forwarder.position

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait for something to come true; a forwarder that dies ends the wait."""
        async with asyncio.timeout(seconds):
            while not condition():
                if self.task.done():
                    self.task.result()
                    raise AssertionError("the forwarder ended")
                await asyncio.sleep(0.002)

    async def drained(self) -> None:
        """Wait until nothing is owed and everything is on disk."""
        await self.until(
            lambda: (
                self.position
                and self.position.waiting(self.outbox.head) == 0
                and not self.position.arrears
                and self.outbox.sinks.is_settled(self.sink.name)
            )
        )

    async def stop(self, grace_s: float = 5.0) -> None:
        self.forwarder.stop(grace_s)
        await self.task

    async def kill(self) -> None:
        """End it as a crash would."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def driven(outbox: Outbox, sink: Scripted, **pacing: Any) -> AsyncIterator[Line]:
    line = Line(outbox, sink, **pacing)
    try:
        yield line
    finally:
        if not line.task.done():
            await line.stop(0)


def on_disk(outbox: Outbox, sink: str) -> dict[str, Any]:
    """Read a sink's row as somebody else sees it."""
    with contextlib.closing(sqlite3.connect(outbox.path)) as conn:
        conn.row_factory = sqlite3.Row
        row = conn.execute("SELECT * FROM sinks WHERE name = ?", (sink,)).fetchone()
        return dict(row) if row else {}
