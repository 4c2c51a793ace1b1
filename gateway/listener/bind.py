"""Sockets that are bound before anything else starts, and errors that say what to do when that fails."""

import errno
import os
import socket
import stat
from pathlib import Path

from gateway.errors import GatewayError

_BACKLOG = 512  # a site's devices come back all at once after a power cut
_UNIX_MODE = 0o660
_EVERYWHERE = ("", "*", "::")


class CannotListen(GatewayError):
    """The gateway cannot listen there."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on a TCP port; an empty host, ``*`` or ``::`` means every address, IPv6 and IPv4.

    Raises `CannotListen`.
    """
    if not 0 <= port <= 65_535:  # the resolver would cut it to 16 bits
        raise CannotListen(_where(host, port) + "a port is a number from 1 to 65535. Correct the port.")
    try:
        return _bind_everywhere(port) if host in _EVERYWHERE else _bind_one(host, port)
    except (OSError, UnicodeError) as fault:
        raise CannotListen(_explain(host, port, fault)) from fault


def _bind_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        except OSError as fault:
            if fault.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)


def _bind_one(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return socket.create_server(address, family=family, backlog=_BACKLOG)


def _where(host: str, port: int) -> str:
    return f"cannot listen on {host or 'all addresses'} port {port}: "


def _explain(host: str, port: int, fault: Exception) -> str:
    where = _where(host, port)
    code = fault.errno if isinstance(fault, OSError) else None
    if isinstance(fault, socket.gaierror | UnicodeError):
        return where + f"'{host}' is no address of this machine. Use an IP address, or 0.0.0.0 for all."
    if code == errno.EADDRINUSE:
        return where + (
            "another program already listens there. Stop it or choose another port; "
            f"'ss -ltnp sport = :{port}' shows which program it is."
        )
    if code in (errno.EACCES, errno.EPERM):
        return where + (
            "this user may not use the port. Choose a port from 1024 upwards, "
            "or give the service CAP_NET_BIND_SERVICE."
        )
    if code == errno.EADDRNOTAVAIL:
        return where + (
            "no network interface of this machine has the address. "
            "Use one that 'ip address' shows, or 0.0.0.0 for all."
        )
    return where + f"{fault}."


def bind_unix(path: Path | str) -> socket.socket:
    """Listen on a unix socket for owner and group, in place of a socket file that nobody answers on.

    Raises `CannotListen`.
    """
    path = Path(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        os.fchmod(sock.fileno(), _UNIX_MODE)  # before the file exists: it is never open to others
        sock.bind(str(path))
        path.chmod(_UNIX_MODE)  # the umask has taken away the group's right
        sock.listen(_BACKLOG)
    except CannotListen:
        sock.close()
        raise
    except OSError as fault:
        sock.close()
        reason = fault.strerror or fault
        raise CannotListen(
            f"cannot listen on {path}: {reason}. The directory must exist and be writable by this user, "
            "and the path must be shorter than 108 bytes."
        ) from fault
    return sock


def _clear(path: Path) -> None:
    """Remove the socket file of a gateway that is gone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"cannot listen on {path}: something else has this name. Move it away.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:  # a full backlog is a sign of life as well
            pass
    raise CannotListen(
        f"cannot listen on {path}: another gateway is running and answers there. Stop it first."
    )
