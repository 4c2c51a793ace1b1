"""The running gateway: its parts, and the order in which they start and stop."""

import contextlib
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from logging import getLogger
from pathlib import Path

import anyio
import structlog

from gateway import clock
from gateway.album import Album
from gateway.config import Config
from gateway.control.server import application
from gateway.daemon import composing, fixed, naming, polling, salvaged
from gateway.daemon.adoption import Adoption
from gateway.daemon.book import watch_book
from gateway.daemon.callbacks import CallbackPort
from gateway.daemon.captures import Captures
from gateway.daemon.certificates import Certificates
from gateway.daemon.checkup import Checkup
from gateway.daemon.clocks import watch_clocks
from gateway.daemon.device_port import DevicePort
from gateway.daemon.erasing import Eraser
from gateway.daemon.figures import Figures, Port
from gateway.daemon.health import Health
from gateway.daemon.heap import watch_heap
from gateway.daemon.lines import Lines
from gateway.daemon.living import limits, poll_in_trouble, polled
from gateway.daemon.monitoring import MonitoringPort
from gateway.daemon.own_clock import OwnClock
from gateway.daemon.requests import Requests
from gateway.daemon.sockets import Sockets
from gateway.daemon.states import show_states
from gateway.daemon.supervision import supervise
from gateway.daemon.terminals import Terminals
from gateway.daemon.verdict import Verdict
from gateway.daemon.watchdog import Watchdog
from gateway.daemon.zones import ZoneAnswers, keep_zones, watch_doors
from gateway.errors import StoreUnavailable
from gateway.event import slug
from gateway.faults import Faults
from gateway.incidents import Incidents
from gateway.intake import Intake
from gateway.listener import Limits, Listener
from gateway.liveness import Liveness
from gateway.outbox import BallastKeeper, Housekeeper, Outbox, reading
from gateway.projection import Projection
from gateway.receiver import Receiver

log = structlog.get_logger()

_CONTROL_KEEP_ALIVE_S = 3600.0
_WRITER_END_S = 60.0


