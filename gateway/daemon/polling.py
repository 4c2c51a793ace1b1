"""What the configuration has us ask for: every poll, and the poller that drives them."""

from collections.abc import Awaitable, Callable

from gateway.config import Config
from gateway.daemon import composing
from gateway.daemon.camlytics import camlytics_polls
from gateway.daemon.camlytics_cloud import cloud_polls
from gateway.daemon.supervision import supervise
from gateway.faults import Faults
from gateway.intake import Intake
from gateway.outbox import Outbox
from gateway.poller import Poller
from gateway.source import Poll


def polls(config: Config) -> list[Poll]:
    """Build every poll that is enabled; the families one after the other."""
    return [*camlytics_polls(config), *cloud_polls(config, composing.wanted(config))]


def poller(outbox: Outbox, intake: Intake, faults: Faults) -> Poller:
    """Build the poller; it starts a poll anew that dies."""

    async def keep_running(name: str, part: Callable[[], Awaitable[None]]) -> None:
        await supervise(name, part, faults)

    return Poller(outbox, intake, faults, keep_running)
