"""Turn the configured instances of Camlytics into what their source and their polls work with."""

from datetime import UTC
from secrets import token_hex
from zoneinfo import ZoneInfo

from gateway.config import Config
from gateway.config.camlytics_sections import CamlyticsSection
from gateway.sources.camlytics import CamlyticsPoll, Instance, Rule

_RUN = token_hex(4)  # the same over a reload, another one after a restart


def instances(config: Config) -> list[Instance]:
    """Say what the owner decided about each Camlytics in use."""
    return [_instance(config, name, section) for name, section in config.camlytics.items() if section.enabled]


def camlytics_polls(config: Config) -> list[CamlyticsPoll]:
    """Build the polls; an instance that sends webhooks is not asked."""
    if not config.sources.camlytics.enabled:
        return []
    return [CamlyticsPoll(instance) for instance in instances(config) if instance.mode == "poll"]


def _instance(config: Config, name: str, section: CamlyticsSection) -> Instance:
    zone = section.zone or config.site.zone
    return Instance(
        name=name,
        endpoint=section.endpoint,
        mode=section.mode,
        zone=ZoneInfo(zone) if zone else UTC,
        rules=tuple(Rule(rule=one.rule, direction=one.direction, zone=one.zone) for one in section.rules),
        origins=frozenset(origin.lower() for origin in section.count_origins),
        token=section.token,
        start=section.start,
        period_s=section.period_s,
        wait_s=float(section.wait_s),
        limit=section.limit,
        check_totals=section.check_totals,
        peers=tuple(sorted(other for other in config.camlytics if other != name)),
        run=_RUN,
    )
