"""The network interfaces as the kernel shows them to everybody, and over netlink which address was leased."""

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass, field

from gateway.doctor.box import Box

_SIOCGIFFLAGS = 0x8913
_UP, _LOOPBACK, _RUNNING = 0x1, 0x8, 0x40
_RTM_NEWADDR, _RTM_GETADDR, _NLMSG_DONE, _NLMSG_ERROR = 20, 22, 3, 2
_REQUEST_DUMP = 0x301
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_PERMANENT = 0x80
_HEAD, _ADDRESS, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """One IPv4 address of an interface."""

    text: str
    leased: bool  # it ends after a time: somebody lent it, which is what DHCP does


@dataclass(frozen=True, slots=True)
class Link:
    """One interface that is no loopback."""

    name: str
    up: bool
    carrier: bool  # a cable is in, or a radio is connected
    addresses: list[Address] = field(default_factory=list)


def links(box: Box) -> list[Link]:
    """Read the interfaces; raises OSError where the kernel may not be asked."""
    names = [
        line.partition(":")[0].strip() for line in (box.read("proc/self/net/dev") or "").splitlines()[2:]
    ]
    found = []
    leased = _addresses()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for name in names:
            flags = 0
            with contextlib.suppress(OSError):  # it was taken away since
                answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
                flags = struct.unpack("16sH14x", answer)[1]
            if not flags & _LOOPBACK and flags:
                found.append(Link(name, bool(flags & _UP), bool(flags & _RUNNING), leased.get(name, [])))
    return found


def _addresses() -> dict[str, list[Address]]:
    """Ask the kernel for all IPv4 addresses, by interface."""
    found: dict[str, list[Address]] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.settimeout(_WAIT_S)
        body = _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
        asking.send(_HEAD.pack(_HEAD.size + len(body), _RTM_GETADDR, _REQUEST_DUMP, 1, 0) + body)
        ended = False
        while not ended:
            data = asking.recv(1 << 16)
            ended = _read(data, found) or not data
    return found


def _read(data: bytes, found: dict[str, list[Address]]) -> bool:
    """Read one answer; True when it was the last."""
    while len(data) >= _HEAD.size:
        length, kind, *_ = _HEAD.unpack_from(data)
        if kind in {_NLMSG_DONE, _NLMSG_ERROR} or length < _HEAD.size:
            return True
        if kind == _RTM_NEWADDR:
            _family, _bits, flags, _scope, index = _ADDRESS.unpack_from(data, _HEAD.size)
            raw = _attributes(data[_HEAD.size + _ADDRESS.size : length])
            four = raw.get(_IFA_LOCAL) or raw.get(_IFA_ADDRESS)
            if four:
                with contextlib.suppress(OSError):
                    one = Address(socket.inet_ntoa(four), not flags & _PERMANENT)
                    found.setdefault(socket.if_indextoname(index), []).append(one)
        data = data[(length + 3) & ~3 :]
    return False


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found


def default_routes(box: Box) -> list[str]:
    """Name the interfaces over which everything else is reached."""
    found = []
    for line in (box.read("proc/self/net/route") or "").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000" and int(fields[3], 16) & 1:
            found.append(fields[0])
    for line in (box.read("proc/self/net/ipv6_route") or "").splitlines():
        fields = line.split()
        if len(fields) > 9 and set(fields[0]) == {"0"} and fields[1] == "00" and fields[9] != "lo":
            found.append(fields[9])
    return list(dict.fromkeys(found))
