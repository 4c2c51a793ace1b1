"""The callbacks port, while the configuration wants one: opened, changed by a reload, closed.

When it cannot be opened the rest of the gateway goes on: devices must not suffer from it.
"""

import socket
from collections import Counter
from collections.abc import Mapping
from logging import getLogger

import anyio
import structlog
from anyio.abc import TaskGroup

from gateway import clock
from gateway.callbacks import Callbacks, Key
from gateway.config import Config
from gateway.config.callbacks_sections import CallbacksSection
from gateway.daemon import composing
from gateway.daemon.camlytics_cloud import cloud_webhook
from gateway.daemon.refusals import meaning
from gateway.faults import Faults
from gateway.guard import BodyGuard, BodyLimits, OnRefused
from gateway.intake import Intake
from gateway.listener import Limits, Listener, bind
from gateway.listener.bind import CannotListen
from gateway.outbox import Outbox
from gateway.receiver import Reception
from gateway.sources import callbacks

log = structlog.get_logger()

SOCKET_NAME = "callbacks"  # FileDescriptorName= of the socket unit
_AGAIN_S = 5.0
_SMALL_BODY = 65_536  # what is no JSON is nothing that is understood here
_RELOADABLE = frozenset({"header", "secret_file", "incident_quiet_s"})
_HARMLESS = frozenset({"silent"})


class CallbackPort:
    """The port and what receives on it."""

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        intake: Intake,
        faults: Faults,
        given: socket.socket | None = None,
    ) -> None:
        self.receiver = Callbacks(outbox, intake, reception(config), faults, key(config.callbacks))
        self._faults = faults
        self._given = given  # from systemd; it can be had only once, so what listens is a copy
        self._section: CallbacksSection | None = None
        self._listener: Listener | None = None
        self._address: tuple[str, int] | None = None
        self._opening = anyio.CancelScope()
        self.refusals: Counter[str] = Counter()

    async def put(self, tasks: TaskGroup, config: Config, grace_s: float) -> None:
        """Be as the configuration says. A new header or secret is taken over without closing anything."""
        section = config.callbacks
        self.receiver.reception = reception(config)
        self.receiver.key = key(section)
        old, self._section = self._section, section
        if old is not None and _fixed(old) == _fixed(section):
            return
        await self._close(grace_s)
        if section.enabled:
            self._opening = anyio.CancelScope()
            tasks.start_soon(self._open, section, self._opening)

    async def end(self, grace_s: float) -> None:
        """Take nothing new and finish what was taken."""
        await self._close(grace_s)
        if self._given is not None:
            self._given.close()

    @property
    def is_open(self) -> bool:
        """It can be reached now."""
        return self._listener is not None

    def facts(self) -> dict[str, object] | None:
        """Say how the port is; None when it is not wanted."""
        if self._section is None or not self._section.enabled:
            return None
        receiver = self.receiver
        counters, last = receiver.counters, receiver.last_post
        return {
            "listen": f"{self._address[0]}:{self._address[1]}" if self._address else None,
            "posts": counters.posts,
            "events": counters.events,
            "duplicates": counters.duplicates,
            "letters": counters.letters,
            "refused": counters.refused,
            "unauthorised": receiver.unauthorised,
            "last_post_s": None if last is None else round(clock.steady() - last, 1),
            "refused_connections": dict(self.refusals),
            "visitors": list(receiver.visits.last)[-10:],
        }

    async def _open(self, section: CallbacksSection, scope: anyio.CancelScope) -> None:
        with scope:
            while (port := self._bound(section)) is None:
                await clock.sleep(_AGAIN_S)
            with anyio.CancelScope(shield=True):
                self._listener = _listener(section, port, self.receiver, self._refused)
                host, number = port.getsockname()[:2]
                self._address = (host, number)
                await self._listener.start()
            log.info("callbacks_ready", listen=f"{host}:{number}")

    def _bound(self, section: CallbacksSection) -> socket.socket | None:
        try:
            port = self._given.dup() if self._given is not None else bind(section.host, section.port)
        except CannotListen as error:
            sentence = f"Callbacks are not received: {error}"
            if self._faults.report("callbacks_closed", "", sentence, again=False):
                log.error("callbacks_closed", reason=str(error))
            return None
        self._faults.clear("callbacks_closed")
        return port

    async def _close(self, grace_s: float) -> None:
        self._opening.cancel()
        self._faults.clear("callbacks_closed")
        listener, self._listener, self._address = self._listener, None, None
        if listener is not None:
            await listener.stop(grace_s)

    def _refused(self, address: str, reason: str) -> None:
        self.refusals[reason] += 1
        if reason in _HARMLESS:
            return
        what = meaning(reason, section="callbacks", body_bytes="callbacks.body_bytes allows")
        sentence = f"{address or 'A connection'} was refused on the callbacks port: {reason}{', ' + what if what else ''}."
        if self._faults.report("callback_refused", f"{address} {reason}", sentence):
            log.warning("callback_refused", sender=address, reason=reason)


def reception(config: Config) -> Reception:
    """Say how callbacks are understood: by the sources of the callbacks port and no others."""
    wanted = composing.wanted(config)
    sources = callbacks(wanted, camlytics_cloud=cloud_webhook(config, wanted))
    return Reception(sources=sources, gateway_id=config.gateway.id, zone=config.site.tzinfo)


def key(section: CallbacksSection) -> Key:
    """Say what a callback must show."""
    return Key(section.header, tuple(secret.reveal() for secret in section.secret_file))


def _fixed(section: CallbacksSection) -> Mapping[str, object]:
    """Give what cannot change while the port is open."""
    return section.model_dump(exclude=set(_RELOADABLE))


def _listener(
    section: CallbacksSection, port: socket.socket, receiver: Callbacks, on_refused: OnRefused
) -> Listener:
    limits = BodyLimits(
        xml_bytes=_SMALL_BODY,
        json_bytes=section.body_bytes,
        other_bytes=_SMALL_BODY,
        body_deadline_s=section.body_deadline_s,
        max_bodies_bytes=section.max_bodies_bytes,
        shares=1,  # all come from the one address of the proxy
    )
    return Listener(
        BodyGuard(receiver.handle, limits, on_refused=on_refused, screen=receiver.screen),
        port,
        limits=Limits(
            header_bytes=section.header_bytes,
            connections=section.connections,
            connections_per_address=section.connections,  # all come from the one address of the proxy
            keep_alive_s=section.keep_alive_s,
            header_deadline_s=section.header_deadline_s,
        ),
        allow=composing.allows(section.allow),
        on_refused=on_refused,
        server_log=getLogger("hypercorn.error"),
    )
