"""Who owns the gateway's files, who can read its secrets, and as whom it runs."""

import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.doctor.box import Box, Check, hindered, there, well, wrong
from gateway.doctor.finding import Finding
from gateway.doctor.store import runs_as
from gateway.outbox import connection, opening

NAME = "permissions"
_CREDENTIALS = "etc/gateway/credentials"
_OTHERS_WRITE = stat.S_IWOTH
_SHOWN = 3


def look(box: Box) -> Iterable[Finding]:
    """Look at the store, the configuration and the credentials."""
    found = [*_store(box), *_configuration(box), *_secrets(box), *_as_root(box)]
    yield from found
    if not any(one.code for one in found):
        seen = "; what only root can see was not" if any(one.hindered for one in found) else ""
        yield well(NAME, f"The files that were looked at belong to the right user{seen}.")


def _store(box: Box) -> Iterator[Finding]:
    folder = box.config.store.path
    try:
        whose = folder.stat()
        inside = [(one, one.lstat()) for one in sorted(folder.iterdir())]
    except FileNotFoundError:
        return  # the first start makes it
    except OSError:
        yield hindered(NAME, f"This user may not look into {folder}: run the command with sudo.")
        return
    runner = runs_as(box)
    user = whose.st_uid if runner is None else runner
    foreign = [one.name for one, state in inside if state.st_uid != user]
    if runner is not None and runner not in {0, whose.st_uid}:
        foreign = ["the folder itself", *foreign]
    if foreign and user != 0:  # root may write to what anybody owns
        yield wrong(
            NAME,
            "store_owner",
            f"In {folder} {_listed(foreign)} {'does' if len(foreign) == 1 else 'do'} not belong to {_name(user)}, whom the"
            f" gateway runs as. Was it started by hand with sudo?",
            remedy=f"Run: sudo chown -R gateway:gateway {_quoted(folder)}; then start the gateway by its unit only.",
        )
    opened = [
        one.name
        for one, state in inside
        if one.name.startswith(connection.FILE_NAME) and state.st_mode & 0o007
    ]
    said = None
    if whose.st_mode & _OTHERS_WRITE:
        said = f"Everybody on this box can change what is in {folder}."
    elif opened and whose.st_mode & 0o001:
        said = f"Everybody on this box can read {_listed(opened)} in {folder}."
    if said:
        yield wrong(NAME, "store_exposed", said, remedy=f"Run: sudo chmod o= {_quoted(folder)}")


def _configuration(box: Box) -> Iterator[Finding]:
    """Say when the gateway's user cannot read the file, or when anybody can write to it."""
    if box.path is None:
        return
    try:
        state = box.path.stat()
    except OSError:
        return  # the check of the configuration says so
    if state.st_mode & _OTHERS_WRITE:
        yield wrong(
            NAME,
            "config_exposed",
            f"Everybody on this box can change {box.path}.",
            remedy=f"Run: sudo chmod o-w {_quoted(box.path)}",
        )
    user = runs_as(box) if opening.holder(box.config.store.path) else _gateway_user(box)
    if user and not _can_read(state, user):
        yield wrong(
            NAME,
            "config_unreadable",
            f"The gateway runs as {_name(user)}, who may not read {box.path}.",
            remedy=f"Run: sudo chgrp gateway {_quoted(box.path)}; sudo chmod 640 {_quoted(box.path)}",
        )


def _can_read(state: os.stat_result, user: int) -> bool:
    if state.st_uid == user:
        return bool(state.st_mode & stat.S_IRUSR)
    try:
        entry = pwd.getpwuid(user)
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:
        groups = []
    return bool(state.st_mode & (stat.S_IRGRP if state.st_gid in groups else stat.S_IROTH))


def _gateway_user(box: Box) -> int | None:
    """Give the owner of the store's folder: the one as whom the unit will run."""
    try:
        return box.config.store.path.stat().st_uid
    except OSError:
        return None


def _secrets(box: Box) -> Iterator[Finding]:
    """Everything in the folder of credentials is for its owner alone, used or not."""
    folder = box.system(_CREDENTIALS)
    if not there(folder):
        return
    try:
        files = [one for one in sorted(folder.iterdir()) if one.is_file()]
    except OSError:
        if not box.inside:  # the daemon gets its copies from systemd, and must not see the folder
            yield hindered(NAME, f"This user may not look into {folder}: run the command with sudo.")
        return
    # The mode of the folder alone is not relied upon: one chmod of it must not open all at once.
    opened = [one.name for one in files if one.stat().st_mode & 0o007 or one.stat().st_mode & stat.S_IWGRP]
    if opened:
        yield wrong(
            NAME, "secret_exposed", f"Others than the owner can read or change {_listed(opened)} in {folder}."
        )


def _as_root(box: Box) -> Iterator[Finding]:
    if runs_as(box) == 0:
        yield wrong(NAME, "runs_as_root", "The gateway runs as root, which it does not need.")


def _name(user: int) -> str:
    try:
        return f"the user {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the user {user}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _listed(names: list[str] | list[Path]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(str(name) for name in names[:_SHOWN]) + more


CHECK = Check(
    NAME,
    look,
    frozenset(
        {
            "store_owner",
            "store_exposed",
            "config_exposed",
            "config_unreadable",
            "secret_exposed",
            "runs_as_root",
        }
    ),
    cheap=True,
)
