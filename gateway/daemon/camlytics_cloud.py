"""What the configuration makes of the Camlytics cloud: its polls, and the source of its webhooks."""

from collections.abc import Iterator

from gateway.config import Config
from gateway.config.camlytics_cloud_sections import CamlyticsCloudSection
from gateway.source import Poll
from gateway.sources.camlytics_cloud import Account, CamlyticsCloudWebhook, Keys, Rule, Rules, polls


def cloud_polls(config: Config, keep: frozenset[str]) -> Iterator[Poll]:
    """Build the polls of every account that has keys; ``keep`` names the personal fields that may be kept."""
    for name, section in config.camlytics_cloud.items():
        if section.polled and section.key_file and section.secret_file:
            account = Account(
                name=name,
                keys=Keys(section.key_file.reveal(), section.secret_file.reveal()),
                endpoint=section.endpoint,
                locations=section.locations,
                period_s=section.period_s,
                lists_s=section.lists_s,
                overlap_s=section.overlap_s,
                backfill_s=section.backfill_s,
                rules=Rules.of(_rules(section), section.count_origins),
                keep=keep,
            )
            yield from polls(account, totals=section.check_totals, histograms=section.histograms)


def cloud_webhook(config: Config, keep: frozenset[str]) -> CamlyticsCloudWebhook:
    """Build the source of webhooks; a trigger is known by its id, so it finds its rule among all accounts."""
    sections = [section for section in config.camlytics_cloud.values() if section.enabled]
    origins = {origin for section in sections for origin in section.count_origins}
    rules = [rule for section in sections for rule in _rules(section)]
    return CamlyticsCloudWebhook(
        Rules.of(rules, origins) if sections else Rules(),
        keep,
        polled=any(section.polled for section in sections),
    )


def _rules(section: CamlyticsCloudSection) -> list[Rule]:
    return [Rule(trigger=one.trigger, direction=one.direction, zone=one.zone) for one in section.triggers]
