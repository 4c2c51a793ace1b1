"""Show the newest state of devices and gateway on the sinks that have a place for it."""

import json
from collections.abc import Callable, Iterable

import anyio

from gateway import clock
from gateway.outbox import Outbox
from gateway.projection import Projection
from gateway.sink import Sink, StateSink

_PAUSE_S = 1.0  # a busy door changes its state once a second, not with every push
_STATUS_S = 30.0
_MANY = 2_000


async def show_states(
    outbox: Outbox,
    projection: Projection,
    sinks: Callable[[], Iterable[Sink]],
    status: Callable[[], dict[str, object]],
) -> None:
    """Publish the states of devices that got new events, and the status when it changed, for ever."""
    wake = anyio.Event()

    def changed() -> None:
        wake.set()

    outbox.follow(changed)
    seen, last_status, quiet_s = outbox.head, b"", 0.0
    day = projection.today()
    try:
        while True:
            midnight_s = (day.end - clock.now()).total_seconds()
            with anyio.move_on_after(min(_PAUSE_S, max(midnight_s, 0.01))):
                await wake.wait()
            wake = anyio.Event()
            showing = [sink for sink in sinks() if isinstance(sink, StateSink)]
            devices, seen = _touched(outbox, seen)
            if (now_day := projection.today()) != day:
                # The zeros of a new day are shown by our own clock; a quiet door sends nothing at midnight.
                day, devices = now_day, None
            if showing and devices != ():
                states = await projection.states(devices)
                for sink in showing:
                    await sink.publish_states(states)
            now = json.dumps(status(), ensure_ascii=False).encode()
            quiet_s += _PAUSE_S
            if now != last_status and (quiet_s >= _STATUS_S or _health(now) != _health(last_status)):
                for sink in showing:
                    await sink.publish_status(now)
                last_status, quiet_s = now, 0.0
            until_midnight_s = (day.end - clock.now()).total_seconds()
            await anyio.sleep(min(_PAUSE_S, max(until_midnight_s, 0.01)))
    finally:
        outbox.unfollow(changed)


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
