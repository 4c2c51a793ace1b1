"""What the options of zones say about each other."""

from collections.abc import Iterator

from gateway.config.clash import Clash
from gateway.config.lines import Place
from gateway.config.model import Config
from gateway.config.zone_sections import ZoneOptions


def zones(config: Config) -> Iterator[Clash]:
    """Yield the clashes of every zone and of the site."""
    if "site" in config.zones:
        yield Clash(
            (("zones", "site"),), "is the name of the site itself", "give its options to [site], or rename it"
        )
    for place, zone in _all(config):
        yield from _doors(place, zone)
        yield from _capacity(place, zone)
        if zone.reset and config.site.zone is None:
            yield Clash(
                ((*place, "reset"), ("site", "zone")),
                "is a time of day, and site.zone does not say where",
                'add the time zone of the site, such as: zone = "Europe/Berlin"',
            )


def _all(config: Config) -> Iterator[tuple[Place, ZoneOptions]]:
    yield ("site",), config.site
    for name, zone in config.zones.items():
        yield ("zones", name), zone


def _doors(place: Place, zone: ZoneOptions) -> Iterator[Clash]:
    both = ((*place, "doors"), (*place, "doors_out"))
    for door in sorted(set(zone.doors) & set(zone.doors_out)):
        yield Clash(both, f'has "{door}", which leads out as well', "leave it in one of doors and doors_out")
    listed = [*zone.doors, *zone.doors_out]
    for door in sorted(set(listed)):
        whole, _, part = door.partition("/")
        if part and whole in listed:
            yield Clash(
                both,
                f'has "{door}" beside "{whole}", which counts everything of that device',
                "name the device, or those of its objects that count",
            )
    for option, names in (("doors", zone.doors), ("doors_out", zone.doors_out)):
        for door in sorted({name for name in names if names.count(name) > 1}):
            yield Clash(((*place, option),), f'has "{door}" twice', "name it once")


def _capacity(place: Place, zone: ZoneOptions) -> Iterator[Clash]:
    clear, capacity = zone.capacity_clear, zone.capacity
    if clear is None:
        return
    places = ((*place, "capacity_clear"), (*place, "capacity"))
    if capacity is None:
        yield Clash(places, "is of no use without capacity", "add capacity")
    elif clear >= capacity:
        yield Clash(
            places,
            f"is not less than the capacity ({capacity}), so a full zone would have room at once",
            "lower it, or leave it out",
        )
