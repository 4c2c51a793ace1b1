"""The monitoring port, while the configuration wants one: opened, changed by a reload, closed.

When it cannot be opened the rest of the gateway goes on; nothing waits for it, the watchdog least of all.
"""

import time
from collections.abc import Mapping
from logging import getLogger

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup

from gateway import clock
from gateway.config import Config
from gateway.config.monitoring_sections import MonitoringSection
from gateway.daemon import composing
from gateway.daemon.figures import Figures
from gateway.daemon.verdict import Verdict
from gateway.faults import Faults
from gateway.listener import CannotListen, Limits, Listener, bind
from gateway.monitoring.server import application

log = structlog.get_logger()

_AGAIN_S = 5.0
_FRESH_S = 1.0  # who asks more often gets the same page once more
_LIMITS = Limits(
    header_bytes=8_192,
    connections=16,
    connections_per_address=4,  # whoever holds all of his own leaves the others theirs
    keep_alive_s=75.0,
    header_deadline_s=2.0,  # from a line of a few hundred bytes; half a head goes soon
    write_stall_s=10.0,
    drain_bytes=65_536,
    drain_s=1.0,
)


class MonitoringPort:
    """The port and what answers on it (`monitoring.server.Watched`)."""

    def __init__(self, figures: Figures, verdict: Verdict, faults: Faults) -> None:
        self._figures, self._verdict, self._faults = figures, verdict, faults
        self._section: MonitoringSection | None = None
        self._listener: Listener | None = None
        self._opening = anyio.CancelScope()
        self._gathering = anyio.Lock()
        self._page, self._made = "", -_FRESH_S
        self.address: tuple[str, int] | None = None

    async def metrics(self) -> str:
        """Give the figures, gathered at most once a second however many ask."""
        async with self._gathering:
            if time.monotonic() - self._made >= _FRESH_S:
                self._page = await to_thread.run_sync(self._figures.page)
                self._made = time.monotonic()
            return self._page

    async def health(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether the gateway receives and delivers."""
        # In a thread: it looks at the disk, and a disk that hangs must not hold up receiving.
        await to_thread.run_sync(self._figures.health.standing)
        return self._verdict.health()

    async def readiness(self) -> tuple[bool, Mapping[str, object]]:
        """Say whether the gateway has started."""
        return self._verdict.readiness()

    async def put(self, tasks: TaskGroup, config: Config) -> None:
        """Be as the configuration says."""
        section, old = config.monitoring, self._section
        self._section = section
        fixed = {"enabled", "host", "port", "allow"}
        if old is not None and old.model_dump(include=fixed) == section.model_dump(include=fixed):
            return
        await self.end()
        if section.enabled:
            self._opening = anyio.CancelScope()
            tasks.start_soon(self._open, section, self._opening)

    async def end(self) -> None:
        """Close the port."""
        self._opening.cancel()
        self._faults.clear("monitoring_closed")
        listener, self._listener, self.address = self._listener, None, None
        if listener is not None:
            await listener.stop(0.5)

    async def _open(self, section: MonitoringSection, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                try:
                    port = bind(section.host, section.port)
                    break
                except CannotListen as error:
                    sentence = f"Nobody can watch the gateway from afar: {error}"
                    if self._faults.report("monitoring_closed", "", sentence, again=False):
                        log.error("monitoring_closed", reason=str(error))
                await clock.sleep(_AGAIN_S)
            self._faults.clear("monitoring_closed")
            with anyio.CancelScope(shield=True):
                self._listener = Listener(
                    application(self),
                    port,
                    limits=_LIMITS,
                    allow=composing.allows(section.allow),
                    server_log=getLogger("hypercorn.error"),
                )
                host, number = port.getsockname()[:2]
                self.address = (host, number)
                await self._listener.start()
            log.info("monitoring_ready", listen=f"{host}:{number}")
