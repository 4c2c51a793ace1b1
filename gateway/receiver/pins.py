"""Which device may speak from where: the address and the word in the path that the owner tied it to.

The devices cannot sign, but each has an address and pushes to any URL. A push in the name of a pinned device that comes
from elsewhere, or without its word, is refused before anything is kept of it. The word is a secret: it is taken out
of the path at the door, so nothing behind it can show it.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from urllib.parse import unquote

MASKED = "***"
WITHOUT_WORD = "without the secret word"  # in the objection where only the word is wrong
_WORD = re.compile(r"/[kK]/([^/]*)")
_BEHIND = re.compile(r"(?:^|/)[kK]/+(.+)", re.DOTALL)  # wherever it stands: that a word was meant is enough
_RUN = re.compile(r"[A-Za-z0-9_-]+")  # words are made of these
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_SLASHES = re.compile(r"//+")
_MOST_DECODED = 5  # times
_SALT = os.urandom(16)  # digests are compared, not words: how long it takes says nothing about the word


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What the owner tied one device to."""

    section: str  # the name of its section: [devices.NAME]
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    word: bytes | None = field(default=None, repr=False)  # the digest of the secret word


def digest(word: str) -> bytes:
    """Give what stands for a word in memory."""
    return hashlib.blake2b(word.encode("utf-8", "surrogatepass"), key=_SALT, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Pins:
    """The pins by device id."""

    by_device: Mapping[str, Pin] = field(default_factory=dict)

    def shown(self, path: str) -> frozenset[str]:
        """Name the devices whose word stands in a path: `/k/WORD`, and behind it whatever one likes."""
        found = _WORD.match(path)
        if found is None:
            return frozenset()
        given = digest(found[1])
        return frozenset(device for device, pin in self.by_device.items() if pin.word == given)

    def masked(self, path: str) -> str:
        """Give a path without any word: a wrong one behind `/k/` may be the right one with a slip of the finger."""
        words = {pin.word for pin in self.by_device.values() if pin.word is not None}
        path = _SLASHES.sub("/", path)
        found = _BEHIND.search(path)
        if found is not None and digest(found[1].partition("/")[0]) not in words:
            path = path[: found.start(1)] + MASKED
        return "/".join(MASKED if _holds(part, words) else part for part in path.split("/"))

    def objection(
        self, devices: Iterable[str], address: str, shown: frozenset[str]
    ) -> tuple[str, str] | None:
        """Name the first device that may not speak so, and say why; None when all may."""
        for device in devices:
            pin = self.by_device.get(device)
            if pin is not None and (reason := _reason(pin, device, address, shown)) is not None:
                return device, reason
        return None


def _holds(part: str, words: Collection[bytes]) -> bool:
    """Say whether a part of a path has a word in it, bare or among other signs, or something that could hide one."""
    for _ in range(_MOST_DECODED):
        if any(digest(run) in words for run in _RUN.findall(_ESCAPE.sub("/", part))):
            return True
        plain = unquote(part)
        if plain == part:
            return False
        if _BEHIND.search(plain):
            return True
        part = plain
    return True


def _reason(pin: Pin, device: str, address: str, shown: frozenset[str]) -> str | None:
    if pin.networks and not _lies_in(pin.networks, address):
        pinned = " or ".join(_plain(network) for network in pin.networks)
        return f"A push from {address} names {device}, which [devices.{pin.section}] pins to {pinned}"
    if pin.word is not None and device not in shown:
        where = f" to {_plain(pin.networks[0])}" if pin.networks else ""
        return (
            f"A push from {address} names {device}, which [devices.{pin.section}] pins{where}, {WITHOUT_WORD}"
            " of its section in the path"
        )
    return None


def _lies_in(networks: Iterable[IPv4Network | IPv6Network], address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False  # a unix socket has none
    return any(ip.version == network.version and ip in network for network in networks)


def _plain(network: IPv4Network | IPv6Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
