"""The file of a backup: a gzipped tar of plain files, written in one go and read without trusting it.

Only the heads of the tar are used, one block each: nothing in a file from elsewhere makes us follow a link, make a path,
or read a head of a gigabyte. The last member has the SHA-256 of all others, so what is cut off is noticed.
"""

import contextlib
import gzip
import hashlib
import json
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple, Protocol

from gateway.backup.about import NotABackup
from gateway.config import credentials
from gateway.errors import GatewayError

ABOUT, SUMS = "backup.json", "sums.json"
CONFIG, LAST_GOOD, STORE = "config.toml", "last-good.toml", "gateway.db"
CREDENTIALS, CERTIFICATES, PICTURES = "credentials/", "certificates/", "pictures/"
_BLOCK = 512
_PIECE = 1 << 20
SMALL_BYTES = 1 << 20
_LARGE = 32 << 20


class _Bound(NamedTuple):
    names: re.Pattern[str]
    bytes: int | None  # of each
    members: int  # of such a name


_BOUNDS = (
    _Bound(re.compile(r"backup\.json|config\.toml|last-good\.toml"), SMALL_BYTES, 3),
    _Bound(re.compile(r"credentials/[A-Za-z0-9_][A-Za-z0-9_.@-]{0,86}"), SMALL_BYTES, 1_000),
    _Bound(re.compile(r"certificates/[A-Za-z0-9_][A-Za-z0-9_.@-]{0,85}"), SMALL_BYTES >> 2, 200),
    _Bound(re.compile(r"sums\.json"), _LARGE, 1),
    _Bound(re.compile(r"pictures/[0-9a-f]{64}\.jpg"), _LARGE, 200_000),  # their sums must fit, too
    _Bound(re.compile(r"gateway\.db"), None, 1),  # as large as `backup.json` says
)
_LEVEL = 1  # a slow box packs tens of megabytes a second, and a card full of zeros packs well anyway
_MOST_BEHIND = 64 << 10  # of padding behind the last member


class Out(Protocol):
    """Where a backup goes."""

    def write(self, content: bytes, /) -> object:
        """Take a piece."""

    def flush(self) -> object:
        """Pass on what was taken."""


class Tally:
    """Holds one member after the other against the bounds: what the reader would refuse the writer never writes."""

    def __init__(self) -> None:
        self._members: Counter[_Bound | None] = Counter()
        self._secrets: dict[str, int] = {}

    def objection(self, name: str, size: int) -> str | None:
        """Say in a sentence why this cannot be the next member; None when it can."""
        bound = _bound(name)
        if bound is None:
            return f"This is not a backup: no backup has {name[:100]!r} in it."
        if size < 0 or (bound.bytes is not None and size > bound.bytes):
            return f"This is not a backup: {name!r} in it is too large."
        if self._members[bound] >= bound.members:
            return f"This is not a backup: {name!r} in it is one too many."
        if name.startswith(CREDENTIALS):
            reason = credentials.too_large({**self._secrets, name.removeprefix(CREDENTIALS): size})
            return reason and f"The secrets in this backup are of no use: {reason}."
        return None

    def add(self, name: str, size: int) -> None:
        """Count a member to which there was no objection."""
        self._members[_bound(name)] += 1
        if name.startswith(CREDENTIALS):
            self._secrets[name.removeprefix(CREDENTIALS)] = size


def _bound(name: str) -> _Bound | None:
    return next((bound for bound in _BOUNDS if bound.names.fullmatch(name)), None)


