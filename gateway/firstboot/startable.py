"""What a gateway could not start with although each option is right by itself: a place or an address that is not there."""

import errno
import ipaddress
import pwd
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Config, Mistake
from gateway.config.lasting import fleeting
from gateway.firstboot.plan import Plan

_USER = "gateway"
_NOT_ON_DISK = tuple(map(Path, ("/proc", "/sys", "/dev")))
_OUT = "Take the line out, or put a # in front of it: then the gateway uses its own place."


def unstartable(drawn: Plan, config: Config, address: str | None) -> Iterator[Mistake]:
    """Try what can be tried before the daemon is there; what cannot be known here is no mistake."""
    places = (("store", "path", config.store.path), ("runtime", "socket", config.runtime.socket))
    for section, option, place in places:
        if place is None or not drawn.names_option(section, option):
            continue
        if why := _unfit(place) or (fleeting(place) if section == "store" else None):
            yield drawn.mistake((section, option), f"the gateway cannot use this place: {why}", _OUT)
    host = config.listen.host
    # Without any address the network is not up yet, and nobody can know which one it will be.
    if address is not None and drawn.names_option("listen", "host") and not _is_ours(host):
        yield drawn.mistake(
            ("listen", "host"),
            f"{host} is no address of this box, which has {address}",
            'Write host = "0.0.0.0", which means all addresses of the box.',
        )


def _unfit(place: Path) -> str | None:
    if any(place.is_relative_to(top) for top in _NOT_ON_DISK):
        return "it is on no disk"
    known, state = place, None
    while state is None:
        try:
            state = known.stat()
        except FileNotFoundError:
            known = known.parent
        except NotADirectoryError:
            return "a part of its path is a file, and not a folder"
        except OSError:
            return None  # it is somebody's own, as the folder of the gateway's user is to this user
    if not stat.S_ISDIR(state.st_mode):
        return None if known == place and stat.S_ISSOCK(state.st_mode) else f"{known} is not a folder"
    open_to_others = state.st_mode & stat.S_IWOTH or (state.st_mode & stat.S_IWGRP and state.st_gid)
    if _has_own_user() and state.st_uid == 0 and not open_to_others:
        return f"only root may write to {known}"
    return None


def _has_own_user() -> bool:
    """Say whether this is a box with the package, on which the daemon is not root."""
    try:
        return pwd.getpwnam(_USER).pw_uid != 0
    except KeyError:
        return False


def _is_ours(host: str) -> bool:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    try:
        with socket.socket(
            family, socket.SOCK_DGRAM
        ) as probe:  # sends nothing, and takes no port from anybody
            probe.bind((host, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True
