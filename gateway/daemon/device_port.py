"""The device port: one application behind every socket that devices come in on, and what it says of itself."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from logging import getLogger

import anyio
import structlog

from gateway.config import Config, ListenSection
from gateway.daemon import composing
from gateway.daemon.refusals import meaning
from gateway.daemon.sockets import Sockets
from gateway.faults import Faults
from gateway.guard import BodyGuard, Handler
from gateway.listener import Listener

log = structlog.get_logger()

# A browser opens connections that it may need later, and says nothing on them.
_HARMLESS = frozenset({"silent"})


class DevicePort:
    """Starts and stops the listeners of all sockets as one, and counts what they refuse."""

    def __init__(
        self,
        handler: Handler,
        config: Config,
        sockets: Sockets,
        faults: Faults,
        on_refused: Callable[[str, str], None],
    ) -> None:
        self.sockets = sockets
        self.refused: Counter[str] = Counter()  # connections and requests, by reason
        self._faults = faults
        self._on_refused = on_refused
        guarded = BodyGuard(handler, composing.body_limits(config), on_refused=self._refuse)
        self._listeners = [
            Listener(
                guarded,
                port,
                limits=composing.listen_limits(config),
                allow=composing.allowed(config),
                on_refused=self._refuse,
                server_log=getLogger("hypercorn.error"),
            )
            for port in sockets.devices
        ]
        self.compare(config.listen)

    @property
    def number(self) -> int:
        """Give the port's number."""
        return self.sockets.addresses[0][1]

    async def start(self) -> None:
        """Begin to accept on every socket."""
        for listener in self._listeners:
            await listener.start()

    async def stop(self, grace_s: float) -> None:
        """Take nothing new on any, and finish what was taken."""
        async with anyio.create_task_group() as tasks:
            for listener in self._listeners:
                tasks.start_soon(partial(listener.stop, grace_s))

    def compare(self, listen: ListenSection) -> None:
        """Tell a person that the configuration and systemd's socket unit disagree, while they do."""
        sentence = self.sockets.contradicts(listen)
        if sentence:
            self._faults.report("listen_differs", "", sentence, again=False)
        else:
            self._faults.clear("listen_differs")

    def probe_address(self) -> tuple[str, int]:
        """Say where this box itself reaches the port."""
        host, port = self.sockets.addresses[0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port

    def facts(self) -> dict[str, object]:
        """Say where devices are listened to, and what was refused, for the status."""
        return {
            "listen": str(self.sockets),
            "listen_of_systemd": self.sockets.of_systemd,
            "refused_connections": dict(self.refused),
        }

    def one_line(self) -> str:
        """Say whose socket it is in a few words, for systemd."""
        whose = "systemd's socket" if self.sockets.of_systemd else "own socket"
        return f"{whose} {self.sockets}"

    def _refuse(self, address: str, reason: str) -> None:
        self.refused[reason] += 1
        if reason in _HARMLESS:
            return
        self._on_refused(address, reason)
        code = "refused_sender" if reason == "not_allowed" else "refused_request"
        what = meaning(reason)
        sentence = f"{address or 'A connection'} was refused: {reason}{', ' + what if what else ''}."
        # One fault for each reason: the first explanation must not be hidden by the second.
        if self._faults.report(code, f"{address} {reason}", sentence):
            log.warning("connection_refused", sender=address, reason=reason)
