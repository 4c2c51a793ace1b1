"""By which id the gateway speaks: the written one, else the one that the far ends know, else the name of the host."""

import contextlib

import structlog

from gateway.config import Config
from gateway.config.sections import host_id
from gateway.errors import StoreUnavailable
from gateway.faults import Faults
from gateway.outbox import Outbox

log = structlog.get_logger()

CODE = "gateway_id_unwritten"
# What boxes are called that nobody has given a name: the second one speaks as the first.
_EVERYBODYS = frozenset(
    (
        "raspberrypi",
        "raspberry",
        "debian",
        "localhost",
        "ubuntu",
        "armbian",
        "dietpi",
        "linux",
        "pi",
        "gateway",
    )
)


async def remember(config: Config, outbox: Outbox) -> None:
    """Have the store know the id before anything is sent under it."""
    now, was = config.gateway.id, outbox.gateway_id
    if now == was or not _speaks(config):
        return
    if was is not None:
        log.warning("gateway_id_changed", was=was, now=now)
    with contextlib.suppress(StoreUnavailable):  # told as a fault of its own; the next start notes it
        await outbox.speak_as(now)


def look(config: Config, faults: Faults) -> None:
    """Have the fault stand while the id hangs on a name that may change, or that other boxes have."""
    sentence = _doubt(config) if _speaks(config) and not config.gateway.id_written else None
    if sentence is None:
        faults.clear(CODE)
    else:
        faults.report(CODE, "", sentence, again=False)


def _doubt(config: Config) -> str | None:
    called, host = config.gateway.id, host_id()
    if called != host:
        return (
            f"This box is called {host} now. The gateway goes on as {called}, as whoever takes its events knows it; that"
            " is not written in the configuration."
        )
    if called in _EVERYBODYS:
        return (
            f"The gateway is called {called} after its host, as every new box is: a second one would write to the same"
            " topics, and nobody could tell their events apart."
        )
    return None


def _speaks(config: Config) -> bool:
    return any(sink.enabled for sink in config.sinks.values())
