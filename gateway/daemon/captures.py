"""Captures: every push of one device, masked, for a limited time, in a file for support.

A capture lives in the daemon and ends by itself, whatever becomes of the command that began it. It never slows a
device down: what cannot be written fast enough is counted as missed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address

import anyio
import structlog
from anyio import to_thread

from gateway import clock
from gateway.control import captures, waiting
from gateway.daemon.capture_file import CaptureFile, line_of_push, line_of_visit
from gateway.errors import GatewayError
from gateway.event import slug
from gateway.guard import Request
from gateway.outbox import Outbox, reading
from gateway.receiver import Receiver, Watched

log = structlog.get_logger()

_MOST_RUNNING = 5
_LONGEST_MIN = 24 * 60
_PENDING = 100
_PENDING_BYTES = 16 * 2**20
_MINUTE_S = 60.0

Line = Callable[[], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Target:
    """Whose pushes are wanted."""

    name: str
    device: str | None  # None: whatever comes from the address
    addresses: frozenset[str]

    def wants(self, watched: Watched) -> bool:
        """Say whether a push is of it. One that could not be read names no device: then the address decides."""
        if self.device is not None and watched.reading is not None and watched.reading.events:
            return any(event.device.id == self.device for event in watched.reading.events)
        return watched.post.address in self.addresses


@dataclass(slots=True)
class Capture:
    """One that is running."""

    target: Target
    file: CaptureFile
    until: float  # steady
    ends: str
    missed: int = 0

    @property
    def over(self) -> bool:
        return clock.steady() >= self.until or self.file.full


@dataclass(slots=True)
class _Job:
    capture: Capture
    line: Line
    size: int = field(default=0)


class Captures:
    """All captures of this gateway."""

    def __init__(self, outbox: Outbox, receiver: Receiver) -> None:
        self._outbox = outbox
        self._receiver = receiver
        self._running: dict[str, Capture] = {}
        self._pending_bytes = 0
        self._send, self._receive = anyio.create_memory_object_stream[_Job](_PENDING)

    async def run(self) -> None:
        """Write what was taken, for ever."""
        while True:
            job = await self._receive.receive()
            self._pending_bytes -= job.size
            try:
                await to_thread.run_sync(_write, job)
            except OSError as error:
                self._end(job.capture, f"it cannot be written ({error.strerror})")
            if job.capture.over or self._outbox.room.space.disk_short:
                self._end(job.capture, "it reached its end")

    async def decide(self, wish: Mapping[str, object]) -> dict[str, object]:
        """Begin or end a capture, as `gateway capture` asks; raises `GatewayError` when it makes no sense."""
        name = str(wish.get("device") or "").strip()
        if wish.get("stop"):
            return {"stopped": self._stop(name)}
        if not name:
            raise GatewayError("Say which device, by its id, serial number or address.")
        return await self._begin(name, wish.get("minutes", 30))

    async def _begin(self, name: str, minutes: object) -> dict[str, object]:
        if (
            not isinstance(minutes, int | float)
            or not math.isfinite(minutes)
            or not 0 < minutes <= _LONGEST_MIN
        ):
            raise GatewayError(
                f"A capture is more than 0 and at most {_LONGEST_MIN} minutes long (--minutes)."
            )
        self._look()
        target = await to_thread.run_sync(self._target, name)
        if target.name in self._running:
            raise GatewayError(f"{target.name} is captured already; `gateway capture --stop` ends that.")
        if len(self._running) >= _MOST_RUNNING:
            raise GatewayError(
                f"{_MOST_RUNNING} captures run already; end one with `gateway capture --stop`."
            )
        if self._outbox.room.space.disk_short:
            raise GatewayError("The disk is nearly full: free some space first.")
        now = clock.now()
        until = (now + timedelta(minutes=minutes)).isoformat(timespec="seconds")
        head = {"device": target.name, "from": now.isoformat(timespec="seconds"), "until": until}
        stamp = f"{slug(target.name)}-{now:%Y%m%dT%H%M%SZ}"
        try:
            file = await to_thread.run_sync(CaptureFile.begin, self._outbox.settings.directory, stamp, head)
        except OSError as error:
            raise GatewayError(f"The file of the capture cannot be written ({error.strerror}).") from error
        capture = Capture(target, file, clock.steady() + minutes * _MINUTE_S, until)
        self._running[target.name] = capture
        self._listen()
        log.info("capture_begun", device=target.name, minutes=minutes)
        return {"device": target.name, "file": str(file.path), "until": until}

    def _stop(self, name: str) -> list[str]:
        self._look()
        wanted = [
            capture
            for capture in self._running.values()
            if not name or name == capture.target.name or name in capture.target.addresses
        ]
        if name and not wanted:
            raise GatewayError(f"No capture of {name} is running; `gateway capture --list` shows them.")
        for capture in wanted:
            self._end(capture, "it was stopped")
        return [str(capture.file.path) for capture in wanted]

    # What runs

    def running(self) -> list[dict[str, object]]:
        """Say which captures run, for the status."""
        return [
            {
                "device": capture.target.name,
                "file": str(capture.file.path),
                "until": capture.ends,
                "lines": capture.file.lines,
                "bytes": capture.file.size,
                "missed": capture.missed,
            }
            for capture in list(self._running.values())
            if not capture.over
        ]

    def listed(self) -> list[dict[str, object]]:
        """List all files, with what runs."""
        live = {row["file"]: row for row in self.running()}
        rows = captures.files(self._outbox.settings.directory)
        return [row | live.get(row["file"], {}) | {"running": row["file"] in live} for row in rows]

    def _look(self) -> None:
        for capture in list(self._running.values()):
            if capture.over:
                self._end(capture, "it reached its end")

    def _end(self, capture: Capture, why: str) -> None:
        if self._running.get(capture.target.name) is capture:
            del self._running[capture.target.name]
            self._listen()
            log.info("capture_ended", device=capture.target.name, reason=why, lines=capture.file.lines)

    def _listen(self) -> None:
        """Watch the pushes only while somebody wants them."""
        for hooks, hook in (
            (self._receiver.watchers, self._seen),
            (self._receiver.visits.watchers, self._visited),
        ):
            if self._running and hook not in hooks:
                hooks.append(hook)  # type: ignore[arg-type]  # each list has its own kind of hook
            elif not self._running and hook in hooks:
                hooks.remove(hook)  # type: ignore[arg-type]  # as above

    def _seen(self, watched: Watched) -> None:
        self._take(
            lambda target: target.wants(watched), lambda: line_of_push(watched), len(watched.post.body)
        )

    def _visited(self, request: Request) -> None:
        at, tokens = clock.now().isoformat(timespec="milliseconds"), self._receiver.reception.tokens
        self._take(
            lambda target: request.address in target.addresses,
            lambda: line_of_visit(request, at, tokens),
            len(request.body),
        )

    def refused(self, address: str, reason: str) -> None:
        """Take note of a request that was refused before its body was read."""
        line: dict[str, object] = {
            "at": clock.now().isoformat(timespec="milliseconds"),
            "address": address,
            "outcome": f"refused: {reason}",
        }
        self._take(lambda target: address in target.addresses, lambda: line, 0)

    def _take(self, wanted: Callable[[Target], bool], line: Line, size: int) -> None:
        """Hand a line to the one who writes, for each capture that wants it; never wait for him."""
        self._look()
        for capture in list(self._running.values()):
            if not wanted(capture.target):
                continue
            if self._pending_bytes + size > _PENDING_BYTES:
                capture.missed += 1
                continue
            try:
                self._send.send_nowait(_Job(capture, line, size))
            except anyio.WouldBlock:
                capture.missed += 1
            else:
                self._pending_bytes += size

    def _target(self, name: str) -> Target:
        with self._outbox.looking() as conn:
            pages = reading.devices(conn, name)
            rows = waiting.waiting(conn)
        seen = {str(page["id"]): str(page["address"] or "") for page in pages}
        held = waiting.named([row | {"address": None} for row in rows], name)
        seen |= {str(row["device"]): str(row["address"]) for row in rows if row["device"] in held}
        if len(seen) > 1:
            raise GatewayError(f"{name} can be {', '.join(list(seen)[:5])}: say which one by its id.")
        for device, address in seen.items():
            return Target(device, device, frozenset({address} - {""}))
        try:
            address = str(ip_address(name))
        except ValueError:
            raise GatewayError(
                f"No device called {name} was seen, and it is no address. `gateway devices` and `gateway adopt` list"
                " those that were; of one that never got through, capture its address."
            ) from None
        return Target(address, None, frozenset({address}))


def _write(job: _Job) -> None:
    if not job.capture.file.full:
        job.capture.file.add(job.line())
