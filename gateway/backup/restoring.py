"""Restore a backup: all of it is looked at before any of it is used, and the store changes at one moment."""

import contextlib
import os
import pwd
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gateway.backup import archive, forgetting
from gateway.backup.about import About, Figures, NotABackup, figures_of, read_about
from gateway.backup.comparing import check_gateway, check_schema, check_way
from gateway.backup.telling import Restored
from gateway.config import moving
from gateway.config.moving import Places
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.outbox import connection, damage, epochs, opening, pictures, replacing, schema

_USER = "gateway"
_MOST_SMALL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Where to restore, and whether it may go backwards."""

    path: Path  # of the configuration
    backwards: bool = False


@dataclass(slots=True)
class _Small:
    """The small members, which lie in front of the store."""

    files: dict[str, bytes] = field(default_factory=dict)

    def take(self, member: archive.Member) -> None:
        """Keep one in memory."""
        if member.name.startswith(archive.PICTURES) or len(self.files) >= _MOST_SMALL:
            raise NotABackup(f"This is not a backup: {member.name} is in the wrong place.")
        self.files[member.name] = member.whole()

    def config(self, gateway: str) -> str:
        """Give the configuration that was in use: the last good one when the other has a mistake."""
        for name in (archive.CONFIG, archive.LAST_GOOD):
            if name in self.files:
                with contextlib.suppress(ConfigError, UnicodeDecodeError):
                    return moving.with_id(self.files[name].decode(), gateway)
        return moving.with_id("", gateway)


def restore(source: IO[bytes], wish: Wish) -> Restored:
    """Restore from a stream. Raises `GatewayError`; the store here is what it was then."""
    try:
        with ExitStack() as stack:
            return _restore(source, wish, stack)
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GatewayError(f"The backup cannot be restored ({reason}). Nothing here was changed.") from error


def _restore(source: IO[bytes], wish: Wish, stack: ExitStack) -> Restored:
    parts = archive.members(source)
    said = read_about(next(parts).whole())
    check_schema(said)
    small = _Small()
    for member in parts:
        if member.name == archive.STORE:
            break
        small.take(member)
    else:
        raise NotABackup("There is no store in this backup.")
    places = _places(wish.path, small, said)
    directory = _hold(places.store, stack)
    here = _figures(directory, wish)
    check_way(said, here, directory, backwards=wish.backwards)
    _demand_room(directory, said, member, places.min_free_bytes)
    part = directory / replacing.PART
    stack.callback(shutil.rmtree, part, ignore_errors=True)
    part.mkdir(mode=0o700)
    _unpack(member, part / connection.FILE_NAME)
    restored = Restored(about=said, store=directory)
    for picture in parts:  # all that may follow
        if not picture.name.startswith(archive.PICTURES):
            raise NotABackup(f"This is not a backup: {picture.name} is in the wrong place.")
        _demand_room(directory, said, picture, places.min_free_bytes)
        (part / replacing.PICTURES).mkdir(mode=0o700, exist_ok=True)
        _unpack(picture, part / replacing.PICTURES / picture.name.removeprefix(archive.PICTURES))
        restored.pictures += 1
    restored.erased_again = _number_anew(part, said, here, directory)
    _settle(directory, part)
    restored.aside = replacing.commit(directory, time.strftime("%Y%m%dT%H%M%S", time.gmtime()))
    if restored.aside is not None:
        restored.aside_bytes = sum(f.stat().st_size for f in restored.aside.rglob("*") if f.is_file())
    try:
        _put_settings(wish.path, small, said, restored)
    except OSError as error:
        raise GatewayError(
            f"The store was restored, but not the configuration ({error.strerror}): cure that, and give the command again."
        ) from error
    return restored


def _places(path: Path, small: _Small, said: About) -> Places:
    """Say where the store belongs: the configuration that is here goes before the one in the backup."""
    here = path.exists()
    text = path.read_text("utf-8") if here else small.config(said.gateway)
    places = moving.places(text, str(path) if here else "the configuration in the backup")
    check_gateway(said, places.gateway, path if here else None)
    return places


def _hold(directory: Path, stack: ExitStack) -> Path:
    """Have the folder for ourselves, and for the gateway's user afterwards."""
    try:
        handle = opening.hold(directory)
    except StoreUnavailable as error:
        raise GatewayError(
            f"{error} To stop the gateway: systemctl stop gateway.socket gateway.service"
        ) from error
    stack.callback(os.close, handle)
    if os.geteuid() == 0 and directory.stat().st_uid == 0:
        user = _user()
        if user is not None:
            os.chown(directory, user.pw_uid, user.pw_gid)
    owner = directory.stat()
    if os.geteuid() == 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)
    replacing.finish(directory)
    return directory


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        return None


