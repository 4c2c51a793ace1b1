"""All polls that are being driven: started, changed by a reload, and ended."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio
import structlog
from anyio import CapacityLimiter
from anyio.abc import TaskGroup

from gateway.faults import Faults
from gateway.intake import Intake
from gateway.outbox import Outbox
from gateway.poller.loop import Loop
from gateway.poller.standing import Standing
from gateway.poller.troubles import Troubles
from gateway.poller.turns import Turns
from gateway.source import Poll

log = structlog.get_logger()

# Runs a part under a name until it ends by itself, and starts it again when it dies.
KeepRunning = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]

_END_S = 10.0


@dataclass(slots=True)
class _Driven:
    loop: Loop
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Poller:
    """Drives every poll in a task of its own; polls with one key take turns."""

    def __init__(self, outbox: Outbox, intake: Intake, faults: Faults, keep_running: KeepRunning) -> None:
        self.listeners: list[Callable[[Standing], None]] = []  # told when a poll begins or ceases to answer
        self._outbox = outbox
        self._intake = intake
        self._faults = faults
        self._keep_running = keep_running
        self._troubles = Troubles(faults)
        self._turns = Turns(outbox)
        self._reading = CapacityLimiter(1)  # of large answers, or together they would take what devices need
        self._driven: dict[str, _Driven] = {}

    def __len__(self) -> int:
        return len(self._driven)

    def standings(self) -> dict[str, Standing]:
        """Say of every poll, by its name, whether it is answered."""
        return {name: driven.loop.standing for name, driven in self._driven.items()}

    async def put(self, tasks: TaskGroup, polls: Iterable[Poll]) -> None:
        """Drive exactly these polls from now on; one that is driven already and equal goes on undisturbed."""
        wanted = {poll.name: poll for poll in polls}
        await self.end([name for name, one in self._driven.items() if one.loop.poll != wanted.get(name)])
        for name, poll in wanted.items():
            if name not in self._driven:
                self._start(tasks, poll)

    async def end(self, names: Sequence[str] | None = None) -> None:
        """Stop asking: all, or those that are named. What was being put on disk gets there."""
        ending = [self._driven.pop(name) for name in (list(self._driven) if names is None else names)]
        for driven in ending:
            driven.scope.cancel()
        with anyio.move_on_after(_END_S):
            for driven in ending:
                await driven.ended.wait()
        for driven in ending:
            self._troubles.forget(driven.loop.poll.name)
            driven.loop.forget_notices()

    def _start(self, tasks: TaskGroup, poll: Poll) -> None:
        self._troubles.drive(poll.name)
        loop = Loop(
            poll,
            self._outbox,
            self._intake,
            self._faults,
            self._troubles,
            self._turns,
            self._reading,
            self._tell,
        )
        driven = self._driven[poll.name] = _Driven(loop)
        tasks.start_soon(self._drive, driven)

    async def _drive(self, driven: _Driven) -> None:
        try:
            with driven.scope:
                await self._keep_running(f"poll {driven.loop.poll.name}", driven.loop.run)
        finally:
            driven.ended.set()

    def _tell(self, standing: Standing) -> None:
        log.info("poll_standing", poll=standing.name, answers=standing.answers, trouble=standing.trouble)
        for listener in self.listeners:
            listener(standing)
