"""The sockets that devices come in on: handed over by systemd, or opened here when there are none.

A socket that systemd holds stays open while the gateway is replaced, and what comes meanwhile waits in it. So it
wins over the configuration; that the two name different places is told.
"""

import socket
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Self

import structlog

from gateway import systemd
from gateway.config import Config, ListenSection
from gateway.daemon.callbacks import SOCKET_NAME
from gateway.listener import bind

log = structlog.get_logger()

_EVERYWHERE = {"", "*", "::"}
Address = tuple[str, int]


@dataclass(frozen=True)
class Sockets:
    """What the gateway listens on for others."""

    devices: tuple[socket.socket, ...]
    callbacks: socket.socket | None = None
    of_systemd: bool = False
    addresses: tuple[Address, ...] = field(init=False)

    def __post_init__(self) -> None:
        # A closed socket has no address any more, and the status tells it to the end.
        object.__setattr__(self, "addresses", tuple(sock.getsockname()[:2] for sock in self.devices))

    @classmethod
    def take(cls, config: Config) -> Self:
        """Take those of systemd, or bind what the configuration says; raises `CannotListen`."""
        devices, callbacks = [], None
        for name, sock in systemd.named_fds():
            if not _is_a_port(sock):
                log.warning("socket_not_usable", unit_name=name)
                sock.close()
            elif name == SOCKET_NAME:
                callbacks = sock
            else:
                devices.append(sock)
        if devices:
            return cls(tuple(devices), callbacks, of_systemd=True)
        return cls((bind(config.listen.host, config.listen.port),), callbacks)

    def __str__(self) -> str:
        return ", ".join(_shown(address) for address in self.addresses)

    def contradicts(self, listen: ListenSection) -> str | None:
        """Say that the configuration names another place than the sockets of systemd have; None when it does not."""
        wanted = ("::" if listen.host in _EVERYWHERE else listen.host, listen.port)
        if not self.of_systemd or any(_covers(address, wanted) for address in self.addresses):
            return None
        return (
            f"Devices are received on {self}, as systemd's socket unit says; [listen] of the configuration says "
            f"{_shown(wanted)}, where nobody listens."
        )


def _is_a_port(sock: socket.socket) -> bool:
    listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return bool(listening) and sock.family in (socket.AF_INET, socket.AF_INET6)


def _covers(address: Address, wanted: Address) -> bool:
    """Say whether who connects to the wanted place gets to this address."""
    host, port = wanted
    if port not in (0, address[1]):
        return False
    try:
        version = ip_address(host).version
    except ValueError:
        return True  # a name; which address it stands for is not known here
    return address[0] in (host, "::") or (address[0] == "0.0.0.0" and version == 4)


def _shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
