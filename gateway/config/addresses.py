"""The options that are addresses: networks, endpoints, paths of URLs and the tokens in them."""

import ipaddress
import re
from typing import Annotated, Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from gateway.config.wording import shown, wrong

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")
_SPACE = re.compile(r"[\x00-\x20\x7f-\xa0]")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAPPED_BITS = 96  # ::ffff:0:0/96 stands for all of IPv4
_URL_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")


def _network(value: Any) -> Network:
    if not isinstance(value, str):
        raise wrong(f"{shown(value)} is not a network", allowed='text such as "192.168.1.0/24"')
    try:
        return _unmapped(ipaddress.ip_network(value))
    except ValueError:
        pass  # then it is to be said below what is wrong with it
    try:
        better = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise wrong(
            f"{shown(value)} is not a network",
            allowed='an address such as "192.168.1.5", or a network such as "192.168.1.0/24" or "fd00::/8"',
        ) from None
    raise wrong(f"{shown(value)} has bits set behind the prefix", suggestion=f'write "{better}"')


def _unmapped(network: Network) -> Network:
    """Give IPv4 that is written as IPv6 as IPv4: so the listener names the address of whoever comes over IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))


def _device_network(value: Any) -> Network:
    """Take where a device may push from: one address, or a network of a list."""
    allowed = 'an address such as "192.168.1.5", or a network such as "192.168.1.0/24"'
    if not isinstance(value, str):
        raise wrong(f"{shown(value)} is no address", allowed=allowed)
    try:
        return _network(value)
    except PydanticCustomError as error:
        if "/" in value and "bits set" in str(error):
            raise
    better = _address_in(value)
    raise wrong(
        f"{shown(value)} is no address", allowed=allowed, suggestion=f'write "{better}"' if better else None
    )


def _address_in(value: str) -> str | None:
    """Find the address in what people write around one: blanks, a scheme, a port, a path."""
    text = value.strip()
    scheme, _, rest = text.rpartition("://")
    place = rest.partition("/")[0] if scheme else rest
    for part in (place, place.rpartition(":")[0].strip("[]")):
        try:
            return str(ipaddress.ip_network(part)) if "/" in part else str(ipaddress.ip_address(part))
        except ValueError:
            continue
    return None


def _listen_host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise wrong(
            f"{shown(value)} is not an address of this machine",
            allowed='"0.0.0.0" (all of IPv4), "::" (all), or one address of this machine',
            suggestion='write "127.0.0.1"' if value == "localhost" else None,
        ) from None
    return value


def _url_path(value: str) -> str:
    if not _URL_PATH.fullmatch(value):
        better = None if value.startswith("/") else f'write "/{value}"'
        raise wrong(
            f"{shown(value)} is not a path",
            allowed='"/" and then letters, digits and . _ ~ / -',
            suggestion=better if better and _URL_PATH.fullmatch("/" + value) else None,
        )
    return value


def _token(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise wrong("this is not a legal path token", allowed="1 to 64 of the characters A-Z a-z 0-9 _ -")
    return value


def split_endpoint(value: str, schemes: tuple[str, ...], allowed: str) -> SplitResult:
    """Take an endpoint apart, or raise `wrong` for what no endpoint may have; the first scheme is suggested."""
    if _SPACE.search(value):  # urlsplit would take some of them out without a word
        raise wrong(f"{shown(value)} has white space or control characters in it", allowed=allowed)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong(
            f"{shown(value)} is not an endpoint", allowed=f"{allowed}, with a port of 1 to 65535"
        ) from None
    if "@" in (parts.netloc if parts.scheme in schemes and parts.netloc else value):
        raise wrong(
            "an endpoint holds no user and no password: other people read it in messages and logs",
            suggestion="take them out, and use the options for them (secrets go in files)",
        )
    if parts.scheme not in schemes:
        # Brokers in a shop are as often without encryption; an upstream without it is the exception.
        offered = schemes if "mqtt" in schemes else schemes[:1]
        meant = " or ".join(f'"{scheme}://{value}"' for scheme in offered)
        better = "" if "//" in value or not _HOST.match(value) else f"write {meant}"
        raise wrong(
            f"{shown(value)} has another scheme than expected", allowed=allowed, suggestion=better or None
        )
    host = parts.hostname or ""
    if port == 0 or not (_HOST.fullmatch(host) or _is_ipv6(host)) or parts.fragment:
        raise wrong(f"{shown(value)} is not an endpoint", allowed=allowed)
    return parts


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


CheckedNetwork = Annotated[Network, BeforeValidator(_network)]
DeviceNetwork = Annotated[Network, BeforeValidator(_device_network)]
ListenHost = Annotated[str, AfterValidator(_listen_host)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
PathToken = Annotated[str, AfterValidator(_token)]
