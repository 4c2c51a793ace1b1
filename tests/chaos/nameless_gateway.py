"""The command `gateway` on a box whose name server a test is: `nameless_gateway.py HOSTS …` does what `gateway …` does.

HOSTS is a file of names, one a line, that resolve to this machine at this moment. All others fail as they do when the
name server is gone; numbers need no name server.
"""

import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

from gateway.__main__ import main

_ASK = socket.getaddrinfo


def asking(hosts: Path) -> Any:
    """Give a name lookup that reads the file each time."""

    def getaddrinfo(host: Any, *more: Any, **how: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or _is_number(name):
            return _ASK(host, *more, **how)
        if name in hosts.read_text().split():
            return _ASK("127.0.0.1", *more, **how)
        with hosts.with_suffix(".refused").open("a") as refused:
            refused.write(f"{name}\n")
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    return getaddrinfo


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    socket.getaddrinfo = asking(Path(sys.argv.pop(1)))
    main()
