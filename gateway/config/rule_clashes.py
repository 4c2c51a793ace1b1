"""What the rules of Camlytics say that the rest of the configuration does not bear out."""

import difflib
from collections.abc import Iterator

from gateway.config.clash import Clash
from gateway.config.lines import Place
from gateway.config.model import Config

_SITE = "site"


def rules(config: Config) -> Iterator[Clash]:
    """Yield rules that lead into zones that there are not, and triggers that no webhook will ever name."""
    for place, zone in _zones(config):
        if zone is not None and zone not in config.zones and zone != _SITE:
            yield Clash(
                (place,), f'leads into the zone "{zone}", which is not configured', _advice(zone, config)
            )
    for name, account in config.camlytics_cloud.items():
        if account.enabled and not (account.key_file or account.secret_file):
            for number, one in enumerate(account.triggers):
                if not _may_be_an_id(one.trigger):
                    yield Clash(
                        (
                            ("camlytics_cloud", name, "triggers", number),
                            ("camlytics_cloud", name, "key_file"),
                        ),
                        f'names the trigger "{one.trigger}", and without keys there are only webhooks, which know'
                        " triggers by id",
                        "write its id as the portal shows it, or add key_file and secret_file",
                    )


def _zones(config: Config) -> Iterator[tuple[Place, str | None]]:
    for name, instance in config.camlytics.items():
        if instance.enabled:
            for number, rule in enumerate(instance.rules):
                yield ("camlytics", name, "rules", number), rule.zone
    for name, account in config.camlytics_cloud.items():
        if account.enabled:
            for number, trigger in enumerate(account.triggers):
                yield ("camlytics_cloud", name, "triggers", number), trigger.zone


def _advice(zone: str, config: Config) -> str:
    near = difflib.get_close_matches(zone, config.zones, 1)
    return f'did you mean "{near[0]}"?' if near else f"add a section [zones.{zone}]; it may be empty"


def _may_be_an_id(trigger: str) -> bool:
    """Say whether it looks like an id, which the vendor makes of digits and letters without a blank."""
    return " " not in trigger.strip() and any(char.isdigit() for char in trigger)
