"""Which secret word the URL of a device needs, before the device has said who it is."""

from collections.abc import Collection
from ipaddress import ip_address

from gateway.config.model import Config
from gateway.config.sections import DeviceSection
from gateway.errors import GatewayError

WORD_PATH = "/k/"


class WhichDevice(GatewayError):
    """A device at an address may be one that needs a secret word, and nobody can tell which."""


def sections_with_word(config: Config, family: str) -> dict[str, DeviceSection]:
    """Give the sections of one family whose devices need a word, by id."""
    return {
        device.id: device
        for device in config.devices.values()
        if device.id and device.id.startswith(family) and device.path_secret_file
    }


def section_for(config: Config, family: str, address: str, known: Collection[str]) -> DeviceSection | None:
    """Give the section whose word the device at an address needs; None when it needs none.

    ``known`` are the devices that pushed from there last. Raises `WhichDevice` when it may be one of several.
    """
    wordy = sections_with_word(config, family)
    by_pin = [section for section in wordy.values() if _alone_at(section, address)]
    by_book = [wordy[device] for device in known if device in wordy]
    maybe = by_pin or by_book
    if not maybe and not known:
        maybe = [section for section in wordy.values() if _may_be_at(section, address)]
        certain = False
    else:
        certain = len({_word(section) for section in maybe}) <= 1
    if not certain and maybe:
        ids = ", ".join(str(section.id) for section in maybe)
        raise WhichDevice(
            f"The device at {address} may be {ids}, which needs a secret word in its URL, and nobody can tell whether"
            " it is."
        )
    return maybe[0] if maybe else None


def with_word(path: str, section: DeviceSection | None) -> str:
    """Put the word of a section before a path, unless a word stands there."""
    if section is None or path.lower().startswith(WORD_PATH):
        return path
    return f"{WORD_PATH}{_word(section)}{path if path.startswith('/') else f'/{path}'}"


def _word(section: DeviceSection) -> str:
    return section.path_secret_file.reveal() if section.path_secret_file else ""


def _alone_at(section: DeviceSection, address: str) -> bool:
    ip = ip_address(address)
    return any(net.prefixlen == net.max_prefixlen and net[0] == ip for net in section.address or ())


def _may_be_at(section: DeviceSection, address: str) -> bool:
    ip = ip_address(address)
    return not section.address or any(ip.version == net.version and ip in net for net in section.address)