class Gateway:
    """Everything that runs. `run` returns after an orderly stop."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        sockets: Sockets,
        control: socket.socket,
    ) -> None:
        self.config = config
        self.outbox = outbox
        self.faults = Faults()
        self._stop = anyio.Event()
        self._key = ""
        self.waits_for_restart: list[str] = []  # settings that were changed and are not yet in effect
        self._running = config  # what a reload cannot change stays as it is here
        self._housekeeper = Housekeeper(outbox)
        self._projection = Projection(outbox.path, slug(config.gateway.id), composing.drafting(config).zone)
        self._projection.names = composing.names(config)
        self._zones = ZoneAnswers(config, outbox)
        self._projection.zoning, self._projection.sums = self._zones.zoning, outbox.sums
        self._intake = Intake(outbox, composing.policy(config))
        self._album = self._intake.album = Album(outbox, self.faults, composing.picture_limits(config))
        self._receiver = Receiver(outbox, self._intake, composing.reception(config), self.faults)
        self._poller = polling.poller(outbox, self._intake, self.faults)
        self._terminals = Terminals(outbox, self.faults, lambda: self._port.number)
        self._callbacks = CallbackPort(config, outbox, self._intake, self.faults, sockets.callbacks)
        self._callbacks.receiver.watchers = self._receiver.watchers  # `gateway tail` shows both ports
        self._incidents = Incidents(outbox, self._intake, self.faults, config.callbacks.incident_quiet_s)
        self._health = Health(config, outbox, self.faults)
        self._lines = Lines(
            outbox, self.faults, states=self._projection.states, status=self._health.summary_bytes
        )
        self._health.lines = self._lines
        self._ballast = self._health.ballast = BallastKeeper(outbox)
        self.checkup = Checkup(config, self.faults)
        self._certificates = Certificates(config, self.faults)
        self._own_clock = OwnClock(self.faults, self._lines.clock_set)
        self._liveness = Liveness(
            outbox,
            self.faults,
            limits(config),
            ask=polled(self._poller, outbox.signs),
            pushed=lambda: self._receiver.last_post,
            excused=poll_in_trouble(self._poller),
        )
        requests = self.requests = Requests(
            self._health, outbox, self._receiver, self._lines, self._housekeeper, self._port_facts
        )
        requests.eraser = Eraser(outbox, self._album)
        self._adoption = requests.adoption = Adoption(outbox, self._intake)
        self._captures = requests.captures = Captures(outbox, self._receiver)
        requests.zones = self._zones
        requests.readers[self._callbacks.receiver.port] = self._callbacks.receiver
        self._port = DevicePort(self._receiver.handle, config, sockets, self.faults, self._captures.refused)
        self._verdict = Verdict(config, outbox, self._lines, self.faults)
        self._monitoring = MonitoringPort(self._figures(), self._verdict, self.faults)
        self._control = Listener(
            application(requests),
            control,
            limits=Limits(keep_alive_s=_CONTROL_KEEP_ALIVE_S),
            server_log=getLogger("hypercorn.error"),
        )

    async def run(self, ready: Callable[[], None]) -> None:
        """Run until `stop` was called; everything accepted is on disk and every place is noted then."""
        self._remember_devices()
        salvaged.tell(self.outbox.settings.directory, self.outbox.salvaged, self.faults)
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            writer_ended = anyio.Event()
            tasks.start_soon(self._write, writer_ended)
            tasks.start_soon(supervise, "ballast", self._ballast.run, self.faults)
            tasks.start_soon(supervise, "album", self._album.run, self.faults)
            tasks.start_soon(supervise, "adoption", self._adoption.run, self.faults)
            tasks.start_soon(supervise, "captures", self._captures.run, self.faults)
            await naming.remember(self.config, self.outbox)
            self._lines.start(tasks, self.config, self._key)
            # Not before it is known whom the log is kept for.
            tasks.start_soon(supervise, "housekeeper", self._housekeeper.run, self.faults)
            tasks.start_soon(supervise, "sums", self.outbox.remember, self.faults)
            await self._begin_zones()
            await self._monitoring.put(tasks, self.config)
            await self._control.start()
            self._verdict.ports.control = True
            await self._port.start()
            self._verdict.ports.devices = True
            await self._callbacks.put(tasks, self.config, 0.0)
            tasks.start_soon(supervise, "incidents", self._incidents.run, self.faults)
            await self._poller.put(tasks, polling.polls(self.config))
            self._terminals.put(tasks, self.config)
            for name, watch in self._watches().items():
                tasks.start_soon(supervise, name, watch, self.faults)
            self._verdict.started = True
            ready()
            await self._stop.wait()
            with anyio.CancelScope(shield=True):
                await self._stop_in_order(writer_ended)
            tasks.cancel_scope.cancel()
        self._projection.close()
        self.outbox.release()

    @property
    def stopping(self) -> bool:
        """An orderly stop has begun."""
        return self._stop.is_set()

    def look_at_card(self, home: Path) -> None:
        """Show what the card's takeover left beside the configuration."""
        self._health.card_home = home

    def stop(self) -> None:
        """Begin an orderly stop."""
        self._stop.set()

    async def reload(self, config: Config) -> None:
        """Put a new configuration into effect; receiving goes on, the log is not touched."""
        config = config.going_on_as(self.outbox.gateway_id)
        old, self.config, self._health.config = self.config, config, config
        started = self._running
        self._receiver.reception = replace(composing.reception(config), zone=started.site.tzinfo)
        self._intake.policy = composing.policy(config)
        self._liveness.limits = limits(config)
        clock.believe(config.clock.trust == "plausible")
        self._album.limits = composing.picture_limits(config)
        self.outbox.settings = replace(
            composing.store_settings(config),
            directory=started.store.path,
            max_bytes=started.store.max_bytes,
            drafting=replace(composing.drafting(config), zone=composing.drafting(started).zone),
        )
        self._zones.put(config)
        self._projection.zoning = self._zones.zoning
        await self._begin_zones()
        await self._adoption.review()
        self._projection.names = composing.names(config)
        everything = config.gateway != old.gateway or config.events != old.events
        changed = [name for name, line in self._lines if everything or config.sinks.get(name) != line.section]
        await self._lines.end(changed, config.runtime.stop_grace_s)
        for name in set(old.sinks) - {name for name, sink in config.sinks.items() if sink.enabled}:
            self.outbox.dismiss(name)
        await naming.remember(config, self.outbox)
        self._lines.start(self._tasks, config, self._key)
        for name, line in self._lines:
            if name in changed:  # a person changed it: an earlier stop or pause no longer stands
                line.forwarder.try_now()
        await self._poller.put(self._tasks, polling.polls(config))
        self._terminals.put(self._tasks, config)
        self._certificates.put(config)
        self._incidents.quiet_s = config.callbacks.incident_quiet_s
        await self._callbacks.put(self._tasks, config, config.runtime.stop_grace_s)
        self._verdict.config = config
        await self._monitoring.put(self._tasks, config)
        self.checkup.put(config)
        self.waits_for_restart = fixed.tell(started, config, self.faults)
        self._port.compare(config.listen)

    # Parts of the life

    async def _write(self, ended: anyio.Event) -> None:
        try:
            await supervise("writer", self.outbox.run, self.faults, essential=True)
        finally:
            ended.set()

    async def _begin_zones(self) -> None:
        """Reset what was due while the box was off, before anything new counts; the writer does it too."""
        with contextlib.suppress(StoreUnavailable):
            await self.outbox.zones.look()

    def _watches(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Name what goes round for ever beside the ports and the sinks, and shows or tells what it sees."""

        def pcs() -> Collection[str]:
            return self.config.camlytics.keys()  # the configuration is another one after a reload

        async def feed_watchdog() -> None:
            watchdog = Watchdog(self.outbox, self._lines.forwarders, self._port.probe_address, self.faults)
            await watchdog.run(self.one_line)

        outbox, projection, faults = self.outbox, self._projection, self.faults
        return {
            "states": partial(show_states, outbox, projection, self._lines.connected, self._health.summary),
            "zones": partial(keep_zones, outbox),
            "doors": partial(watch_doors, outbox, self._zones, faults),
            "book": partial(watch_book, outbox, faults),
            "clocks": partial(watch_clocks, outbox, projection, faults, pcs),
            "own clock": self._own_clock.run,
            "liveness": self._liveness.run,
            "checkup": self.checkup.run,
            "certificates": self._certificates.run,
            "heap": watch_heap,
            "watchdog": feed_watchdog,
        }

    async def _stop_in_order(self, writer_ended: anyio.Event) -> None:
        """Take nothing new, finish what was taken, hand out what waits for a moment, note every place."""
        grace_s = self.config.runtime.stop_grace_s
        log.info("gateway_stopping")
        self._verdict.stopping, self._verdict.ports.devices = True, False
        await self._poller.end()
        self._terminals.end()
        async with anyio.create_task_group() as ports:
            ports.start_soon(self._port.stop, grace_s)
            ports.start_soon(self._callbacks.end, grace_s)
        await self._lines.end([name for name, _ in self._lines], grace_s)
        await self._monitoring.end()
        await self._control.stop(0.5)
        await self.outbox.close()
        with anyio.move_on_after(_WRITER_END_S):
            await writer_ended.wait()
        log.info("gateway_stopped", received=self.outbox.received)

    def _figures(self) -> Figures:
        def callbacks() -> Receiver | None:
            return self._callbacks.receiver if self.config.callbacks.enabled else None

        ports = {
            "devices": Port(lambda: self._receiver, self._port.refused),
            "callbacks": Port(callbacks, self._callbacks.refusals),
        }
        self._verdict.callbacks_open = lambda: None if callbacks() is None else self._callbacks.is_open
        return Figures(self._health, self._verdict, ports)

    def _remember_devices(self) -> None:
        with self.outbox.looking() as conn:
            self._key = reading.meta(conn, "pseudonym_key") or ""
            for page in reading.devices(conn):
                self._receiver.senders.remember(str(page["source"]), str(page["address"]), str(page["id"]))

    # What a person is told

    def one_line(self) -> str:
        """Say how the gateway is in one line, for systemd."""
        return f"{self._health.one_line()}; {self._port.one_line()}"

    def _port_facts(self) -> dict[str, object]:
        return self._port.facts() | {
            "callbacks": self._callbacks.facts(),
            "polls": [standing.as_json() for standing in self._poller.standings().values()],
        }
