"""Show the newest state of devices, zones and gateway on the sinks that have a place for it."""

import json
import math
from collections.abc import Callable, Iterable, Sequence

import anyio

from gateway import clock
from gateway.errors import StoreUnavailable
from gateway.outbox import Outbox
from gateway.projection import Day, Projection
from gateway.sink import Sink, State, StateSink

_PAUSE_S = 1.0  # a busy door changes its state once a second, not with every push
_STATUS_S = 30.0
_REFRESH_S = 60.0  # what changes with time alone, such as the minutes that are missing
_MANY = 2_000


async def show_states(
    outbox: Outbox,
    projection: Projection,
    sinks: Callable[[], Iterable[Sink]],
    status: Callable[[], dict[str, object]],
) -> None:
    """Publish the states that changed, and the status when it changed, for ever."""
    wake = anyio.Event()

    def changed() -> None:
        wake.set()

    outbox.follow(changed)
    board = _Board(outbox, projection)
    last_status, quiet_s = b"", 0.0
    try:
        while True:
            await _until(board.day, wake)
            wake = anyio.Event()
            showing = [sink for sink in sinks() if isinstance(sink, StateSink)]
            states = await board.states(wanted=bool(showing))
            for sink in showing:
                if states:
                    await sink.publish_states(states)
            now = json.dumps(status(), ensure_ascii=False).encode()
            quiet_s += _PAUSE_S
            if now != last_status and (quiet_s >= _STATUS_S or _health(now) != _health(last_status)):
                for sink in showing:
                    await sink.publish_status(now)
                last_status, quiet_s = now, 0.0
            await _until(board.day, None)
    finally:
        outbox.unfollow(changed)


async def _until(day: Day, wake: anyio.Event | None) -> None:
    """Wait for a second, for somebody's word, or for midnight, whichever comes first."""
    with anyio.move_on_after(_PAUSE_S):
        async with anyio.create_task_group() as tasks:

            async def midnight() -> None:
                await clock.sleep_until(day.end)
                tasks.cancel_scope.cancel()

            tasks.start_soon(midnight)
            if wake is not None:
                await wake.wait()
                tasks.cancel_scope.cancel()


class _Board:
    """Knows what was shown, so that only what changed is shown again."""

    def __init__(self, outbox: Outbox, projection: Projection) -> None:
        self._outbox = outbox
        self._projection = projection
        self.day = projection.today()
        self._seen = outbox.head
        self._shown: dict[str, bytes] = {}
        self._all_at = clock.steady()

    async def states(self, *, wanted: bool) -> Sequence[State]:
        """Give the states to be shown now."""
        devices, self._seen = _touched(self._outbox, self._seen)
        day = self._projection.today()
        new_day, self.day = day != self.day, day
        refresh = clock.steady() - self._all_at >= _REFRESH_S
        if not wanted or (devices == () and not new_day and not refresh):
            return ()
        if new_day or refresh:
            # The zeros of a new day are shown by our own clock; a quiet door sends nothing at midnight.
            self._all_at, devices = clock.steady(), None
        try:
            states = await self._projection.states(devices)
        except StoreUnavailable:  # the store tells of its own trouble; all is read again in a moment
            self._all_at = -math.inf
            return ()
        changed = [state for state in states if self._shown.get(state.device) != state.payload]
        self._shown |= {state.device: state.payload for state in changed}
        return changed


def _touched(outbox: Outbox, seen: int) -> tuple[Iterable[str] | None, int]:
    """Name the devices that have new entries since; None for all when too much has happened to tell."""
    head = outbox.head
    if head == seen:
        return (), head
    entries = outbox.recent(seen, _MANY)
    if entries is None or len(entries) == _MANY:
        return None, head
    return {entry.device for entry in entries}, head


def _health(status: bytes) -> object:
    if not status:
        return None
    parsed = json.loads(status)
    return parsed.get("state"), [fault["code"] for fault in parsed.get("faults", ())]
