"""The sinks that are being driven: each with its forwarder, its section of the configuration and its own end."""

import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import anyio
import structlog
from anyio.abc import TaskGroup

from gateway.config import Config
from gateway.config.sink_sections import AnySink
from gateway.daemon import composing
from gateway.daemon.supervision import supervise
from gateway.errors import GatewayError
from gateway.faults import Faults
from gateway.forwarder import Forwarder
from gateway.outbox import Outbox
from gateway.sink import Sink, State

log = structlog.get_logger()

_LAST_S = 4.0  # after the grace: for a sink to leave its far end, then for its task to end
_SINK_FAULTS = ("sink_unavailable", "mqtt_", "https_", "config_rejected")


@dataclass(slots=True)
class Line:
    """One sink that is being driven."""

    forwarder: Forwarder
    section: AnySink
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Lines:
    """Starts and ends the sinks that the configuration names."""

    def __init__(
        self,
        outbox: Outbox,
        faults: Faults,
        *,
        states: Callable[[], Awaitable[Sequence[State]]],
        status: Callable[[], bytes],
    ) -> None:
        self._outbox = outbox
        self._faults = faults
        self._states = states
        self._status = status
        self._lines: dict[str, Line] = {}

    def __iter__(self) -> Iterator[tuple[str, Line]]:
        return iter(list(self._lines.items()))

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, name: str) -> Line | None:
        """Find a sink that is being driven."""
        return self._lines.get(name)

    def named(self, name: str) -> Line:
        """Find a sink that is being driven, or say that there is none."""
        line = self._lines.get(name)
        if line is None:
            raise GatewayError(f"There is no sink {name[:60]!r} in use; `gateway sinks` lists them.")
        return line

    def forwarders(self) -> dict[str, Forwarder]:
        """Give the loops by the names of their sinks."""
        return {name: line.forwarder for name, line in self._lines.items()}

    def connected(self) -> list[Sink]:
        """Give the sinks that have their far end now."""
        return [line.forwarder.sink for line in self._lines.values() if line.forwarder.sink.connected]

    def clock_set(self) -> None:
        """Have those sinks tried again that a wrong clock may have kept from their far ends."""
        for line in self._lines.values():
            line.forwarder.clock_set()

    def waiting(self) -> int:
        """Count what waits for all sinks together."""
        places = [line.forwarder.position for line in self._lines.values()]
        return sum(place.waiting(self._outbox.head) for place in places if place is not None)

    def start(self, tasks: TaskGroup, config: Config, key: str) -> None:
        """Build and drive every enabled sink that is not driven yet; ``key`` is what pseudonyms are made with."""
        for name, section in config.sinks.items():
            if section.enabled and name not in self._lines:
                self._start(tasks, config, name, key)
        if self._lines:
            self._faults.clear("no_sink")
        else:
            self._faults.report("no_sink", "", "Events are received and kept, but nothing is forwarded yet.")

    async def end(self, names: Iterable[str], grace_s: float) -> None:
        """Let sinks send what waits for so long, note their places, and take them out."""
        ending = {name: self._lines.pop(name) for name in list(names)}
        for line in ending.values():
            line.forwarder.stop(grace_s)
        await self._ended(ending, grace_s + _LAST_S)
        for line in ending.values():
            line.scope.cancel()
        await self._ended(ending, _LAST_S)
        for name in ending:
            self._faults.clear_subject(name, _SINK_FAULTS)

    async def _ended(self, lines: dict[str, Line], seconds: float) -> None:
        with anyio.move_on_after(seconds):
            for line in lines.values():
                await line.ended.wait()

    def _start(self, tasks: TaskGroup, config: Config, name: str, key: str) -> None:
        section = config.sinks[name]
        self._faults.clear("config_rejected", name)
        self._outbox.expect(name, section.window)  # also a sink that cannot be used is owed its events
        try:
            sink = composing.sink(config, name, self._states, self._status)
        except (GatewayError, ValueError, OSError) as error:
            self._faults.report("config_rejected", name, f"Sink {name} cannot be used: {error}")
            log.error("sink_unusable", sink=name, reason=str(error))
            return
        forwarder = Forwarder(
            sink,
            self._outbox,
            composing.rendering(config, name, key),
            composing.pacing(section),
            self._faults,
            random.Random(),
        )
        line = self._lines[name] = Line(forwarder, section)
        tasks.start_soon(self._drive, name, line)

    async def _drive(self, name: str, line: Line) -> None:
        try:
            with line.scope:
                await supervise(f"sink {name}", line.forwarder.run, self._faults)
        finally:
            line.ended.set()
