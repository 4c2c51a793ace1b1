"""Restore a backup: all of it is looked at before any of it is used, and the store changes at one moment."""

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gateway import durable, foreign
from gateway.backup import archive, forgetting, inspecting, owning
from gateway.backup.about import About, Figures, NotABackup, figures_of, read_about
from gateway.backup.comparing import check_gateway, check_schema, check_way
from gateway.backup.forgetting import Gone
from gateway.backup.telling import Restored
from gateway.config import credentials, moving, settings
from gateway.config.moving import Places
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.outbox import connection, damage, disk, epochs, identity, opening, pictures, replacing, schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Where to restore, and whether it may go backwards."""

    path: Path  # of the configuration
    backwards: bool = False
    store: Path | None = None  # the unusual folder that the configuration in the backup may name


@dataclass(slots=True)
class _Small:
    """The small members, which lie in front of the store."""

    files: dict[str, bytes] = field(default_factory=dict)

    def take(self, member: archive.Member) -> None:
        """Keep one in memory."""
        if member.name.startswith(archive.PICTURES):
            raise NotABackup(f"This is not a backup: {member.name} is in the wrong place.")
        self.files[member.name] = member.whole()

    def config(self, gateway: str) -> str:
        """Give the configuration that was in use: the last good one when the other has a mistake."""
        for name in (archive.CONFIG, archive.LAST_GOOD):
            if name in self.files:
                with contextlib.suppress(ConfigError, UnicodeDecodeError):
                    text = moving.with_id(self.files[name].decode("utf-8-sig"), gateway)
                    if moving.places(text).gateway == gateway:
                        return text
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
    places = _places(wish, small, said)
    _demand_startable(small)
    directory = places.store
    hold = _hold(directory, stack)
    with foreign.as_owner(directory):
        replacing.finish(directory)
        here = _figures(directory, wish)
        check_way(said, here, directory, backwards=wish.backwards)
        _demand_room(directory, said, member, places.min_free_bytes)
        part = directory / replacing.PART
        stack.callback(_clear, directory, part)
        restored = _unpack_all(member, parts, said, directory, places.min_free_bytes)
        restored.erased_again = _number_anew(part, said, here, directory)
        _settle(part)
    hold.give(part)
    with foreign.as_owner(directory):
        restored.aside = replacing.commit(directory, time.strftime("%Y%m%dT%H%M%S", time.gmtime()))
        if restored.aside is not None:
            restored.aside_bytes = sum(f.lstat().st_size for f in restored.aside.rglob("*") if f.is_file())
    try:
        _put_settings(wish.path, small, said, restored)
    except OSError as error:
        raise GatewayError(
            f"The store was restored, but not the configuration ({error.strerror}): cure that, and give the command again."
        ) from error
    return restored


def _unpack_all(
    store: archive.Member, pictures: Iterator[archive.Member], said: About, directory: Path, reserve: int
) -> Restored:
    """Unpack the store and all that may follow it: pictures."""
    part = directory / replacing.PART
    part.mkdir(mode=0o700)
    _unpack(store, part / connection.FILE_NAME)
    restored = Restored(about=said, store=directory)
    for picture in pictures:
        if not picture.name.startswith(archive.PICTURES):
            raise NotABackup(f"This is not a backup: {picture.name} is in the wrong place.")
        _demand_room(directory, said, picture, reserve)
        (part / replacing.PICTURES).mkdir(mode=0o700, exist_ok=True)
        _unpack(picture, part / replacing.PICTURES / picture.name.removeprefix(archive.PICTURES))
        restored.pictures += 1
    return restored


def _clear(directory: Path, part: Path) -> None:
    with foreign.as_owner(directory):
        shutil.rmtree(part, ignore_errors=True)


def _places(wish: Wish, small: _Small, said: About) -> Places:
    """Say where the store belongs: the configuration that is here goes before the one in the backup."""
    path, here = wish.path, wish.path.exists()
    text = path.read_text("utf-8-sig") if here else small.config(said.gateway)
    places = moving.places(text, str(path) if here else "the configuration in the backup")
    check_gateway(said, places.gateway, path if here else None)
    if not here and places.store not in (_usual(), wish.store):
        raise GatewayError(
            f"The configuration in the backup has its store in {places.store}, which is not the usual folder."
            f" If it belongs there on this box too, add --store {places.store}. Nothing here was changed."
        )
    return places


def _demand_startable(small: _Small) -> None:
    """Refuse secrets with which, beside those that are here, systemd would not start the gateway."""
    folder = moving.CREDENTIALS
    here = {file.name: file.stat().st_size for file in folder.iterdir()} if folder.is_dir() else {}
    fresh = {
        name: len(content) for name, content in _below(archive.CREDENTIALS, small.files) if name not in here
    }
    reason = credentials.too_large({**here, **fresh}) if fresh else None
    if reason:
        raise GatewayError(
            f"The secrets of the backup do not fit beside those in {folder}: {reason}. Remove there what no option names,"
            " or take a backup without --with-secrets. Nothing here was changed."
        )


def _usual() -> Path:
    return moving.places("").store


def _hold(directory: Path, stack: ExitStack) -> owning.Held:
    """Have the folder for ourselves."""
    try:
        return stack.enter_context(owning.held(directory, _usual()))
    except StoreUnavailable as error:
        raise GatewayError(
            f"{error} To stop the gateway: systemctl stop gateway.socket gateway.service"
        ) from error


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
    free = disk.free(directory)
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


def _number_anew(part: Path, said: About, here: Figures | None, directory: Path) -> Gone | None:
    """Look through the store, begin a new epoch in it, and take out again who was erased since."""
    with closing(sqlite3.connect(part / connection.FILE_NAME, isolation_level=None)) as conn:
        try:
            inspecting.distrust(conn, said.store_bytes)
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
        identity.remember(conn, said.gateway)  # a backup of an earlier version does not have it in its store
        folder = part / replacing.PICTURES
        pictures.forget_missing(conn, {file.stem for file in folder.iterdir()} if folder.is_dir() else set())
        same = here is not None and (here.lineage, here.schema) == (said.lineage, schema.VERSION) == (
            said.lineage,
            said.schema,
        )
        gone = forgetting.erase_again(conn, directory) if same else None
        conn.execute("COMMIT")
        for name in gone.pictures if gone else ():
            (folder / f"{name}.jpg").unlink(missing_ok=True)
        return gone


def _settle(part: Path) -> None:
    """Have all of it on disk, for nobody but its owner."""
    for path in (*part.rglob("*"), part):
        path.chmod(0o700 if path.is_dir() else 0o640 if path.name == connection.FILE_NAME else 0o600)
        durable.sync(path)


def _put_settings(path: Path, small: _Small, said: About, restored: Restored) -> None:
    """Put configuration and secrets where there are none; nothing that a person wrote here is replaced."""
    text = small.config(said.gateway)
    if not path.exists():
        settings.put(path, text.encode())
        restored.config = path
    elif archive.CONFIG in small.files and path.read_bytes() not in (
        text.encode(),
        small.files[archive.CONFIG],
    ):
        beside = path.with_name(f"{path.name}.from-backup")
        settings.put(beside, text.encode())
        restored.config, restored.config_kept = beside, True
    for name, content in _below(archive.CERTIFICATES, small.files):
        file = moving.CERTIFICATES / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.parent.chmod(0o755)
            durable.put(file, content, mode=0o644)
    done, kept = [], []
    for name, content in _below(archive.CREDENTIALS, small.files):
        file = moving.CREDENTIALS / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            durable.put(file, content, mode=0o600)
            done.append(name)
        elif file.read_bytes() != content:
            kept.append(name)
    restored.credentials, restored.credentials_kept = done, kept


def _below(folder: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, content in files.items():
        if name.startswith(folder):
            yield name.removeprefix(folder), content
