"""Which program listens on a TCP port, read from the kernel's tables."""

import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from gateway.doctor.box import Box

_LISTENS = "0A"


@dataclass(frozen=True, slots=True)
class Ear:
    """A socket that takes connections."""

    address: str
    port: int
    inode: str
    owner: int  # user id


def listening(box: Box, port: int) -> list[Ear]:
    """Find who listens on a port, on whatever address."""
    return [
        ear
        for table in ("tcp", "tcp6")
        for ear in _ears(box.read(f"proc/self/net/{table}") or "")
        if ear.port == port
    ]


def _ears(table: str) -> Iterator[Ear]:
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTENS:
            address, _, port = fields[1].partition(":")
            yield Ear(_address(address), int(port, 16), fields[9], int(fields[7]))


def _address(text: str) -> str:
    words = [struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
    raw = b"".join(words)
    return str(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw))


def processes(box: Box, ears: list[Ear]) -> dict[int, str]:
    """Name the processes that hold these sockets, by number; those of other users only for root."""
    wanted = {f"socket:[{ear.inode}]" for ear in ears}
    found: dict[int, str] = {}
    for folder in box.system("proc").glob("[0-9]*"):
        try:
            links = {str(one.readlink()) for one in (folder / "fd").iterdir()}
        except OSError:
            continue
        if wanted & links:
            found[int(folder.name)] = (box.read(f"proc/{folder.name}/comm") or "?").strip()
    return found


def local_addresses(box: Box) -> list[str]:
    """Give the addresses of this box at which others can reach it, the IPv4 ones first; no loopback, no link-local."""
    text = box.read("proc/self/net/fib_trie") or ""
    four = re.findall(r"\|-- (\d+\.\d+\.\d+\.\d+)\s+/32 host LOCAL", text)
    six = []
    for line in (box.read("proc/self/net/if_inet6") or "").splitlines():
        raw, _, _, scope, *_ = line.split()
        if scope == "00":
            six.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw)))
    return [one for one in dict.fromkeys([*four, *six]) if not one.startswith(("127.", "169.254."))]