class Writer:
    """Writes members one behind the other, and what each of them was."""

    def __init__(self, out: Out, *, mtime: float, watch: Callable[[int], None]) -> None:
        self._zip = gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=_LEVEL, mtime=mtime)
        self._mtime, self._watch = int(mtime), watch
        self._sums: dict[str, str] = {}
        self._tally = Tally()

    def takes(self, name: str, size: int) -> bool:
        """Say whether a restore would take this member, too."""
        return self._tally.objection(name, size) is None

    def add(self, name: str, content: bytes) -> None:
        """Write a small member."""
        self._head(name, len(content))
        self._put(content)
        self._pad(len(content))
        self._sums[name] = hashlib.sha256(content).hexdigest()

    def add_file(self, name: str, file: IO[bytes], size: int) -> None:
        """Write a member out of a file; raises `OSError` when the file has become shorter."""
        self._head(name, size)
        digest, left = hashlib.sha256(), size
        while left:
            piece = file.read(min(_PIECE, left))
            if not piece:
                raise OSError(f"{name} became shorter while it was read")
            digest.update(piece)
            self._put(piece)
            left -= len(piece)
        self._pad(size)
        self._sums[name] = digest.hexdigest()

    def finish(self) -> None:
        """Write the sums and the end."""
        self.add(SUMS, json.dumps(dict(self._sums), indent=1).encode())
        self._put(bytes(2 * _BLOCK))
        self._zip.close()

    def give_up(self) -> None:
        """Let go of what cannot be finished; without its sums it is no backup."""
        with contextlib.suppress(OSError, ValueError):  # it is given up because of one
            self._zip.close()

    def _head(self, name: str, size: int) -> None:
        if objection := self._tally.objection(name, size):
            raise GatewayError(f"The backup could not be restored. {objection}")
        self._tally.add(name, size)
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, self._mtime
        # GNU, for a store beyond 8 GiB; such a head is one block because the name is short.
        self._put(info.tobuf(tarfile.GNU_FORMAT))

    def _pad(self, size: int) -> None:
        self._put(bytes(-size % _BLOCK))

    def _put(self, content: bytes) -> None:
        self._watch(len(content))
        self._zip.write(content)


class Member:
    """One file in a backup, read once and in order."""

    def __init__(self, name: str, size: int, read: Callable[[int], bytes]) -> None:
        self.name, self.size = name, size
        self._read, self._left = read, size
        self.digest = hashlib.sha256()

    def pieces(self) -> Iterator[bytes]:
        """Give the content piece by piece."""
        while self._left:
            piece = self._read(min(_PIECE, self._left))
            self._left -= len(piece)
            self.digest.update(piece)
            yield piece

    def whole(self) -> bytes:
        """Give the content of a small one."""
        return b"".join(self.pieces())


def members(source: IO[bytes]) -> Iterator[Member]:
    """Give the members of a backup up to its sums, which are held against what was read.

    Raises `NotABackup` for whatever no backup of ours is; only after the last one is any of it to be believed.
    """
    stream = _Stream(source)
    sums: dict[str, str] = {}
    while True:
        member = stream.next()
        if member.name in sums or (not sums and member.name != ABOUT):
            raise NotABackup(f"This is not a backup: {member.name} is in the wrong place.")
        if member.name == SUMS:
            _compare(member.whole(), sums)
            stream.end()
            return
        yield member
        for _ in member.pieces():  # what nobody wanted
            pass
        stream.skip(-member.size % _BLOCK)
        sums[member.name] = member.digest.hexdigest()


def _compare(text: bytes, sums: dict[str, str]) -> None:
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError):
        stated = None
    if not isinstance(stated, dict):
        raise NotABackup("The backup is damaged: its sums cannot be read.")
    wrong = sorted(name for name in {*stated, *sums} if stated.get(name) != sums.get(name))
    if wrong:
        raise NotABackup(f"The backup is damaged: {wrong[0][:100]!r} is not what was written.")


class _Stream:
    """The blocks of the tar inside of the gzip."""

    def __init__(self, source: IO[bytes]) -> None:
        self._zip = gzip.GzipFile(fileobj=source, mode="rb")
        self._tally = Tally()

    def next(self) -> Member:
        """Read the head of the next member."""
        try:
            info = tarfile.TarInfo.frombuf(self._exactly(_BLOCK), "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise NotABackup("The backup is damaged, or is none: a head in it cannot be read.") from error
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise NotABackup(f"This is not a backup: {info.name[:100]!r} in it is not a plain file.")
        if objection := self._tally.objection(info.name, info.size):
            raise NotABackup(objection)
        self._tally.add(info.name, info.size)
        return Member(info.name, info.size, self._some)

    def skip(self, size: int) -> None:
        """Pass over padding."""
        self._exactly(size)

    def end(self) -> None:
        """See that nothing but padding follows, and that the gzip is whole."""
        rest = b""
        while (piece := self._read(_PIECE)) and len(rest) <= _MOST_BEHIND:
            rest += piece
        if len(rest) > _MOST_BEHIND or rest.strip(b"\0"):
            raise NotABackup("This is not a backup: something follows behind its end.")

    def _some(self, size: int) -> bytes:
        piece = self._read(size)
        if not piece:
            raise NotABackup("The backup was cut off: copy it again.")
        return piece

    def _exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            content += self._some(size - len(content))
        return content

    def _read(self, size: int) -> bytes:
        try:
            return self._zip.read(size)
        except EOFError as error:
            raise NotABackup("The backup was cut off: copy it again.") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise NotABackup("This file is not a backup, or it is damaged.") from error
