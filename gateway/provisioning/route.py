"""The address of this box as a device sees it, and whether the device port answers there."""

import re
import socket
from contextlib import closing
from ipaddress import ip_address

from gateway.errors import GatewayError

_SOMEWHERE = "192.0.2.1"  # an address of the documentation networks: nothing is sent to it
_PROBE_S = 3.0
_WORD = re.compile(r"([a-z]+://[^/]*/k/)([^/?#]+)", re.IGNORECASE)


def own_address(towards: str = _SOMEWHERE, port: int = 80) -> tuple[str, str]:
    """Give our address on the way to a host, and the host's own; nothing is sent for that.

    Raises `GatewayError` when the name is unknown or no route leads there.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(towards, port, type=socket.SOCK_DGRAM)[0]
    except (OSError, UnicodeError) as error:
        raise GatewayError(f"{towards} is no address and no name that this box can resolve.") from error
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0]), str(place[0])
    except OSError as error:
        raise GatewayError(
            f"This box has no route to {towards} ({error.strerror}): check its cable or Wi-Fi, and whether {towards} is "
            "in a network that it reaches."
        ) from error


def push_url(address: str, port: int, path: str) -> str:
    """Write the URL that a device pushes to."""
    host = f"[{address}]" if ip_address(address).version == 6 else address
    return f"http://{host}:{port}{path}"


def word_in(url: str) -> str | None:
    """Give the secret word that stands in the path of a URL: `/k/WORD`."""
    found = _WORD.match(url)
    return found[2] if found else None


def masked_url(url: str) -> str:
    """Write a URL for a screen or a log: without the secret word in its path."""
    return _WORD.sub(r"\1***", url)


def port_answers(address: str, port: int) -> str | None:
    """Say why the device port cannot be reached at this address of ours; None when it can."""
    try:
        socket.create_connection((address, port), timeout=_PROBE_S).close()
    except OSError as error:
        return (
            f"The gateway does not answer at {address}:{port} ({error.strerror or 'no answer'}): check listen.host and "
            "listen.port, and a firewall on this box."
        )
    return None
