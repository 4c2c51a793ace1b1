"""Put a restored store in the place of another one: the old one until the rename, the new one from then on.

All of the new store is in `restore.part`. The rename to `restore.ready` is the moment of the restore; moving what was there
aside and the new files into place follows, and goes on at the next start if it was interrupted.
"""

import os
import re
import shutil
import stat
from pathlib import Path

from gateway import durable, foreign
from gateway.errors import StoreUnavailable
from gateway.outbox import connection, damage

PART, READY = "restore.part", "restore.ready"
ASIDE = "replaced-"
PICTURES = "pictures"
_NEW = (connection.FILE_NAME, PICTURES)
_OLD = (
    *(connection.FILE_NAME + suffix for suffix in ("", "-wal", "-shm", "-journal", ".rescue")),
    *(PICTURES, damage.MARK),
)
_WHERE, _CLEARED = "aside", "cleared"
_NAME = re.compile(rf"{ASIDE}[A-Za-z0-9-]+")


def commit(directory: Path, stamp: str) -> Path | None:
    """Put `restore.part`, complete and on disk, in place; give where the replaced store lies, if there was one."""
    part, aside = directory / PART, _free(directory, stamp)
    durable.write_new(part / _WHERE, aside.name.encode(), mode=0o600)
    durable.sync(part)
    part.rename(directory / READY)
    durable.sync(directory)
    finish(directory)
    return aside if aside.exists() else None


def finish(directory: Path) -> None:
    """Go on where a restore was interrupted; one that was not complete is as if it had never begun."""
    ready = directory / READY
    if ready.is_dir():
        _clear_up(directory, ready)
        for name in _NEW:
            if (ready / name).exists():
                (ready / name).rename(directory / name)
        durable.sync(directory)
        ready.rename(directory / PART)  # the notes in it must go at one moment
    if (directory / PART).is_dir():
        shutil.rmtree(directory / PART)


def _clear_up(directory: Path, ready: Path) -> None:
    """Move everything of the old store aside, once: what lies there afterwards is the new one."""
    if (ready / _CLEARED).exists():
        return
    name = foreign.note(ready / _WHERE)
    aside = directory / name
    if not _NAME.fullmatch(name) or _is_no_folder(aside):
        raise StoreUnavailable(
            f"{ready / _WHERE} names no folder of a restore: look who wrote it. To give that restore up, remove {ready}."
        )
    for name in _OLD:
        if (directory / name).exists():
            aside.mkdir(mode=0o700, exist_ok=True)
            own_like(directory, aside)
            (directory / name).rename(aside / name)
    if aside.exists():
        durable.sync(aside)
    durable.sync(directory)
    (ready / _CLEARED).touch()
    durable.sync(ready)


def _is_no_folder(path: Path) -> bool:
    """Say whether something else is there, a link too: what is moved into it could go anywhere."""
    return os.path.lexists(path) and not stat.S_ISDIR(path.lstat().st_mode)


def own_like(directory: Path, path: Path) -> None:
    """Have a path belong to whom the folder belongs to; only root can, and only root must."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def kept_aside(directory: Path) -> list[Path]:
    """Give the stores that a restore replaced and that nobody has removed yet."""
    return sorted(path for path in directory.glob(f"{ASIDE}*") if path.is_dir())


def _free(directory: Path, stamp: str) -> Path:
    aside, number = directory / f"{ASIDE}{stamp}", 1
    while aside.exists():
        number += 1
        aside = directory / f"{ASIDE}{stamp}-{number}"
    return aside
