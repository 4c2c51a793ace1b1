"""What is left of a disk when the power goes: rebuilt from what a process asked of it (`recorder.c`).

Content is durable when a later sync of the same file lies before the cut. A name (create, rename, unlink) is durable
when any later sync does, as on ext4, which keeps the order of names; on a strict disk only when a later sync of its
directory does. Of the rest nothing survives, or each piece by chance, or by chance and torn at a sector. Not
modelled: the loss of a whole directory, and a disk that lies about syncs.
"""

import contextlib
import os
import random
import shutil
import struct
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SECTOR = 512
SURVIVALS = ("none", "some", "torn", "strict")
_HEAD = struct.Struct("<cIQI")


@dataclass(frozen=True, slots=True)
class Record:
    kind: str  # as in recorder.c; a is an acknowledgement that somebody outside has read
    path: str
    offset: int
    data: bytes


@dataclass(slots=True)
class _File:
    """A file, whatever its name is at the moment."""

    changes: list[tuple[int, Record]] = field(default_factory=list)
    synced: int = -1  # the last sync before the cut


@dataclass(frozen=True, slots=True)
class _Name:
    """A change of a directory: ``file`` gets this name, and loses the other one.

    When a directory gets another name, all that is in it does, at one moment: the changes have one number.
    """

    number: int
    file: _File
    gains: str | None
    loses: str | None
    entry: str  # what must be on the disk for it: the name of the file, or of the directory that was renamed


def build(directory: Path) -> Path:
    """Compile the recorder."""
    if shutil.which("gcc") is None:
        pytest.fail(
            "the recorder cannot be built, gcc is missing: apt-get install gcc libc6-dev, or make debian"
        )
    library = directory / "recorder.so"
    source = Path(__file__).with_name("recorder.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@contextlib.contextmanager
def disks() -> Iterator[Path]:
    """Give a directory for what cuts leave, in memory where there is such a place: thousands of files come and go."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="cuts-") as directory:
        yield Path(directory)


def environment(library: Path, log: Path, *watched: Path) -> dict[str, str]:
    """Give what a process needs to be recorded."""
    return {
        "LD_PRELOAD": str(library),
        "RECORD_LOG": str(log),
        "RECORD_DIRS": ":".join(map(str, watched)),
    }


def packed(kind: str, path: str, data: bytes) -> bytes:
    """Write a record as the recorder does."""
    return _HEAD.pack(kind.encode(), len(path), 0, len(data)) + path.encode() + data


def read(log: Path) -> list[Record]:
    content, at, found = log.read_bytes(), 0, []
    while at < len(content):
        kind, length, offset, size = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        path = content[at : at + length].decode()
        data = content[at + length : at + length + size]
        at += length + size
        found.append(Record(kind.decode(), path, offset, data))
    return found


def after_cut(records: Sequence[Record], survival: str, rng: random.Random) -> dict[str, bytes]:
    """Give the files as they are after a cut behind these records."""
    names, syncs = _live(records)
    on_disk: dict[str, _File] = {}
    lucky: dict[int, bool] = {}
    for change in names:
        place = Path(change.entry)
        durable = max(syncs.values(), default=-1) if survival != "strict" else syncs[str(place.parent)]
        if change.number not in lucky:
            lucky[change.number] = change.number < durable or (survival != "none" and rng.random() < 0.5)
        if lucky[change.number]:
            if change.loses is not None and on_disk.get(change.loses) is change.file:
                del on_disk[change.loses]
            if change.gains is not None:
                on_disk[change.gains] = change.file
    return {
        path: _content(file, survival, rng) for path, file in on_disk.items() if not path.endswith("-shm")
    }


def uncut(records: Sequence[Record]) -> dict[str, bytes]:
    """Give the files as they are while the power is on: what a look at the real disk must find."""
    names, _ = _live([*records, Record("s", "everything", 0, b"")])
    on_disk = {}
    for change in names:
        on_disk.pop(change.loses, None)
        if change.gains is not None:
            on_disk[change.gains] = change.file
    for file in on_disk.values():
        file.synced = len(records)
    everything = random.Random(0)
    return {
        path: _content(file, "none", everything)
        for path, file in on_disk.items()
        if not path.endswith("-shm")
    }


def put(disk: dict[str, bytes], was: Path, to: Path) -> None:
    """Write the files that lay below one directory into another one."""
    for path, content in disk.items():
        place = to / Path(path).relative_to(was)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def strange(records: Iterable[Record]) -> list[str]:
    """Name the calls that changed files and that nobody models."""
    return sorted({f"{record.data.decode()} {record.path}" for record in records if record.kind == "x"})


def _live(records: Sequence[Record]) -> tuple[list[_Name], dict[str, int]]:
    """Follow the files through their names; give the changes of names, and the last sync of each path."""
    living: dict[str, _File] = {}
    names: list[_Name] = []
    syncs: dict[str, int] = defaultdict(lambda: -1)

    def found(path: str, number: int) -> _File:
        if path not in living:
            living[path] = _File()
            names.append(_Name(number, living[path], path, None, path))
        return living[path]

    for number, record in enumerate(records):
        path = record.path
        match record.kind:
            case "c":
                living.pop(path, None)
                found(path, number)
            case "w" | "t" if not path.endswith(" (deleted)"):
                found(path, number).changes.append((number, record))
            case "s" | "d":
                syncs[path] = number
                if path in living:
                    living[path].synced = number
            case "r":
                to = record.data.decode()
                for was in [name for name in living if name == path or name.startswith(f"{path}/")]:
                    now = to + was.removeprefix(path)
                    living[now] = living.pop(was)
                    names.append(_Name(number, living[now], now, was, to))
            case "u" if path in living:
                names.append(_Name(number, living.pop(path), None, path, path))
    return names, syncs


def _content(file: _File, survival: str, rng: random.Random) -> bytes:
    content = bytearray()
    for number, record in file.changes:
        durable = number < file.synced
        if durable or (survival != "none" and rng.random() < 0.5):
            torn = survival == "torn" and not durable
            _apply(content, record, rng.randrange(len(record.data) // SECTOR + 1) * SECTOR if torn else None)
    return bytes(content)


def _apply(content: bytearray, record: Record, length: int | None) -> None:
    if record.kind == "t":
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
        return
    data = record.data[:length]
    content.extend(bytes(max(record.offset + len(data) - len(content), 0)))
    content[record.offset : record.offset + len(data)] = data
