"""Looks at how this box finds names: who it asks, whether they answer, and what comes of the names of the far ends."""

import contextlib
import ipaddress
import secrets
import socket
import struct
from collections.abc import Iterator, Sequence

from gateway import clock
from gateway.doctor.box import Box, untold, well, wrong
from gateway.doctor.finding import Finding

CHECK = "name resolution"
CODES = frozenset({"resolver_silent"})
_DNS_PORT = 53
_ANSWER_S = 1.5
_MOST_SERVERS = 3  # the C library asks no more


def is_name(host: str) -> bool:
    """Say whether somebody has to be asked for it."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return False
    return bool(host) and host != "localhost"


def servers(box: Box) -> list[str]:
    """Name the servers that this box asks."""
    lines = (line.split() for line in (box.read("etc/resolv.conf") or "").splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"][:_MOST_SERVERS]


def in_hosts(box: Box, name: str) -> bool:
    """Say whether a name is written into the box itself."""
    lines = (line.partition("#")[0].split() for line in (box.read("etc/hosts") or "").splitlines())
    return any(name.lower() in (word.lower() for word in words[1:]) for words in lines)


def look(box: Box, hosts: Sequence[str], *, port: int = _DNS_PORT) -> Iterator[Finding]:
    """Ask each name server directly; the C library waits five seconds for one that is silent, at each name."""
    names = [host for host in dict.fromkeys(hosts) if is_name(host) and not in_hosts(box, host)]
    if not names:
        yield well(CHECK, "No far end has a name that this box would have to ask for.")
        return
    if box.read("etc/resolv.conf") is None:
        yield untold(
            CHECK, "/etc/resolv.conf cannot be read, so nobody knows which name server this box asks."
        )
        return
    for server in servers(box):  # that there is none is said where the network is looked at
        took_s = _ask(server, port, names[0])
        if took_s is None:
            said = f"The name server {server} does not answer within {_ANSWER_S:g} s."
            yield wrong(CHECK, "resolver_silent", said, server)
        else:
            yield well(CHECK, f"The name server {server} answers ({took_s * 1000:.0f} ms).", server)


def _ask(server: str, port: int, name: str) -> float | None:
    """Ask for a name over UDP; any answer at all counts. Gives how long it took, or None."""
    number, began = secrets.randbits(16), clock.steady()
    try:
        labels = [label.encode("idna") for label in name.rstrip(".").split(".")]
        query = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        head = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0)
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_ANSWER_S)
            sock.connect((server, port))
            sock.send(head + query + struct.pack("!2H", 1, 1))
            while clock.steady() - began < _ANSWER_S:
                if sock.recv(4096)[:2] == head[:2]:
                    return clock.steady() - began
    except (OSError, ValueError):  # nothing came, or it said that nothing listens there
        pass
    return None


def judged(box: Box, check: str, subject: str, host: str, addresses: Sequence[str]) -> Iterator[Finding]:
    """Say what is odd about the addresses of a name; nothing of that is an error to the C library."""
    if not is_name(host) or in_hosts(box, host):
        return
    known = [ipaddress.ip_address(address.partition("%")[0]) for address in addresses]
    odd = [str(address) for address in known if address.is_unspecified or address.is_loopback]
    if odd:
        said = (
            f"{host} resolves to {odd[0]}, which is this box itself: a filter in the name server answers so."
        )
        yield wrong(check, "name_filtered", said, subject)
    if known and all(address.version == 6 for address in known) and not any(map(_has_route, addresses)):
        said = f"{host} has IPv6 addresses only ({addresses[0]}), and this box has no way to IPv6."
        yield wrong(check, "name_ipv6_only", said, subject)


def _has_route(address: str) -> bool:
    """Say whether the kernel knows a way to an IPv6 address; nothing is sent for that."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
    except OSError:
        return False
    return True
