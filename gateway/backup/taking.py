"""Take a backup: the store at one moment and all that belongs to it, in one file that is there whole or not at all."""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway import __version__, clock
from gateway.backup import archive, snapshot
from gateway.backup.about import About, about, figures_of
from gateway.config import Config, last_good, moving
from gateway.errors import GatewayError
from gateway.outbox import connection, reading, replacing

_SCRATCH = "backup"  # in the store's folder, when the backup goes to standard output
_SPARE = 1.5  # times the store: its copy, and a half for what is packed of it
_LOOK_BYTES = 4 << 20
_SMALL = 1 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken."""

    about: About
    bytes: int
    pictures: int
    left_out: Sequence[Path]  # named in the configuration, and not in the file
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
    try:
        with _scratch(file.with_name(f".{file.name}.part")) as part:
            with part.open("wb") as out:
                taken = backup.write(out, file.with_name(f".{file.name}.store"))
                out.flush()
                os.fsync(out.fileno())
            part.rename(file)
            replacing.sync(file.parent)
    except (OSError, sqlite3.Error) as error:
        raise GatewayError(
            f"The backup cannot be written ({_reason(error)}); {file} is as it was."
        ) from error
    size, mode = file.stat().st_size, file.stat().st_mode
    return Taken(taken.about, size, taken.pictures, taken.left_out, bool(mode & stat.S_IRWXO))


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

    def write(self, out: IO[bytes], scratch: Path) -> Taken:
        with reading.looking(self._store):
            pass  # says it in a sentence when there is no store
        shared = self._folder.stat().st_dev == self._store.stat().st_dev
        self._reserve = self._config.store.min_free_bytes if shared else 0
        self._demand(int(_SPARE * snapshot.store_bytes(self._store)) + self._picture_bytes())
        with _scratch(scratch) as fresh:
            snapshot.copy(self._store, fresh, lambda: self._demand(0))
            snapshot.settle(fresh)
            return self._pack(out, fresh)

    def _pack(self, out: IO[bytes], fresh: Path) -> Taken:
        with closing(connection.open_reader(fresh)) as conn:
            figures = figures_of(conn)
            names = _picture_names(conn)
        said = about(
            figures,
            gateway=self._config.gateway.id,
            version=__version__,
            store_bytes=fresh.stat().st_size,
            secrets=self._secrets,
        )
        counted = _Counted(out)
        writer = archive.Writer(counted, mtime=clock.now_ms() // 1000, watch=self._watch)
        writer.add(archive.ABOUT, said.as_json())
        packed = self._pack_settings(writer)
        with fresh.open("rb") as file:
            writer.add_file(archive.STORE, file, said.store_bytes)
        pictures = self._pack_pictures(writer, names)
        writer.finish()
        out.flush()
        left_out = [file for file in self._named() if file not in packed]
        return Taken(said, counted.bytes, pictures, left_out, exposed=False)

    def _pack_settings(self, writer: archive.Writer) -> set[Path]:
        if self._path is not None:
            for name, file in (
                (archive.CONFIG, self._path),
                (archive.LAST_GOOD, last_good.place(self._path)),
            ):
                if file.is_file():
                    writer.add(name, file.read_bytes())
        packed = set()
        for file in self._credentials():
            writer.add(archive.CREDENTIALS + file.name, file.read_bytes())
            packed.add(file)
        return packed

    def _credentials(self) -> Iterator[Path]:
        """Give the secrets that lie where a restore may put them."""
        if self._secrets and moving.CREDENTIALS.is_dir():
            for file in sorted(moving.CREDENTIALS.iterdir()):
                known = archive.allowed(archive.CREDENTIALS + file.name)
                if known and file.is_file() and file.stat().st_size <= _SMALL:
                    yield file

    def _named(self) -> list[Path]:
        """Name the files of the configuration as they lie on the box, not as systemd hands them to the daemon."""
        named = moving.named_files(self._config)
        return [moving.CREDENTIALS / file.name if "credentials" in file.parts else file for file in named]

    def _pack_pictures(self, writer: archive.Writer, names: Sequence[str]) -> int:
        """Pack the pictures that are still there: retention goes on meanwhile."""
        packed = 0
        for name in names:
            try:
                file = (self._store / replacing.PICTURES / f"{name}.jpg").open("rb")
            except FileNotFoundError:
                continue
            with file:
                size = os.fstat(file.fileno()).st_size
                if archive.allowed(member := f"{archive.PICTURES}{name}.jpg", size):
                    writer.add_file(member, file, size)
                    packed += 1
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
        room = os.statvfs(self._folder)
        free = room.f_bavail * room.f_frsize
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


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Make an empty file for this process alone, over what was left of one; gone afterwards unless it got another name."""
    with ExitStack() as stack:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GatewayError("Another backup is being written there: wait for its end.") from error
        mine = os.fstat(handle).st_ino
        os.ftruncate(handle, 0)
        try:
            yield path
        finally:
            for name in (path, *(path.with_name(path.name + side) for side in ("-journal", "-wal", "-shm"))):
                if name != path or (path.exists() and path.stat().st_ino == mine):
                    name.unlink(missing_ok=True)
