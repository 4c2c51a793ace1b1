"""A sum beside each row of the log and each place of a sink: SQLite keeps none, and a flipped bit would go out as the truth.

The flags of an entry change after it was written, by statements that never see the rest of the row. So the number is
in two parts: below the CRC-32 of what never changes, above it a copy of the flags, which those statements change alike.
A row of an older gateway has no number (NULL); of it only the form is looked at.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any
from zlib import crc32

from gateway.outbox.damage import StoreDamaged

FLAGS_AT = 32  # bits of the CRC below the flags
_COLUMNS = "seq, id, revision, kind, device, device_seq, time, received, flags, body, personal"
CHECKED_COLUMNS = f"{_COLUMNS}, crc"
_MOST_SHOWN = 64
_numbers = struct.Struct("<5q").pack

Row = tuple[Any, ...]


def with_flag(flag: str) -> str:
    """Write, in SQL, that rows get a flag: in both places at once."""
    return f"flags = flags | {flag}, crc = crc | ({flag} << {FLAGS_AT})"


def of_event(
    seq: int,
    id_: str,
    revision: int,
    kind: str,
    device: str,
    device_seq: int,
    time: int,
    received: int,
    flags: int,
    body: str,
    personal: str | None,
) -> int:
    """Give the sum of a row of the log, its columns in their order."""
    numbers = crc32(_numbers(seq, revision, device_seq, time, received))
    texts = (id_, kind, device, body) if personal is None else (id_, kind, device, body, personal)
    return crc32("|".join(texts).encode(), numbers) | flags << FLAGS_AT


def is_whole(row: Row) -> bool:
    """Say whether a row of `CHECKED_COLUMNS` is what was written, as far as anybody can know."""
    if row[11] is None:
        return _has_form(row)
    try:
        return bool(row[11] == of_event(*row[:11]))
    except (struct.error, TypeError):  # no number where one was
        return False


def checked(row: Row) -> Row:
    """Give an entry of the log without its sum; raises `StoreDamaged` when it is not what was written."""
    if not is_whole(row):
        raise StoreDamaged(f"{named(row)} is not what was written")
    return row[:11]


def named(row: Row) -> str:
    """Name an entry for a person; what is damaged may hold anything."""
    device = "".join(letter for letter in str(row[4])[:_MOST_SHOWN] if letter.isprintable())
    return f"event {row[0]} of {device}"


def _has_form(row: Row) -> bool:
    try:
        return isinstance(json.loads(row[9])["data"], dict) and (row[10] is None or bool(json.loads(row[10])))
    except (ValueError, TypeError, KeyError):
        return False


def of_place(name: str, cursor: int, owed: Sequence[tuple[int, int, bool]]) -> int:
    """Give the sum of a sink's place: a cursor that jumps ahead, or a range that is gone, would lose events unseen."""
    return crc32(f"{name}|{cursor}|{list(owed)}".encode())
