"""Start the gateway from a configuration file, react to signals, end with a status that systemd understands."""

import asyncio
import faulthandler
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskGroup

from gateway import __version__, foreign, logs, systemd
from gateway.config import Config, last_good, load
from gateway.daemon import composing
from gateway.daemon.gateway import Gateway
from gateway.daemon.own_clock import anchor_clock
from gateway.daemon.reloading import Reloading, remedy
from gateway.daemon.sockets import Sockets
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.listener import CannotListen, bind_unix
from gateway.outbox import Outbox, StoreDamaged, damage

log = structlog.get_logger()

_MORE_S = 60.0  # of the time to start, asked for again and again
_USUAL = Path("/etc/gateway/config.toml")  # also where there is none yet: the very first card may be wrong
_GC_AFTER = 5_000  # new containers; Python's 700 cost a twentieth of all work, and 20,000 let some megabytes of cycles wait


def run(path: Path | None) -> int:
    """Run until a signal; 0 after an orderly stop, 1 when the gateway cannot start or go on."""
    # Until the loop takes signals, a reload that comes too early must not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    faulthandler.enable()  # the watchdog's abort leaves in the log where every thread hung
    os.umask(0o027)  # the store is for the gateway and its group, whoever may enter the directory
    rejected: ConfigError | None = None
    try:
        config = load(path)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is set up from the configuration
        rejected = error
        recalled = last_good.recall(path)
        if recalled is None:
            return 1
        config = recalled
    logs.setup(config.runtime.log_format, config.runtime.log_level)
    failures: list[Exception] = []
    try:
        asyncio.run(_main(config, path, rejected))
    except* GatewayError as group:
        failures = list(_leaves(group))
    for failure in failures:
        if isinstance(failure.__cause__, StoreDamaged):  # a quick look may not find the damaged page again
            damage.mark(config.store.path, str(failure))
            then = "Start the gateway again (systemd does): what can be read is rescued then."
            log.error("gateway_cannot_run", reason=f"{str(failure).rstrip('.')}. {then}")
        else:
            log.error("gateway_cannot_run", reason=str(failure))
    return 1 if failures else 0


def _leaves(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def _main(config: Config, path: Path | None, rejected: ConfigError | None) -> None:
    sockets = Sockets.take(config)
    anchor_clock(config)
    outbox = await _open(config)
    config = config.going_on_as(outbox.gateway_id)
    gateway = Gateway(config, outbox, sockets, _bind_control(config))

    gateway.look_at_card((path or _USUAL).parent)
    gateway.requests.reloading = reloading = Reloading(gateway, path, _USUAL)
    gateway.checkup.path = path
    if rejected is None:
        last_good.remember(path)
    else:
        said = f"The last good configuration is in use. {rejected}"
        gateway.faults.report("config_rejected", "", said, remedy(rejected, path))
        log.error("config_rejected", reason=str(rejected))

    def ready() -> None:
        log.info("gateway_ready", version=__version__, listen=str(sockets), store=str(config.store.path))
        reloading.begin()
        systemd.ready(gateway.one_line())
        gc.freeze()  # what a start makes stays: nobody needs to look at it again
        gc.set_threshold(_GC_AFTER)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_signals, gateway, reloading, tasks)
            await gateway.run(ready)
            tasks.cancel_scope.cancel()
    finally:
        config.socket.unlink(missing_ok=True)


async def _open(config: Config) -> Outbox:
    """Open the store. Saving a damaged one or a migration may take longer than systemd gives a start."""
    # Whose files the unit's start could not write then; and root would follow the links that he lays there.
    if "SUDO_UID" in os.environ and foreign.is_of_somebody_else(config.store.path):
        raise StoreUnavailable(
            f"The store in {config.store.path} belongs to another user, who runs the gateway: systemctl start gateway"
        )

    async def ask_for_time() -> None:
        while True:
            systemd.extend_timeout(_MORE_S)
            await anyio.sleep(_MORE_S / 4)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_for_time)
        outbox = await Outbox.open(composing.store_settings(config))
        tasks.cancel_scope.cancel()
    return outbox


def _bind_control(config: Config) -> socket.socket:
    folder = config.socket.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotListen(
            f"The folder of the control socket, {folder}, cannot be made ({error.strerror}): let the gateway's user make"
            " it, or set another runtime.socket."
        ) from error
    return bind_unix(config.socket)


async def _signals(gateway: Gateway, reloading: Reloading, tasks: TaskGroup) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                tasks.start_soon(reloading.signalled)
                continue
            systemd.stopping()
            await reloading.ended()
            gateway.stop()
