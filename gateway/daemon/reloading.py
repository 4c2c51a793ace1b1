"""Take over a new configuration while running, and say what came of it: to systemd, to the log, to whoever asked."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog

from gateway import systemd
from gateway.config import UnreadableConfigError, last_good, load
from gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from gateway.daemon.gateway import Gateway

log = structlog.get_logger()

_LONGEST_S = 15.0  # a reload ends sinks within a grace; one that takes longer hangs, and must not hold a stop


def remedy(error: ConfigError, path: Path | None) -> str | None:
    """Say what to do about a file that cannot be read; with mistakes in it the usual holds, and None is given."""
    if not isinstance(error, UnreadableConfigError):
        return None
    file = shlex.quote(str(path))
    return f"Run: sudo chgrp gateway {file}; sudo chmod 640 {file}; sudo gateway reload"


class Reloading:
    """One reload at a time: a signal and a command may come together."""

    def __init__(self, gateway: "Gateway", path: Path | None, usual: Path) -> None:
        self._gateway = gateway
        self._path = path
        self._usual = usual  # where it is looked for when no file was there at the start
        self._turn = anyio.Lock()
        self._begun = anyio.Event()

    def begin(self) -> None:
        """Take reloads from now on: every part is there. What came earlier is done now."""
        self._begun.set()

    async def ended(self) -> None:
        """Wait for the reload that is under way: a stop in the middle of it would end what it starts next."""
        with anyio.move_on_after(_LONGEST_S):
            async with self._turn:
                pass

    async def signalled(self) -> None:
        """Reload because of a signal, which nobody can be answered: the fault and the log say what was wrong."""
        try:
            await self.apply()
        except GatewayError:
            return  # told already

    async def apply(self) -> dict[str, object]:
        """Reload, and return when all is in effect: its hash, and the settings that wait for a restart.

        Raises `ConfigError` with all mistakes when the last good configuration stays in use, and `GatewayError`
        when a part of the new one could not be put into effect.
        """
        await self._begun.wait()
        async with self._turn:
            if self._gateway.stopping:  # what is being stopped must not be started again
                raise GatewayError("The gateway is stopping: nothing is taken over any more.")
            systemd.reloading("taking over the configuration")
            outcome = "the new configuration was not taken over; `gateway status` says why"
            try:
                told = await self._apply()
                outcome = f"configuration {told['config_hash']} taken over"
                return told
            finally:
                if not self._gateway.stopping:
                    systemd.ready(outcome)

    async def _apply(self) -> dict[str, object]:
        faults = self._gateway.faults
        if self._path is None and self._usual.exists():
            self._path = self._gateway.checkup.path = self._usual
        try:
            config = load(self._path)
        except ConfigError as error:
            said = f"The new configuration was not taken over. {error}"
            faults.report("config_rejected", "", said, remedy(error, self._path))
            log.error("config_rejected", reason=str(error))
            raise
        faults.clear("config_rejected")
        try:
            await self._gateway.reload(config)
        except GatewayError as error:
            sentence = f"The new configuration is only partly in effect: {error} Reload once more."
            faults.report("config_rejected", "", sentence)
            log.error("config_half_applied", reason=str(error))
            raise GatewayError(sentence) from error
        last_good.remember(self._path)
        log.info("config_reloaded", config_hash=config.hash)
        unusable = [fault.sentence for fault in faults if fault.code == "config_rejected"]
        if unusable:
            raise GatewayError(f"Taken over, but for this: {' '.join(unusable)}")
        return {"config_hash": config.hash, "restart": self._gateway.waits_for_restart}