def _figures(directory: Path, wish: Wish) -> Figures | None:
    """Say how far the store that is here has got; None when there is none."""
    path = directory / connection.FILE_NAME
    if not path.exists():
        return None
    try:
        with closing(connection.open_reader(path)) as conn:
            return figures_of(conn)
    except damage.READ_ERRORS as error:
        if wish.backwards or not path.stat().st_size:
            return None
        raise GatewayError(
            f"The store in {directory} cannot be read ({error}), so nobody can say what is in it. Start the gateway, which"
            " saves what can be read, or add --backwards to replace it as it is."
        ) from error


def _demand_room(directory: Path, said: About, member: archive.Member, reserve: int) -> None:
    if member.name == archive.STORE and member.size != said.store_bytes:
        raise NotABackup("The backup is damaged: its store is not as large as it says.")
    free = shutil.disk_usage(directory).free
    if free < member.size + reserve:
        raise GatewayError(
            f"There is not enough room in {directory}: {free >> 20} MiB are free, the backup needs {member.size >> 20}"
            f" MiB more, and {reserve >> 20} MiB are kept free. What is there already would be kept beside it."
        )


def _unpack(member: archive.Member, path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for piece in member.pieces():
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _number_anew(part: Path, said: About, here: Figures | None, directory: Path) -> int | None:
    """Look through the store, begin a new epoch in it, and take out again who was erased since."""
    with closing(sqlite3.connect(part / connection.FILE_NAME, isolation_level=None)) as conn:
        try:
            problem = conn.execute("PRAGMA quick_check(1)").fetchone()[0]
            figures = figures_of(conn)
        except damage.READ_ERRORS as error:
            raise NotABackup(f"The store in the backup cannot be read ({error}).") from error
        if problem != "ok":
            raise NotABackup(f"The store in the backup is damaged ({problem}).")
        for name in ("lineage", "schema", "head", "received"):
            if getattr(figures, name) != getattr(said, name):
                raise NotABackup(f"The store in the backup is not the one that it says: another {name}.")
        conn.execute("PRAGMA synchronous=FULL")
        conn.execute("PRAGMA secure_delete=ON")
        conn.execute("BEGIN IMMEDIATE")
        beyond = here.head if here else 0
        epochs.begin(conn, said.taken, head=said.head, skipped=opening.skipped_numbers(conn), beyond=beyond)
        folder = part / replacing.PICTURES
        pictures.forget_missing(conn, {file.stem for file in folder.iterdir()} if folder.is_dir() else set())
        same = here is not None and (here.lineage, here.schema) == (said.lineage, schema.VERSION) == (
            said.lineage,
            said.schema,
        )
        gone = forgetting.erase_again(conn, directory) if same else None
        conn.execute("COMMIT")
        if gone is None:
            return None
        for name in gone.pictures:
            (folder / f"{name}.jpg").unlink(missing_ok=True)
        return gone.events


def _settle(directory: Path, part: Path) -> None:
    """Have all of it on disk and in the right hands."""
    for path in (*part.rglob("*"), part):
        path.chmod(0o700 if path.is_dir() else 0o640 if path.name == connection.FILE_NAME else 0o600)
        replacing.own_like(directory, path)
        replacing.sync(path)


def _put_settings(path: Path, small: _Small, said: About, restored: Restored) -> None:
    """Put configuration and secrets where there are none; nothing that a person wrote here is replaced."""
    text = small.config(said.gateway)
    if not path.exists():
        _write(path, text.encode(), _config_mode)
        restored.config = path
    elif archive.CONFIG in small.files and path.read_bytes() not in (
        text.encode(),
        small.files[archive.CONFIG],
    ):
        beside = path.with_name(f"{path.name}.from-backup")
        _write(beside, text.encode(), _config_mode)
        restored.config, restored.config_kept = beside, True
    done, kept = [], []
    for name, content in _credentials(small.files):
        file = moving.CREDENTIALS / name
        if not file.exists():
            _write(file, content, None)
            done.append(name)
        elif file.read_bytes() != content:
            kept.append(name)
    restored.credentials, restored.credentials_kept = done, kept


def _credentials(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in files.items():
        if name.startswith(archive.CREDENTIALS):
            yield name.removeprefix(archive.CREDENTIALS), content


def _config_mode(handle: int) -> None:
    """Let the gateway read its configuration, which may hold path tokens, and nobody else."""
    user = _user()
    if os.geteuid() == 0 and user is not None:
        os.fchown(handle, 0, user.pw_gid)
        os.fchmod(handle, 0o640)


def _write(path: Path, content: bytes, settle: Callable[[int], None] | None) -> None:
    """Write a file whole, over nothing but an earlier one of ours."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if settle is None else 0o755)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        if settle is not None:
            settle(handle)
        file.write(content)
        file.flush()
        os.fsync(handle)
    fresh.rename(path)
    replacing.sync(path.parent)
