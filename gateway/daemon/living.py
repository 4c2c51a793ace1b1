"""What liveness is told: the limits of the configuration, and which polled systems have answered."""

from collections.abc import Callable

from gateway.config import Config
from gateway.event import slug
from gateway.liveness import Limits
from gateway.outbox import Sign
from gateway.outbox.signs import Signs
from gateway.poller import Poller, Standing


def limits(config: Config) -> Limits:
    """Say when silence is too long."""
    section = config.liveness
    own = {}
    for device in config.devices.values():
        if device.silent_after_s is not None:
            for name in (device.id, device.token and f"path-{slug(device.token)}"):
                if name:
                    own[name] = device.silent_after_s
    return Limits(
        rhythms=section.rhythms,
        at_least_s=section.at_least_s,
        gone_after_s=section.gone_after_s,
        own=own,
    )


def polled(poller: Poller, signs: Signs) -> Callable[[], None]:
    """Give what notes the answers of polled systems as signs of life of the devices behind them."""

    def note() -> None:
        for standing in poller.standings().values():
            if standing.heard_steady is not None:
                signs.answered(_speaks_for(standing), standing.heard_steady)

    return note


def poll_in_trouble(poller: Poller) -> Callable[[Sign], bool]:
    """Give what says whether the fault of a poll speaks for the silence of a device behind it."""

    def in_trouble(sign: Sign) -> bool:
        failing = [standing for standing in poller.standings().values() if standing.answers is False]
        return any(_speaks_for(standing)(sign) for standing in failing)

    return in_trouble


def _speaks_for(standing: Standing) -> Callable[[Sign], bool]:
    source, _, rest = standing.name.partition(".")
    # A channel of Camlytics is named after its PC, what the cloud reports is not named after an account.
    prefix = f"{source}-{rest.partition('.')[0]}-"

    def speaks_for(sign: Sign) -> bool:
        ours = source != "camlytics" or sign.device.startswith(prefix)
        return sign.source == standing.source and ours

    return speaks_for
