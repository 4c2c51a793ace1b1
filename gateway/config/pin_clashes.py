"""Pins that would protect nothing: of a device that no push can name, to everywhere, or to where no push may come from."""

from collections.abc import Iterator
from ipaddress import ip_network

from gateway.config.addresses import Network
from gateway.config.clash import Clash
from gateway.config.lines import Place
from gateway.config.model import Config
from gateway.config.sections import DeviceSection

# How the ids of devices begin that push to the port of the devices; the others are asked by us or have a secret header.
FAMILIES = ("counter-", "terminal-", "camlytics-")
_THIS_BOX = (ip_network("127.0.0.0/8"), ip_network("::1/128"))  # the device port always lets it in
_MAPPED = ip_network("::ffff:0:0/96")


def pins(config: Config) -> Iterator[Clash]:
    """Yield pins that no push could ever meet, or that every push meets."""
    for name, device in config.devices.items():
        if device.id is None or not (device.address or device.path_secret_file):
            continue
        if not device.id.startswith(FAMILIES):
            yield _no_device(name, device)
        for network in device.address or ():
            yield from _address(config, ("devices", name, "address"), network)


def _no_device(name: str, device: DeviceSection) -> Clash:
    option = "address" if device.address else "path_secret_file"
    said = str(device.id)
    family = "counter-" if said.isdigit() or said.startswith(("id-", "mac-", "at-", "path-")) else "terminal-"
    return Clash(
        (("devices", name, "id"), ("devices", name, option)),
        "is the id of no device that pushes, so this section would pin nothing",
        f'did you mean "{family}{said}"? Copy the id as `gateway devices` shows it',
    )


def _address(config: Config, place: Place, network: Network) -> Iterator[Clash]:
    if network.prefixlen == 0:
        yield Clash(
            (place,),
            f"holds every address ({network}), so it pins nothing",
            "write the address of the device",
        )
    elif not any(_meet(network, other) for other in (*_THIS_BOX, *config.listen.allow)):
        lone = network.prefixlen == network.max_prefixlen
        said = str(network.network_address) if lone else str(network)
        yield Clash(
            (place, ("listen", "allow")),
            f"lies outside of listen.allow ({said}), so nothing from there gets in",
            "write the address that the device has in this network, or add its network to listen.allow",
        )


def _meet(one: Network, other: Network) -> bool:
    return (one.version == other.version and one.overlaps(other)) or (
        one.version == 6 and one.overlaps(_MAPPED) and one.prefixlen >= _MAPPED.prefixlen
    )
