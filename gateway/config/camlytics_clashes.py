"""What the sections of Camlytics, on a PC and in the cloud, say about each other and about devices."""

from collections.abc import Iterator

from gateway.config.clash import Clash, doubles
from gateway.config.lines import Place
from gateway.config.model import Config


def camlytics(config: Config) -> Iterator[Clash]:
    """Yield what would be counted or polled twice, or could not log in."""
    yield from _camlytics(config)
    yield from _camlytics_cloud(config)


def _camlytics(config: Config) -> Iterator[Clash]:
    used = {name: section for name, section in config.camlytics.items() if section.enabled}
    endpoints: dict[Place, object] = {
        ("camlytics", name, "endpoint"): section.endpoint.lower() for name, section in used.items()
    }
    for place, first in doubles(endpoints):
        yield Clash(
            (place, first),
            f"is the endpoint of [{first[0]}.{first[1]}] too, so everything would be counted twice",
            "make one section of the two, with the rules of both",
        )
    tokens: dict[Place, object] = {
        ("devices", name, "token"): device.token for name, device in config.devices.items()
    }
    tokens |= {("camlytics", name, "token"): section.token for name, section in config.camlytics.items()}
    for place, first in doubles(tokens):
        if place[0] == "camlytics":
            yield Clash(
                (place, first), f"is the token of [{first[0]}.{first[1]}] too", "each has a token of its own"
            )
    for name, section in config.camlytics.items():
        rules: dict[Place, object] = {
            ("camlytics", name, "rules", number): rule.rule.strip().casefold()
            for number, rule in enumerate(section.rules)
        }
        for place, first in doubles(rules):
            yield Clash((place, first), "is about a rule that was named before", "keep one of the two")


def _camlytics_cloud(config: Config) -> Iterator[Clash]:
    for name, account in config.camlytics_cloud.items():
        at = ("camlytics_cloud", name)
        for has, lacks in (("key_file", "secret_file"), ("secret_file", "key_file")):
            if getattr(account, has) and not getattr(account, lacks):
                yield Clash(((*at, has), (*at, lacks)), f"is of no use without {lacks}", f"add {lacks}")
        if account.endpoint.startswith("http:") and not account.insecure_http:
            yield Clash(
                ((*at, "endpoint"), (*at, "insecure_http")),
                "sends the key and everything else in the clear",
                "begin it with https://, or add insecure_http = true where the network is trusted",
            )
    keys: dict[Place, object] = {
        ("camlytics_cloud", name, "key_file"): account.key_file.reveal()
        for name, account in config.camlytics_cloud.items()
        if account.key_file and account.enabled
    }
    for place, first in doubles(keys):
        yield Clash(
            (place, first),
            f"holds the key of [{first[0]}.{first[1]}] too, so everything would be polled twice",
            "make one account of the two, with all its locations",
        )
