"""Feed systemd's watchdog only while receiving, committing and forwarding really make progress.

Told apart: a hung event loop (this does not run, nothing is fed), a hung writer (a commit, or a step beside
it, takes too long: not fed), a device port that does not answer (not fed), and a sink that makes no progress, which
is a fault for a person: a restart would not help a broker that is away.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from gateway import systemd
from gateway.faults import Faults
from gateway.forwarder import Forwarder
from gateway.outbox import Outbox

log = structlog.get_logger()

COMMIT_LIMIT_S = 60.0  # a worn card may take many seconds for one sync; more is a hang
_SINK_LIMIT_S = 180.0
_PROBE_LIMIT_S = 10.0


class Watchdog:
    """Looks at the parts and says whether the gateway does its work."""

    def __init__(
        self,
        outbox: Outbox,
        forwarders: Callable[[], Mapping[str, Forwarder]],
        address: Callable[[], tuple[str, int] | None],
        faults: Faults,
    ) -> None:
        self._outbox = outbox
        self._forwarders = forwarders
        self._address = address
        self._faults = faults
        self._stalled: set[str] = set()

    async def run(self, status: Callable[[], str]) -> None:
        """Check and feed for ever; without a watchdog the status line is still kept current."""
        interval_s = systemd.watchdog_interval_s()
        pause_s = min(interval_s / 3, 10.0) if interval_s else 10.0
        while True:
            trouble = await self.trouble()
            if trouble is None:
                systemd.watchdog()
            else:
                log.error("watchdog_not_fed", reason=trouble)
            systemd.status(status() if trouble is None else trouble)
            await asyncio.sleep(pause_s)

    async def trouble(self) -> str | None:
        """Say what does not work any more; None when all does."""
        if self._outbox.hanging_s > COMMIT_LIMIT_S:
            return f"the writer hangs: one commit has been going on for {self._outbox.hanging_s:.0f} s"
        for name, forwarder in self._forwarders().items():
            idle_s = time.monotonic() - forwarder.progress
            if idle_s > _SINK_LIMIT_S:
                self._stalled.add(name)
                sentence = f"Sink {name} has made no progress for {idle_s:.0f} s."
                self._faults.report("sink_stalled", name, sentence, again=False)
            elif name in self._stalled:
                self._stalled.discard(name)
                self._faults.clear("sink_stalled", name)
        address = self._address()
        if address is not None and not await _answers(*address):
            return "the device port does not answer"
        return None


async def _answers(host: str, port: int) -> bool:
    """Ask our own port something harmless over the real socket.

    A connection that is closed without an answer was refused by a limit: somebody holds too many. That is
    for the listener to deal with, and no reason to be restarted.
    """
    try:
        async with asyncio.timeout(_PROBE_LIMIT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(
                    b"OPTIONS /gateway-alive HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                await reader.readline()
            finally:
                writer.close()
    except ConnectionResetError:
        return True
    except OSError:  # TimeoutError is one of them
        return False
    return True
