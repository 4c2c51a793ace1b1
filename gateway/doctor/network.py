"""The box in its network: cable, address and where it comes from, the way out, the name server."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from gateway.config import Config
from gateway.doctor import names
from gateway.doctor.box import Box, Check, hindered, well, wrong
from gateway.doctor.far_ends import hosts
from gateway.doctor.finding import Finding
from gateway.doctor.links import Link, default_routes, links
from gateway.doctor.sockets import local_addresses

ADDRESS, ROUTE, RESOLVER = "address", "route", "name server"
_LEASES = ("run/systemd/netif/leases", "var/lib/dhcp", "var/lib/dhcpcd", "var/lib/NetworkManager")
_NEAR_NAMES = (
    *(".local", ".lan", ".internal", ".home.arpa", ".home", ".localdomain"),
    *(".test", ".invalid", ".example", ".localhost"),  # nobody ever has one of these
)


def look_at_address(box: Box) -> Iterable[Finding]:
    """Say which address the devices have to call, and whether it will stay."""
    try:
        found = links(box)
    except OSError as error:
        yield from _without_netlink(box, error)
        return
    used = [link for link in found if any(_is_useful(one.text) for one in link.addresses)]
    if not used and not local_addresses(box):
        if not _only_here(box.config):
            yield wrong(ADDRESS, "no_address", f"This box has no address in a network{_cables(found)}.")
        else:
            yield well(ADDRESS, "This box has no address in a network, and listen.host needs none.")
        return
    yield from _cable(box, used)
    yield from _lease(box, used)


def _cable(box: Box, used: list[Link]) -> Iterable[Finding]:
    """Look for a cable in the link that everything hangs on; one beside it may be empty."""
    routes = default_routes(box)
    needed = [link for link in used if link.name in routes] or used
    if needed and not any(link.carrier for link in needed):
        which = ", ".join(link.name for link in needed)
        yield wrong(
            ADDRESS, "link_down", f"Nothing is connected to {which}: no cable, or the switch is off.", which
        )


def _lease(box: Box, used: list[Link]) -> Iterable[Finding]:
    lent = [
        (link.name, one.text)
        for link in used
        for one in link.addresses
        if one.leased and _is_useful(one.text)
    ]
    fixed = [
        (link.name, one.text)
        for link in used
        for one in link.addresses
        if not one.leased and _is_useful(one.text)
    ]
    if lent:
        named = " and ".join(f"{text} ({name})" for name, text in lent)
        yield wrong(
            ADDRESS,
            "address_dhcp",
            f"The router lends the address {named} to this box (DHCP): it may change.",
        )
        return
    named = " and ".join(f"{text} ({name})" for name, text in fixed) or ", ".join(local_addresses(box))
    traces = [place for place in _LEASES if _has_leases(box.system(place))]
    more = f" There are traces of DHCP in /{traces[0]}." if traces else ""
    yield well(ADDRESS, f"It is {named}, and does not end by itself.{more}")


def _has_leases(folder: Path) -> bool:
    try:
        return any(folder.glob("*lease*"))
    except OSError:
        return False


def _without_netlink(box: Box, error: OSError) -> Iterable[Finding]:
    found = local_addresses(box)
    if not found and not _only_here(box.config):
        yield wrong(ADDRESS, "no_address", "This box has no address in a network.")
        return
    named = f"It is {', '.join(found)}. " if found else ""
    yield hindered(
        ADDRESS, f"{named}Where it comes from cannot be told: the kernel was not asked ({error.strerror})."
    )


def _is_useful(address: str) -> bool:
    known = ip_address(address)
    return not (known.is_loopback or known.is_link_local)


def _cables(found: list[Link]) -> str:
    if any(link.up and link.carrier for link in found):
        return ", though a cable is connected: no router gave one"
    return ", and no cable or radio is connected" if found else ""


def _only_here(config: Config) -> bool:
    """Say whether everything is on this very box: devices and far ends."""
    return _is_near(config.listen.host) and all(_is_near(host) for host in hosts(config))


def _is_near(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def look_at_route(box: Box) -> Iterable[Finding]:
    """Find the way out; to have none is no fault, unless something outside is to be called."""
    routes = default_routes(box)
    if routes:
        yield well(ROUTE, f"The way out is over {', '.join(routes)}.")
        return
    outside = [host for host in hosts(box.config) if _is_outside(host)]
    if outside:
        yield wrong(
            ROUTE,
            "no_route",
            f"This box has no router to go out by, so {_listed(outside)} cannot be reached.",
        )
    else:
        yield well(ROUTE, "There is no way out of the site's network, and nothing outside is to be called.")


def _is_outside(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.lower().endswith(_NEAR_NAMES)


def look_at_resolver(box: Box) -> Iterable[Finding]:
    """Find the name servers, which are needed where a far end is written as a name."""
    servers = names.servers(box)
    if set(servers) <= {"127.0.0.53", "127.0.0.54"} and servers:  # systemd-resolved asks others
        behind = box.read("run/systemd/resolve/resolv.conf")
        servers = servers if behind is None else re.findall(r"(?m)^\s*nameserver\s+(\S+)", behind)
    if servers:
        yield well(RESOLVER, f"Names are asked of {', '.join(servers)}.")
        return
    named = [host for host in hosts(box.config) if names.is_name(host) and not names.in_hosts(box, host)]
    if named:
        yield wrong(
            RESOLVER,
            "resolver_missing",
            f"This box knows no name server, so {_listed(named)} cannot be found.",
        )
    else:
        yield well(RESOLVER, "No name server is set, and no far end is written as a name.")


def _listed(called: list[str]) -> str:
    more = f" and {len(called) - 3} more" if len(called) > 3 else ""
    return ", ".join(called[:3]) + more


CHECK = Check(
    ADDRESS, look_at_address, frozenset({"no_address", "link_down", "address_dhcp"}), cheap=True, looks=2
)
WAY_OUT = Check(ROUTE, look_at_route, frozenset({"no_route"}), cheap=True, looks=2)
NAMES = Check(RESOLVER, look_at_resolver, frozenset({"resolver_missing"}), cheap=True, looks=2)
