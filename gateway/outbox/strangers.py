"""What is known of pushes that nobody has vouched for: the owner's rules, who brings one, and what became of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

from gateway.outbox.entry import Draft

_SUBNET_BITS = 64  # of IPv6 a single box may have all addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the owner decided about unknown devices."""

    hold: bool = False
    max_devices: int = 500  # taken up by themselves
    per_address: int = 50  # of these, and of those that wait, from one address
    held_devices: int = 200
    held_per_device: int = 20_000  # events
    held_bytes: int = 64 * 1024 * 1024
    configured: frozenset[str] = frozenset()  # device ids that the configuration names


@dataclass(frozen=True, slots=True)
class Caller:
    """Who brings a push that nobody has vouched for."""

    address: str
    token: str | None = None  # the path token of a configured device

    @property
    def introducer(self) -> str:
        """Name who answers for a device in the bounds; not by the token itself, which is a secret."""
        if self.token is not None:
            return f"token {hashlib.blake2b(self.token.encode(), digest_size=8).hexdigest()}"
        return introducer(self.address)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of the events of one push."""

    drafts: Sequence[Draft]  # these go into the log
    held: int = 0
    repeated: int = 0  # of what waits already
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Lobby:
    """How it stands, for a person; a copy, which others may read at any time."""

    devices: int = 0
    events: int = 0
    size: int = 0
    some: tuple[str, ...] = ()  # of the devices
    introduced: int = 0
    ignored: dict[str, int] = field(default_factory=dict)  # name: pushes since the start


@lru_cache(maxsize=4096)
def introducer(address: str) -> str:
    """Give the address that answers for a device; of IPv6 its network."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ip_network((ip, _SUBNET_BITS), strict=False))
    return str(ip)
