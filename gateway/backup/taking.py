"""Take a backup: the store at one moment and all that belongs to it, in one file that is there whole or not at all."""

import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from gateway import __version__, clock, durable, foreign
from gateway.backup import archive, snapshot
from gateway.backup.about import About, Figures, about, figures_of
from gateway.config import Config, last_good, moving
from gateway.errors import GatewayError
from gateway.outbox import connection, disk, identity, reading, replacing

_SCRATCH = "backup"  # in the store's folder, when the backup goes to standard output
_SPARE = 1.5  # times the store: its copy, and a half for what is packed of it
_LOOK_BYTES = 4 << 20
_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken."""

    about: About
    bytes: int
    pictures: int
    left_out: Sequence[Path]  # named in the configuration, and not in the file
    unfit: Sequence[Path]  # not in the file because no restore would take them
    unfit_pictures: int
    exposed: bool  # others can read the file: its file system keeps no modes


def take(
    config: Config, path: Path | None, file: Path, *, force: bool = False, secrets: bool = False
) -> Taken:
    """Write a backup to a file. Raises `GatewayError`; then the file is what it was before."""
    file = file.absolute()
    if file.exists() and not file.is_file():
        raise GatewayError(f"{file} is not a file.")
    if file.exists() and not force:
        raise GatewayError(f"{file} is there already: choose another name, or add --force to replace it.")
    if not file.parent.is_dir():
        raise GatewayError(f"There is no folder {file.parent}.")
    backup = _Backup(config, path, file.parent, secrets=secrets)
    part = file.with_name(f".{file.name}.part")
    try:
        with _scratch(part) as out:
            taken = backup.write(out, file.with_name(f".{file.name}.store"))
            out.flush()
            os.fsync(out.fileno())
            if not _is_still(part, out.fileno()):
                raise GatewayError(f"Somebody has moved {part} away meanwhile: choose a folder of your own.")
            part.rename(file)
            durable.sync(file.parent)
    except (OSError, sqlite3.Error) as error:
        raise GatewayError(
            f"The backup cannot be written ({_reason(error)}); {file} is as it was."
        ) from error
    size, mode = file.stat().st_size, file.stat().st_mode
    return replace(taken, bytes=size, exposed=bool(mode & stat.S_IRWXO))


def take_to(config: Config, path: Path | None, out: IO[bytes], *, secrets: bool = False) -> Taken:
    """Write a backup to a stream; raises `GatewayError`, and what was written then is no backup."""
    directory = config.store.path
    try:
        return _Backup(config, path, directory, secrets=secrets).write(out, directory / f"{_SCRATCH}.store")
    except (OSError, sqlite3.Error) as error:
        raise GatewayError(f"The backup cannot be written ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


class _Backup:
    """One backup that is being taken."""

    def __init__(self, config: Config, path: Path | None, folder: Path, *, secrets: bool) -> None:
        self._config, self._path, self._folder, self._secrets = config, path, folder, secrets
        self._store = config.store.path
        self._written = 0
        self._unfit: list[Path] = []
        self._unfit_pictures = 0

    def write(self, out: IO[bytes], scratch: Path) -> Taken:
        with reading.looking(self._store):
            pass  # says it in a sentence when there is no store
        shared = self._folder.stat().st_dev == self._store.stat().st_dev
        self._reserve = self._config.store.min_free_bytes if shared else 0
        self._demand(int(_SPARE * snapshot.store_bytes(self._store)) + self._picture_bytes())
        with ExitStack() as stack:
            with self._beside_the_store():
                folder = stack.enter_context(_scratch_folder(scratch, self._beside_the_store))
                fresh = folder / connection.FILE_NAME
                os.close(os.open(fresh, _FRESH, 0o600))
                snapshot.copy(self._store, fresh, lambda: self._demand(0))
                snapshot.settle(fresh)
                with closing(connection.open_reader(fresh)) as conn:
                    figures, names = figures_of(conn), _picture_names(conn)
                    self._config = self._config.going_on_as(identity.spoken(conn))
                copied = stack.enter_context(fresh.open("rb"))
            return self._pack(out, copied, figures, names)

    def _beside_the_store(self) -> AbstractContextManager[None]:
        """Be the owner of the folder when it is the gateway's: root would follow what the gateway lays there."""
        return foreign.as_owner(self._folder) if self._folder == self._store else nullcontext()

    def _pack(self, out: IO[bytes], copied: IO[bytes], figures: Figures, names: Sequence[str]) -> Taken:
        said = about(
            figures,
            gateway=self._config.gateway.id,
            version=__version__,
            store_bytes=os.fstat(copied.fileno()).st_size,
            secrets=self._secrets,
        )
        counted = _Counted(out)
        writer = archive.Writer(counted, mtime=clock.now_ms() // 1000, watch=self._watch)
        try:
            writer.add(archive.ABOUT, said.as_json())
            packed = self._pack_settings(writer)
            writer.add_file(archive.STORE, copied, said.store_bytes)
            pictures = self._pack_pictures(writer, names)
            writer.finish()
        finally:
            writer.give_up()
        out.flush()
        left_out = [file for file in self._named() if file not in packed and file not in self._unfit]
        return Taken(
            said, counted.bytes, pictures, left_out, self._unfit, self._unfit_pictures, exposed=False
        )

    def _pack_settings(self, writer: archive.Writer) -> set[Path]:
        packed = set()
        for name, file in self._settings():
            content = _setting(name, file)
            if content is None:
                continue
            if writer.takes(name, len(content)):
                writer.add(name, content)
                packed.add(file)
            else:
                self._unfit.append(file)
        return packed

    def _settings(self) -> Iterator[tuple[str, Path]]:
        """Give what belongs to the store, by the names that a restore knows."""
        if self._path is not None:
            yield archive.CONFIG, self._path
            yield archive.LAST_GOOD, last_good.place(self._path)
        if moving.CERTIFICATES.is_dir():
            for file in sorted(moving.CERTIFICATES.iterdir()):
                yield archive.CERTIFICATES + file.name, file
        if self._secrets and moving.CREDENTIALS.is_dir():
            for file in sorted(moving.CREDENTIALS.iterdir()):
                yield archive.CREDENTIALS + file.name, file

    def _named(self) -> list[Path]:
        """Name the files of the configuration as they lie on the box, not as systemd hands them to the daemon."""
        named = moving.named_files(self._config)
        return [moving.CREDENTIALS / file.name if "credentials" in file.parts else file for file in named]

    def _pack_pictures(self, writer: archive.Writer, names: Sequence[str]) -> int:
        """Pack the pictures that are still there: retention goes on meanwhile."""
        packed = 0
        for name in names:
            try:
                with foreign.as_owner(self._store):  # the folder may be a link
                    file = foreign.opened(self._store / replacing.PICTURES / f"{name}.jpg")
            except FileNotFoundError:
                continue
            with file:
                size = os.fstat(file.fileno()).st_size
                if writer.takes(member := f"{archive.PICTURES}{name}.jpg", size):
                    writer.add_file(member, file, size)
                    packed += 1
                else:
                    self._unfit_pictures += 1
        return packed

    def _picture_bytes(self) -> int:
        folder = self._store / replacing.PICTURES
        sizes = []
        for file in folder.iterdir() if folder.is_dir() else ():
            try:
                sizes.append(file.stat().st_size)
            except FileNotFoundError:  # its time has come meanwhile
                continue
        return sum(sizes)

    def _watch(self, size: int) -> None:
        self._written += size
        if self._written >= _LOOK_BYTES:
            self._written = 0
            self._demand(0)

    def _demand(self, needed: int) -> None:
        free = disk.free(self._folder)
        if free < needed + self._reserve:
            kept = f", of which {self._reserve >> 20} MiB are kept for the gateway" if self._reserve else ""
            raise GatewayError(
                f"There is not enough room in {self._folder} for a backup: {free >> 20} MiB are free{kept},"
                f" and about {max(needed >> 20, 1)} MiB are needed. Name a file on another disk."
            )


class _Counted:
    """Counts what goes to a stream that cannot tell its place."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.bytes = 0

    def write(self, content: bytes) -> int:
        self.bytes += len(content)
        self._out.write(content)
        return len(content)

    def flush(self) -> None:
        self._out.flush()


def _picture_names(conn: sqlite3.Connection) -> list[str]:
    tables = "SELECT 1 FROM sqlite_master WHERE name = 'pictures'"
    if conn.execute(tables).fetchone() is None:
        return []  # of a version that kept none
    return [row[0] for row in conn.execute("SELECT DISTINCT hash FROM pictures ORDER BY hash")]


def _setting(name: str, file: Path) -> bytes | None:
    """Read a file of the settings, or a byte more of it than a restore takes; None when there is none."""
    if name != archive.LAST_GOOD:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            return opened.read(archive.SMALL_BYTES + 1)
    try:
        # It lies in a folder of the gateway's, and may be a link to what only root may read.
        with foreign.as_owner(file.parent):
            return foreign.read(file, archive.SMALL_BYTES + 1)
    except FileNotFoundError:
        return None


@contextmanager
def _scratch(path: Path) -> Iterator[IO[bytes]]:
    """Make an empty file for this process alone, over what was left of one; gone afterwards unless it got another name."""
    with ExitStack() as stack:
        _clear_away(path)
        handle = os.open(path, _FRESH, 0o600)
        out = stack.enter_context(os.fdopen(handle, "w+b"))
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield out
        finally:
            if _is_still(path, handle):
                path.unlink()


@contextmanager
def _scratch_folder(path: Path, owned: Callable[[], AbstractContextManager[None]]) -> Iterator[Path]:
    """Make an empty folder that nobody else can look into; gone afterwards, with what SQLite leaves beside a copy."""
    _clear_away(path)
    path.mkdir(mode=0o700)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    finally:
        with owned():
            shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _clear_away(path: Path) -> None:
    """Remove what was left of an earlier backup, or what somebody has laid there: it is never written to."""
    if _is_in_use(path):
        raise GatewayError("Another backup is being written there: wait for its end.")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_in_use(path: Path) -> bool:
    """Say whether another process of this user writes a backup to it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _is_still(path: Path, handle: int) -> bool:
    """Say whether a name is still the one of this open file."""
    return os.path.lexists(path) and os.path.samestat(path.lstat(), os.fstat(handle))
