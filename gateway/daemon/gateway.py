"""The running gateway: its parts, the order in which they start and stop, and what a person may ask of it."""

import json
import random
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from logging import getLogger
from pathlib import Path
from typing import Any

import anyio
import structlog
from anyio.abc import TaskGroup

from gateway import __version__
from gateway.config import Config
from gateway.control import views
from gateway.control.server import application
from gateway.daemon import composing
from gateway.daemon.states import show_states
from gateway.daemon.supervision import supervise
from gateway.daemon.watchdog import Watchdog
from gateway.errors import GatewayError
from gateway.event import slug
from gateway.faults import Faults
from gateway.forwarder import Forwarder
from gateway.guard import BodyGuard
from gateway.listener import Limits, Listener
from gateway.outbox import Housekeeper, Outbox, letters, reading, rfc3339
from gateway.projection import Projection
from gateway.receiver import Receiver, Watched

log = structlog.get_logger()


@dataclass(slots=True)
class Line:
    """One sink that is being driven."""

    forwarder: Forwarder
    section: Any
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Gateway:
    """Everything that runs. `run` returns after an orderly stop."""

    def __init__(self, config: Config, outbox: Outbox, port: socket.socket, control: socket.socket) -> None:
        self.config = config
        self.outbox = outbox
        self.faults = Faults()
        self.lines: dict[str, Line] = {}
        self._started = time.monotonic()
        self._stop = anyio.Event()
        self._housekeeper = Housekeeper(outbox)
        self._projection = Projection(outbox.path, slug(config.gateway.id), composing.drafting(config).zone)
        self._key = ""
        self.receiver = Receiver(outbox, composing.reception(config), self.faults)
        self._address = port.getsockname()[:2]
        guard = BodyGuard(self.receiver.handle, composing.body_limits(config), on_refused=self._refused)
        server_log = getLogger("hypercorn.error")
        self._port = Listener(
            guard,
            port,
            limits=composing.listen_limits(config),
            allow=composing.allowed(config),
            on_refused=self._refused,
            server_log=server_log,
        )
        self._control = Listener(
            application(self), control, limits=Limits(keep_alive_s=3600), server_log=server_log
        )

    # Life

    async def run(self, ready: Callable[[], None]) -> None:
        """Run until `stop` was called; everything accepted is on disk and every place is noted then."""
        with reading.looking(self.config.store.path) as conn:
            self._key = reading.meta(conn, "pseudonym_key") or ""
            for page in reading.devices(conn):
                self.receiver.remember(str(page["source"]), str(page["address"]), str(page["id"]))
        self._tell_salvaged()
        async with anyio.create_task_group() as tasks:
            writer_ended = anyio.Event()
            tasks.start_soon(self._write, writer_ended)
            tasks.start_soon(supervise, "housekeeper", self._housekeeper.run, self.faults)
            for name, section in self.config.sinks.items():
                if section.enabled:
                    self.start_sink(tasks, name)
            self._tell_no_sink()
            await self._control.start()
            await self._port.start()
            self._tasks = tasks
            tasks.start_soon(supervise, "states", self._show_states, self.faults)
            watchdog = Watchdog(self.outbox, self._forwarders, self._probe_address, self.faults)
            tasks.start_soon(supervise, "watchdog", lambda: watchdog.run(self.one_line), self.faults)
            ready()
            await self._stop.wait()
            with anyio.CancelScope(shield=True):
                await self._stop_in_order(writer_ended)
            tasks.cancel_scope.cancel()
        self._projection.close()
        self.outbox.release()

    def stop(self) -> None:
        """Begin an orderly stop."""
        self._stop.set()

    async def _write(self, ended: anyio.Event) -> None:
        try:
            await supervise("writer", self.outbox.run, self.faults, essential=True)
        finally:
            ended.set()

    async def _show_states(self) -> None:
        def sinks() -> list[Any]:
            return [line.forwarder.sink for line in self.lines.values() if line.forwarder.sink.connected]

        await show_states(self.outbox, self._projection, sinks, self.summary)

    async def _stop_in_order(self, writer_ended: anyio.Event) -> None:
        """Take nothing new, finish what was taken, hand out what waits for a moment, note every place."""
        grace_s = self.config.runtime.stop_grace_s
        log.info("gateway_stopping")
        await self._port.stop(grace_s)
        await self._end_lines(dict(self.lines), grace_s)
        await self._control.stop(0.5)
        await self.outbox.close()
        with anyio.move_on_after(60):
            await writer_ended.wait()
        log.info("gateway_stopped", received=self.outbox.head)

    # Sinks

    def start_sink(self, tasks: TaskGroup, name: str) -> None:
        """Build a sink from the configuration and drive it."""
        section = self.config.sinks[name]
        try:
            sink = composing.sink(self.config, name, self._projection.states, self._status_bytes)
        except (GatewayError, ValueError, OSError) as error:
            self.faults.report("config_rejected", name, f"Sink {name} cannot be used: {error}")
            log.error("sink_unusable", sink=name, reason=str(error))
            return
        forwarder = Forwarder(
            sink,
            self.outbox,
            composing.rendering(self.config, name, self._key),
            composing.pacing(section),
            self.faults,
            random.Random(),
        )
        line = self.lines[name] = Line(forwarder, section)
        tasks.start_soon(self._drive, name, line)

    async def _drive(self, name: str, line: Line) -> None:
        try:
            with line.scope:
                await supervise(f"sink {name}", line.forwarder.run, self.faults)
        finally:
            line.ended.set()

    async def _end_lines(self, lines: Mapping[str, Line], grace_s: float) -> None:
        for line in lines.values():
            line.forwarder.stop(grace_s)
        with anyio.move_on_after(grace_s + 4):
            for line in lines.values():
                await line.ended.wait()
        for line in lines.values():
            line.scope.cancel()
        with anyio.move_on_after(4):
            for line in lines.values():
                await line.ended.wait()

    # Reload

    async def reload(self, config: Config) -> None:
        """Put a new configuration into effect; receiving goes on, the log is not touched."""
        old, self.config = self.config, config
        self.receiver.reception = composing.reception(config)
        self.outbox.settings = replace(
            composing.store_settings(config), directory=old.store.path, max_bytes=old.store.max_bytes
        )
        changed = {
            name: line
            for name, line in self.lines.items()
            if config.sinks.get(name) != line.section
            or not line.section.enabled
            or config.gateway != old.gateway
            or config.events != old.events
        }
        await self._end_lines(changed, config.runtime.stop_grace_s)
        for name in changed:
            del self.lines[name]
            self.faults.clear_subject(name, ("sink_unavailable", "mqtt_", "https_", "config_rejected"))
        for name in set(old.sinks) - set(config.sinks):
            self.outbox.dismiss(name)
        for name, section in config.sinks.items():
            if section.enabled and name not in self.lines:
                self.start_sink(self._tasks, name)
        self._tell_no_sink()
        self._tell_restart(old, config)

    def _tell_restart(self, old: Config, new: Config) -> None:
        """Name the settings that a running daemon cannot change."""
        fixed = {
            "listen": old.listen != new.listen,
            "store.path": old.store.path != new.store.path,
            "store.max_bytes": old.store.max_bytes != new.store.max_bytes,
            "runtime": old.runtime != new.runtime,
            "site.zone": old.site.zone != new.site.zone,
        }
        waiting = [name for name, differs in fixed.items() if differs]
        if waiting:
            self.faults.report("config_restart", "", f"Changed, but not yet in effect: {', '.join(waiting)}.")
        else:
            self.faults.clear("config_restart")

    # What a person sees

    def summary(self) -> dict[str, object]:
        """Say in short how the gateway is; this is the retained status document."""
        return {
            "state": "online",
            "gateway": self.config.gateway.id,
            "name": self.config.gateway.name,
            "version": __version__,
            "config_hash": self.config.hash,
            "received": self.outbox.head,
            "sinks": {
                name: {
                    "connected": line.forwarder.sink.connected,
                    "waiting": line.forwarder.position.waiting(self.outbox.head)
                    if line.forwarder.position
                    else None,
                }
                for name, line in self.lines.items()
            },
            "faults": [fault.as_json() for fault in self._standing()],
        }

    def _status_bytes(self) -> bytes:
        return json.dumps(self.summary(), ensure_ascii=False).encode()

    def one_line(self) -> str:
        """Say how the gateway is in one line, for systemd."""
        waiting = sum(line.forwarder.position.waiting(self.outbox.head) for line in self._placed())
        faults = self._standing()
        health = f"{len(faults)} faults, first: {faults[0].sentence}" if faults else "all well"
        return f"{self.outbox.head} events received, {waiting} waiting; {health}"

    def status(self) -> dict[str, object]:
        """Give everything that `gateway status` shows. Called in a thread."""
        with reading.looking(self.config.store.path) as conn:
            accounts = {str(account["name"]): account for account in views.sink_accounts(conn)}
            facts = views.store_facts(conn)
        counters = self.receiver.counters
        space = self.outbox.space
        return self.summary() | {
            "uptime_s": round(time.monotonic() - self._started, 1),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "listen": f"{self._address[0]}:{self._address[1]}",
            "since_start": {
                "posts": counters.posts,
                "events": counters.events,
                "duplicates": counters.duplicates,
                "letters": counters.letters,
                "refused": counters.refused,
                "last_post_s": None
                if self.receiver.last_post is None
                else round(time.monotonic() - self.receiver.last_post, 1),
            },
            "store": facts
            | {
                "path": str(self.config.store.path),
                "used_bytes": space.used,
                "limit_bytes": space.limit,
                "disk_free_bytes": space.disk_free,
                "commits": self.outbox.commits,
                "failure": self.outbox.failure,
                "removed_settled": self._housekeeper.removed_settled,
                "removed_owed": self._housekeeper.removed_owed,
            },
            "sinks": [self._sink_status(name, accounts.get(name)) for name in {**accounts, **self.lines}],
            "visitors": list(self.receiver.visitors)[-10:],
            "refused_connections": dict(self._port.refused),
        }

    def _sink_status(self, name: str, account: dict[str, object] | None) -> dict[str, object]:
        line = self.lines.get(name)
        if line is None:
            return (account or {"name": name}) | {"configured": False}
        forwarder = line.forwarder
        wait_s = forwarder.paused_until - time.monotonic()
        return (account or {"name": name}) | {
            "configured": True,
            "type": line.section.type,
            "connected": forwarder.sink.connected,
            "last_error": forwarder.last_error,
            "last_delivery": forwarder.last_delivery
            and forwarder.last_delivery.isoformat(timespec="seconds"),
            "next_try_s": round(wait_s, 1) if wait_s > 0 else None,
            "connection": dict(forwarder.sink.describe()),
        }

    def read(self, name: str, arguments: dict[str, str]) -> object:
        """Read something from the store for a command. Called in a thread."""
        with reading.looking(self.config.store.path) as conn:
            match name:
                case "devices":
                    zone = composing.drafting(self.config).zone
                    return views.device_states(conn, zone, arguments.get("device"))
                case "sinks":
                    return views.sink_accounts(conn, verify=True)
                case "letters":
                    return views.letter_rows(conn, arguments.get("stage"))
                case "letter":
                    letter = letters.get(conn, int(arguments.get("number", "0")))
                    return None if letter is None else views.letter_row(letter, whole=True)
                case "entries":
                    count = min(int(arguments.get("count", "20")), 1_000)
                    return views.entry_rows(reading.last_entries(conn, count, arguments.get("device")))
                case _:
                    raise GatewayError(f"There is nothing called {name[:40]!r} to read.")

    # What a person does

    async def retry_letter(self, number: int) -> str:
        """Try a letter again: a body goes through the front door once more, an event to its sink."""
        with reading.looking(self.config.store.path) as conn:
            letter = letters.get(conn, number)
        if letter is None:
            raise GatewayError(f"There is no letter {number}.")
        if letter.stage == "deliver":
            line = self.lines.get(letter.sink)
            if line is None:
                raise GatewayError(f"Sink {letter.sink} of letter {number} is not configured any more.")
            await self.outbox.write(
                lambda conn: conn.execute("UPDATE letters SET retry = 1 WHERE number = ?", (number,))
            )
            line.forwarder.letters_asked()
            return f"Letter {number} goes to sink {letter.sink} again."
        outcome = await self.receiver.read_again(letter)
        if outcome is None:
            await self._remove_letter(number)
            return f"Letter {number} was read and its events were kept."
        raise GatewayError(f"Letter {number} still cannot be read: {outcome}")

    async def drop_letter(self, number: int) -> str:
        """Remove a letter for good."""
        if not await self._remove_letter(number):
            raise GatewayError(f"There is no letter {number}.")
        return f"Letter {number} was dropped."

    async def _remove_letter(self, number: int) -> bool:
        removed = await self.outbox.write(
            lambda conn: conn.execute("DELETE FROM letters WHERE number = ?", (number,)).rowcount
        )
        return removed > 0

    async def replay(self, sink: str, first: int, last: int) -> str:
        """Send a range of the log to a sink once more."""
        line = self.lines.get(sink)
        if line is None:
            raise GatewayError(f"There is no sink {sink}; `gateway sinks` lists them.")
        last = min(last, line.forwarder.position.cursor if line.forwarder.position else 0)
        if not 0 < first <= last:
            raise GatewayError(f"Nothing of that range was sent before; the log ends at {self.outbox.head}.")
        line.forwarder.replay(first - 1, last)
        return f"Events {first} to {last} go to sink {sink} again."

    def try_sink(self, sink: str) -> str:
        """Try a sink now instead of at the end of its pause."""
        line = self.lines.get(sink)
        if line is None:
            raise GatewayError(f"There is no sink {sink}; `gateway sinks` lists them.")
        line.forwarder.try_now()
        return f"Sink {sink} is tried now."

    def watch(self, show: Callable[[dict[str, object]], None]) -> Callable[[], None]:
        """Show every push as it comes; the result ends it."""

        def shown(watched: Watched) -> None:
            post = watched.post
            events = watched.reading.events if watched.reading else ()
            show(
                {
                    "time": rfc3339(int(post.received_at.timestamp() * 1000)),
                    "sender": post.address,
                    "method": post.method,
                    "path": post.path,
                    "source": watched.source,
                    "outcome": watched.outcome,
                    "raw": watched.raw()[:20_000],
                    "events": [
                        {
                            "id": event.id,
                            "revision": event.revision,
                            "kind": event.kind,
                            "device": event.device.id,
                            "time": event.time.isoformat(),
                            "data": event.data,
                        }
                        for event in events
                    ],
                }
            )

        self.receiver.watchers.append(shown)
        return lambda: self.receiver.watchers.remove(shown)

    # Small parts

    def _forwarders(self) -> dict[str, Forwarder]:
        return {name: line.forwarder for name, line in self.lines.items()}

    def _placed(self) -> list[Any]:
        return [line for line in self.lines.values() if line.forwarder.position is not None]

    def _standing(self) -> list[Any]:
        """Faults, with those that are read off the store's state right now."""
        failure, space = self.outbox.failure, self.outbox.space
        if failure:
            self.faults.report("store_failed", "", failure)
        else:
            self.faults.clear("store_failed")
        if space.shortage:
            what = "The disk is nearly full" if space.disk_short else "The store is full"
            self.faults.report("store_full", "", f"{what}: devices are told to keep what they send.")
        else:
            self.faults.clear("store_full")
        return list(self.faults)

    def _refused(self, address: str, reason: str) -> None:
        code = "refused_sender" if reason == "not_allowed" else "refused_request"
        if self.faults.report(code, address, f"{address or 'A connection'} was refused: {reason}."):
            log.warning("connection_refused", sender=address, reason=reason)

    def _tell_no_sink(self) -> None:
        if self.lines:
            self.faults.clear("no_sink")
        else:
            self.faults.report("no_sink", "", "Events are received and kept, but nothing is forwarded yet.")

    def _tell_salvaged(self) -> None:
        saved = self.outbox.salvaged
        if saved is not None:
            sentence = (
                f"The store was damaged ({saved.problem}) and was moved to {Path(saved.kept_as).name}; "
                f"{saved.events} events were saved, {saved.lost} that a sink had not had yet were lost."
            )
            self.faults.report("store_salvaged", "", sentence)
            log.error("store_salvaged", problem=saved.problem, events=saved.events, lost=saved.lost)

    def _probe_address(self) -> tuple[str, int] | None:
        host, port = self._address
        return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)
