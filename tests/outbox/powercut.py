"""What is left of a disk when the power goes: rebuilt from what a process asked of it (`recorder.c`).

A write or truncation is durable when a later sync of the same file lies before the cut; a rename or unlink
when any later sync does, as on ext4. Of the rest nothing survives, or each piece by chance, or by chance and
torn at a sector. Not modelled: the loss of a directory entry that was just made, a disk that lies about syncs.
"""

import random
import struct
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512


@dataclass(frozen=True)
class Record:
    kind: str  # w write, t truncate, r rename, u unlink, s and d syncs
    path: str
    offset: int
    data: bytes


def read(log: Path) -> list[Record]:
    content, at, found = log.read_bytes(), 0, []
    while at < len(content):
        kind, length, offset, size = struct.unpack_from("<cIQI", content, at)
        at += 17
        path = content[at : at + length].decode()
        data = content[at + length : at + length + size]
        at += length + size
        found.append(Record(kind.decode(), path, offset, data))
    return found


def acknowledged(records: list[Record]) -> dict[int, int]:
    """Give the events whose answers had left, with their numbers in the log."""
    acks = (record for record in records if record.kind == "w" and record.path.endswith("/ack"))
    return dict(struct.unpack("<QQ", record.data) for record in acks)


def after_cut(records: list[Record], survival: str, rng: random.Random) -> dict[str, bytes]:
    """Give the files as they are after a cut behind these records."""
    disk: dict[str, bytearray] = {}
    for record, durable in zip(records, _durable(records), strict=True):
        if record.path.endswith(("-shm", "/ack")) or record.kind in "sd":
            continue
        if durable or (survival != "none" and rng.random() < 0.5):
            torn = not durable and survival == "torn"
            _apply(disk, record, rng.randrange(len(record.data) // SECTOR + 1) * SECTOR if torn else None)
    return {path: bytes(content) for path, content in disk.items()}


def _durable(records: list[Record]) -> list[bool]:
    synced: set[str] = set()
    any_sync, found = False, []
    for record in reversed(records):
        if record.kind in "sd":
            synced.add(record.path)
            any_sync = True
        found.append(any_sync if record.kind in "ur" else record.path in synced)
    return found[::-1]


def _apply(disk: dict[str, bytearray], record: Record, length: int | None) -> None:
    if record.kind == "u":
        disk.pop(record.path, None)
    elif record.kind == "r":
        if record.path in disk:
            disk[record.data.decode()] = disk.pop(record.path)
    elif record.kind == "t":
        content = disk.setdefault(record.path, bytearray())
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
    else:
        data = record.data[:length]
        content = disk.setdefault(record.path, bytearray())
        content.extend(bytes(max(record.offset + len(data) - len(content), 0)))
        content[record.offset : record.offset + len(data)] = data
