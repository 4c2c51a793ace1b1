"""Have the store's folder for a restore: root does in it what its owner could do, and gives away only what it made."""

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.config import settings
from gateway.errors import GatewayError
from gateway.foreign import as_owner
from gateway.outbox import connection, opening


@dataclass(frozen=True, slots=True)
class Held:
    """The folder, which nobody else uses meanwhile."""

    directory: Path
    lock: int
    ours: bool  # made here, or made for the gateway and still empty

    def give(self, part: Path) -> None:
        """Have it belong to the gateway's user, with the store that is put into it: now all of the backup was read."""
        user = settings.user()
        if os.geteuid() or user is None or not self.ours or self.directory.stat().st_uid:
            return
        for path in (*part.rglob("*"), part):
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)
        os.fchown(self.lock, user.pw_uid, user.pw_gid)
        os.chown(self.directory, user.pw_uid, user.pw_gid, follow_symlinks=False)


@contextmanager
def held(directory: Path, usual: Path) -> Iterator[Held]:
    """Hold the folder; what was made for that is gone again when it ends badly. Raises `GatewayError`."""
    made = [one for one in (directory, *directory.parents) if not one.exists()]
    lock = directory / opening.LOCK
    fresh = not os.path.lexists(lock)
    if not made and directory != usual:
        _demand_a_store(directory)
    ours = bool(made) or (directory == usual and not (directory / connection.FILE_NAME).exists())
    handle = None
    try:
        with as_owner(directory):
            handle = opening.hold(directory)
        yield Held(directory, handle, ours)
    except BaseException:  # however it ends, an interrupt too
        if fresh and handle is not None:
            with as_owner(directory), contextlib.suppress(OSError):
                lock.unlink()
        for one in made:
            with as_owner(one.parent), contextlib.suppress(OSError):
                one.rmdir()
        raise
    finally:
        if handle is not None:
            os.close(handle)


def _demand_a_store(directory: Path) -> None:
    """Refuse a folder of the system: a mistyped path must not give it to the gateway."""
    found = directory.stat()
    if os.geteuid() or found.st_uid:
        return
    known = any((directory / name).is_file() for name in (connection.FILE_NAME, opening.LOCK))
    if not stat.S_ISDIR(found.st_mode) or (not known and any(directory.iterdir())):
        raise GatewayError(
            f"{directory} belongs to root, is not empty, and is no folder of a store. Nothing here was changed."
            " Set store.path to a folder of its own."
        )
    if found.st_mode & stat.S_IWOTH:
        raise GatewayError(f"Everybody can write to {directory}, so it is no place for a store.")
