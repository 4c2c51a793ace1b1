"""What the sections of sources and devices say about each other: by what the gateway tells one sender from another."""

from collections.abc import Iterator

from gateway.config.clash import Clash, doubles
from gateway.config.lines import Place
from gateway.config.model import Config


def devices(config: Config) -> Iterator[Clash]:
    """Yield sources and devices that cannot be told apart, and devices that cannot be known."""
    yield from _sources(config)
    yield from _each_device(config)


def _sources(config: Config) -> Iterator[Clash]:
    paths: dict[Place, object] = {
        ("sources", name, "path"): source.path for name, source in config.sources.by_name().items()
    }
    for place, first in doubles(paths):
        yield Clash(
            (place, first),
            f"is the path of [{first[0]}.{first[1]}] too, so it cannot tell them apart",
            "give each source a path of its own",
        )


def _each_device(config: Config) -> Iterator[Clash]:
    for name, device in config.devices.items():
        if device.token is None and device.id is None:
            yield Clash(
                (("devices", name), ("devices", name, "token"), ("devices", name, "id")),
                "says nothing about how to know the device",
                'add token = "..." (a path that only this device uses) or id = "..." (as `gateway devices` shows it)',
            )
        for option in ("address", "path_secret_file"):
            if device.id is None and getattr(device, option):
                yield Clash(
                    (("devices", name, option), ("devices", name, "id")),
                    "pins nothing, because the section does not say which device it is about",
                    'add id = "..." (as `gateway devices` shows it)',
                )
    for option in ("token", "id"):
        values: dict[Place, object] = {
            ("devices", name, option): getattr(device, option) for name, device in config.devices.items()
        }
        for place, first in doubles(values):
            yield Clash(
                (place, first), f"is the {option} of [{first[0]}.{first[1]}] too", "each device has its own"
            )
