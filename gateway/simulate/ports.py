"""Ports for servers that are stopped and started again: nobody may take them meanwhile."""

import socket
from random import SystemRandom

from gateway.errors import GatewayError

# Below the numbers that Linux gives to outgoing connections (net.ipv4.ip_local_port_range).
_FIRST, _LAST = 12_000, 31_999
_TRIES = 100


def free_port(host: str = "127.0.0.1") -> int:
    """Find a port that nobody listens on, and that no outgoing connection will be given."""
    luck = SystemRandom()
    for _ in range(_TRIES):
        port = luck.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise GatewayError(
        f"No free port was found between {_FIRST} and {_LAST}: too much is running on this machine."
    )
