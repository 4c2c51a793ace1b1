"""What options say about each other: rules that no single option can break alone.

Each rule yields `Clash`: the places involved, the first of which gives the line. A rule is not asked about
places whose value was wrong already, so no mistake is a consequence of another.
"""

from collections.abc import Callable, Iterator

from gateway.config.camlytics_clashes import camlytics
from gateway.config.clash import Clash
from gateway.config.daemon_clashes import daemon
from gateway.config.device_clashes import devices
from gateway.config.model import Config
from gateway.config.pin_clashes import pins
from gateway.config.rule_clashes import rules
from gateway.config.sink_clashes import sinks
from gateway.config.zone_clashes import zones

_RULES: tuple[Callable[[Config], Iterator[Clash]], ...] = (
    daemon,
    devices,
    pins,
    camlytics,
    sinks,
    zones,
    rules,
)


def clashes(config: Config) -> Iterator[Clash]:
    """Yield every clash in a configuration whose options are all valid by themselves."""
    for rule in _RULES:
        yield from rule(config)
