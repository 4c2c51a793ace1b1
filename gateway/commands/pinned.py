"""Which device is pinned and to what, and pins of devices that have never pushed, which protect nothing."""

import difflib
from collections.abc import Iterable, Iterator, Sequence

from gateway.config import Config, DeviceSection

Row = dict[str, object]


def with_pins(config: Config, rows: Sequence[Row]) -> list[Row]:
    """Say of each device what it is pinned to; None of one that is not."""
    told = {device.id: pinned_to(device) for device in config.devices.values() if device.id}
    return [row | {"pinned": told.get(str(row["device"]))} for row in rows]


def pinned_to(section: DeviceSection) -> str | None:
    """Say what a section pins its device to."""
    word = "a secret word" if section.path_secret_file else ""
    address = " or ".join(plainly(section))
    return " and ".join(part for part in (address, word) if part) or None


def plainly(section: DeviceSection) -> list[str]:
    """Give the addresses as a person writes them: one address has no prefix."""
    return [
        str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
        for network in section.address or ()
    ]


def never_pushed(config: Config, known: Iterable[str]) -> Iterator[str]:
    """Say of each pin that nothing was ever taken under its id: the id may be wrong, and then it pins nothing."""
    ids = list(known)
    for name, section in config.devices.items():
        if section.id and section.id not in ids and pinned_to(section):
            near = difflib.get_close_matches(section.id, ids, 1, 0.8)
            unpinned = near and near[0] not in {other.id for other in config.devices.values()}
            hint = (
                f'Did you mean "{near[0]}"?' if unpinned else "Compare it with the ids of `gateway devices`."
            )
            yield (
                f"[devices.{name}] pins {section.id}, and nothing was ever taken from a device of this id."
                f" If the id is wrong, this pin protects nothing. {hint}"
            )
