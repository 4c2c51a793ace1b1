"""The files of root that came from a card: `credentials/card-2.sinks.broker.password`.

A certificate is no secret and may be large: it lies in `certificates`, and the configuration has its whole path.

Each takeover that brings something new has a number of its own, so that the configuration changes from the old files to
the new ones in the one step in which it is replaced itself.
"""

import contextlib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import durable
from gateway.config.lines import Place

FOLDER, CERTIFICATES = "credentials", "certificates"
_OURS = re.compile(r"card-(\d{1,9})\.(.+)")
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_LARGEST = 1_048_576
_LONGEST = 48  # of a name, less what it was made from; so that a backup has room for it


@dataclass
class Vault:
    """What the box has from earlier cards, by the options of its present configuration."""

    home: Path  # the folder of the configuration
    present: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, config: Path) -> "Vault":
        """Read the present configuration; one that cannot be read names nothing."""
        try:
            return cls(config.parent, tomllib.loads(config.read_text("utf-8-sig")))
        except (OSError, ValueError, RecursionError):
            return cls(config.parent)

    @property
    def folder(self) -> Path:
        return self.home / FOLDER

    @property
    def certificates(self) -> Path:
        return self.home / CERTIFICATES

    def clear_name(self, table: Place, word: str, number: int | None) -> str:
        """Name a file so that a person sees what is in it: the option, and which of several it is."""
        place = [str(part) for part in table]
        end = "" if number is None else f".{number + 1}"
        plain = [_ODD.sub("_", part) for part in (*place, word)]
        name = ".".join(plain) + end
        if len(name) <= _LONGEST and plain == [*place, word]:
            return name
        # Two places whose names only begin alike, or differ in an odd letter, are two.
        mark = hashlib.blake2b(json.dumps(place).encode(), digest_size=4).hexdigest()
        end = f"-{mark}.{plain[-1]}{end}"
        return ".".join(plain[:-1])[: _LONGEST - len(end)] + end

    def named(self, table: Place, option: str) -> list[str]:
        """Give the files that the present configuration names there."""
        value: Any = self.present
        for part in (*table, option):
            value = value.get(part) if isinstance(value, Mapping) else None
        listed = value if isinstance(value, list) else [value]
        return [name for name in listed if isinstance(name, str)]

    def all_named(self) -> set[str]:
        """Give everything that may be the name of a file in the present configuration."""
        return set(_texts(self.present))

    def newest(self, clear: str) -> str | None:
        """Find what an earlier card brought, where the configuration does not say it any more."""
        return next((name for _, name, known in sorted(self._ours(), reverse=True) if known == clear), None)

    def place(self, name: str) -> Path:
        """Give the path of a name; an absolute one is that of a person who has a shell."""
        return self.folder / name  # of an absolute name only this is left

    def content(self, name: str) -> bytes | None:
        """Read a file of the box; None when it is not there."""
        try:
            with self.place(name).open("rb") as file:
                return file.read(_LARGEST)
        except (OSError, ValueError):
            return None

    def next_name(self, clear: str, *, secret: bool) -> str:
        """Name a file that this takeover brings."""
        number = max((number for number, _, _ in self._ours()), default=0) + 1
        name = f"card-{number}.{clear}"
        return name if secret else str(self.certificates / name)

    def sizes(self, names: set[str]) -> dict[str, int]:
        """Give the size of each secret that stays: with one of these names, or laid there by a person."""
        gone = {name for _, name, _ in self._ours()} - names
        found = {}
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                with contextlib.suppress(FileNotFoundError):  # a link to nothing
                    if path.name not in gone and path.is_file():
                        found[path.name] = path.stat().st_size
        return found

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write new files; the configuration does not name them yet."""
        for name, content in files.items():
            path = self.place(name)
            secret = path.parent == self.folder
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700, parents=True)
                durable.sync(self.home)
            if not secret:
                path.parent.chmod(0o755)  # whatever the umask is: the gateway's user reads it there
            durable.put(path, content, mode=0o600 if secret else 0o644)

    def forget_but(self, names: set[str]) -> None:
        """Remove what came from cards and has neither of these names, and what a power cut left half."""
        gone = [name for _, name, _ in self._ours() if name not in names]
        for name in gone:
            (self.folder / name).unlink(missing_ok=True)
        for folder in (self.folder, self.certificates):
            for half in folder.glob(".card-*.new"):
                half.unlink(missing_ok=True)

    def _ours(self) -> list[tuple[int, str, str]]:
        found = []
        for folder in (self.folder, self.certificates):
            for path in folder.iterdir() if folder.is_dir() else ():
                if match := _OURS.fullmatch(path.name):
                    name = path.name if folder == self.folder else str(path)
                    found.append((int(match[1]), name, match[2]))
        return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, Mapping)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(one)
