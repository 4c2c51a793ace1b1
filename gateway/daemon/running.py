"""Start the gateway from a configuration file, react to signals, end with a status that systemd understands."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import structlog

from gateway import __version__, logs, systemd
from gateway.config import Config, last_good, load
from gateway.daemon import composing
from gateway.daemon.callbacks import SOCKET_NAME
from gateway.daemon.gateway import Gateway
from gateway.daemon.own_clock import anchor_clock
from gateway.errors import ConfigError, GatewayError
from gateway.listener import bind, bind_unix
from gateway.outbox import Outbox, StoreDamaged, damage

log = structlog.get_logger()

_GC_AFTER = (
    20_000  # new containers; events leave no cycles behind, and Python's 700 cost a twentieth of all work
)


def run(path: Path | None) -> int:
    """Run until a signal; 0 after an orderly stop, 1 when the gateway cannot start or go on."""
    # Until the loop takes signals, a reload that comes too early must not end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o027)  # the store is for the gateway and its group, whoever may enter the directory
    rejected: str | None = None
    try:
        config = load(path)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - logging is set up from the configuration
        rejected = str(error)
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


async def _main(config: Config, path: Path | None, rejected: str | None) -> None:
    sockets = systemd.named_fds()
    given = next((sock for name, sock in sockets if name == SOCKET_NAME), None)
    devices = next((sock for name, sock in sockets if name != SOCKET_NAME), None)
    port = devices or bind(config.listen.host, config.listen.port)
    anchor_clock(config)
    outbox = await Outbox.open(composing.store_settings(config))
    gateway = Gateway(config, outbox, port, _bind_control(config), given)

    if rejected is None:
        last_good.remember(path)
    else:
        gateway.faults.report("config_rejected", "", f"The last good configuration is in use. {rejected}")
        log.error("config_rejected", reason=rejected)

    def ready() -> None:
        host, number = port.getsockname()[:2]
        log.info(
            "gateway_ready", version=__version__, listen=f"{host}:{number}", store=str(config.store.path)
        )
        systemd.ready()
        gc.freeze()  # what a start makes stays: nobody needs to look at it again
        gc.set_threshold(_GC_AFTER)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_signals, gateway, path)
            await gateway.run(ready)
            tasks.cancel_scope.cancel()
    finally:
        config.socket.unlink(missing_ok=True)


def _bind_control(config: Config) -> socket.socket:
    config.socket.parent.mkdir(parents=True, exist_ok=True)
    return bind_unix(config.socket)


async def _signals(gateway: Gateway, path: Path | None) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async for number in signals:
            if number == signal.SIGHUP:
                if not gateway.stopping:  # what is being stopped must not be started again
                    await _reload(gateway, path)
                continue
            systemd.stopping()
            gateway.stop()


async def _reload(gateway: Gateway, path: Path | None) -> None:
    """Take over a new configuration; one that does not load leaves the last good one in use."""
    systemd.reloading()
    try:
        config = load(path)
    except ConfigError as error:
        gateway.faults.report("config_rejected", "", f"The new configuration was not taken over. {error}")
        log.error("config_rejected", reason=str(error))
    else:
        gateway.faults.clear("config_rejected")
        await gateway.reload(config)
        last_good.remember(path)
        log.info("config_reloaded", config_hash=config.hash)
    systemd.ready()
