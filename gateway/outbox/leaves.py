"""The last resort of a salvage: rows of the log straight from the pages of the file, when nothing leads to them any more.

Written after sqlite.org/fileformat2.html (1.6 b-tree pages, 2.1 record format). Whatever looks like a row is taken for one
only if its sum is right (`sums.py`), so a page of anything else gives nothing. Pages in the WAL are newer than those of
the file. What had been removed may be found again on a page that is free: it is no more than what was written once.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from gateway.outbox import sums

_LEAF = 0x0D
_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
_NEARLY = (
    0.7  # of the share of leaves at the true size: twice that size has about as many, half of it half as many
)
_COLUMNS = 12
_FIRST_TEXT = 12  # serial types from here on have their length in them; odd ones are texts
_LARGEST_ROW = 64 * 1024 * 1024
_WAL_HEAD, _FRAME_HEAD = 32, 24
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # bytes of each serial type
_BAD = (IndexError, ValueError, struct.error)


def rows(path: Path) -> Iterator[sums.Row]:
    """Give every row of the log that lies whole in the file or its WAL; of one that is there twice, the newer first."""
    if not path.exists():
        return
    size = _page_bytes(path)
    wal = path.with_name(path.name + "-wal")
    frames = _frames(wal, size) if wal.exists() else {}
    with path.open("rb") as file, (wal if wal.exists() else path).open("rb") as newer:

        def page(number: int) -> bytes:
            source, at = (newer, frames[number]) if number in frames else (file, (number - 1) * size)
            source.seek(at)
            with suppress(OSError):  # a bad sector costs its own page
                return source.read(size)
            return b""

        last = max([path.stat().st_size // size, *frames])
        for number in [*frames, *(number for number in range(2, last + 1) if number not in frames)]:
            content = page(number)
            if len(content) == size and content[0] == _LEAF:
                for at in _cells(content):
                    with suppress(*_BAD):
                        row = _row(content, at, size, page)
                        if row[11] is not None and sums.is_whole(row):
                            yield row


def _page_bytes(path: Path) -> int:
    """Read the size of the pages; where the head of the file is gone, the least at which most pages are leaves."""
    with path.open("rb") as file:
        head = file.read(100)
        stated = int.from_bytes(head[16:18], "big")
        if head[:15] == b"SQLite format 3" and stated in _SIZES:
            return stated
        sample = head + file.read(4 * 1024 * 1024)
    shares = {
        size: sum(byte == _LEAF for byte in sample[::size]) / len(sample[::size]) for size in _SIZES if sample
    }
    return next((size for size in shares if shares[size] >= _NEARLY * max(shares.values())), _SIZES[0])


def _frames(wal: Path, size: int) -> dict[int, int]:
    """Find the newest content of each page in the WAL: of the salts of its head, the last frame."""
    found: dict[int, int] = {}
    with wal.open("rb") as file:
        salts = file.read(_WAL_HEAD)[16:24]
        at = _WAL_HEAD
        while len(head := file.read(_FRAME_HEAD)) == _FRAME_HEAD and head[8:16] == salts:
            found[int.from_bytes(head[:4], "big")] = at + _FRAME_HEAD
            at = file.seek(at + _FRAME_HEAD + size)
    return found


def _cells(content: bytes) -> Iterator[int]:
    count = int.from_bytes(content[3:5], "big")
    for place in range(8, min(8 + 2 * count, len(content) - 1), 2):
        yield int.from_bytes(content[place : place + 2], "big")


def _row(content: bytes, at: int, size: int, page: Callable[[int], bytes]) -> sums.Row:
    length, at = _varint(content, at)
    seq, at = _varint(content, at)
    if not 0 < length < _LARGEST_ROW:
        raise ValueError("no row is as large")
    here = _local(length, size)
    payload = content[at : at + here]
    if here < length:
        following = int.from_bytes(content[at + here : at + here + 4], "big")
        pieces = [payload]
        missing = length - here
        while missing > 0 and following:
            more = page(following)
            pieces.append(more[4 : 4 + missing])
            missing -= len(pieces[-1]) or missing
            following = int.from_bytes(more[:4], "big")
        payload = b"".join(pieces)
    return (seq, *_values(payload)[1:])


def _local(length: int, size: int) -> int:
    """Say how much of a row lies on its leaf; the rest is on overflow pages."""
    most, least = size - 35, (size - 12) * 32 // 255 - 23
    if length <= most:
        return length
    fitting = least + (length - least) % (size - 4)
    return fitting if fitting <= most else least


def _values(payload: bytes) -> list[int | str | None]:
    end, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < end and len(kinds) <= _COLUMNS:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if len(kinds) != _COLUMNS:
        raise ValueError("no row of the log")
    values: list[int | str | None] = []
    for kind in kinds:
        width = _INTEGERS.get(kind, 0) if kind < _FIRST_TEXT else (kind - _FIRST_TEXT) // 2
        piece, at = payload[at : at + width], at + width
        if kind in (0, 8, 9):
            values.append((None, 0, 1)[(0, 8, 9).index(kind)])
        elif kind in _INTEGERS:
            values.append(int.from_bytes(piece, "big", signed=True))
        elif kind > _FIRST_TEXT and kind % 2:
            values.append(piece.decode())
        else:
            raise ValueError("a value of a kind that no row of the log has")
    return values


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | content[place] & 0x7F
        if content[place] < 0x80:
            return value, place + 1
    return value << 8 | content[at + 8], at + 9
