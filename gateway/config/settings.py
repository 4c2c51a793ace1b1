"""Writes a configuration so that the gateway can read it, and nobody else on the box: path tokens may stand in it."""

import errno
import os
import pwd
from pathlib import Path

from gateway import durable

_USER = "gateway"
_NOT_GIVEN = {errno.EPERM, errno.EINVAL}  # a root without the capability for it, or that knows no other group


def user() -> pwd.struct_passwd | None:
    """Give the user that the gateway runs as; None on a box that has none, where it is started by hand."""
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        return None


def put(path: Path, content: bytes) -> None:
    """Replace a configuration, durably.

    Only root writes for somebody else. Where it cannot give the file to the gateway's group everybody may read it:
    a gateway without its configuration is worse.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    if os.geteuid() != 0:
        durable.put(path, content, mode=0o600)
        return
    runner = user()
    if runner is not None:
        try:
            durable.put(path, content, mode=0o640, group=runner.pw_gid)
        except OSError as error:
            if error.errno not in _NOT_GIVEN:
                raise
        else:
            return
    durable.put(path, content, mode=0o644)
