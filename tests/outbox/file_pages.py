"""Just enough of SQLite's file format to damage a store at a chosen place (sqlite.org/fileformat2.html)."""

from dataclasses import dataclass
from pathlib import Path

from gateway.outbox.connection import PAGE_BYTES as PAGE

KINDS = {0x02: "index interior", 0x05: "interior", 0x0A: "index leaf", 0x0D: "leaf"}


@dataclass(frozen=True)
class Page:
    number: int  # from 1
    kind: str
    rowids: tuple[int, ...]  # of a leaf

    @property
    def start(self) -> int:
        return (self.number - 1) * PAGE


def pages(path: Path) -> list[Page]:
    """Describe every page of the file; what is no b-tree page is "other"."""
    content = path.read_bytes()
    return [_page(content, number) for number in range(1, len(content) // PAGE + 1)]


def tree(path: Path, root: int) -> list[Page]:
    """Give the pages of one table or index, from its root on."""
    content = path.read_bytes()
    found, waiting = [], [root]
    while waiting:
        page = _page(content, waiting.pop(0))
        found.append(page)
        if "interior" in page.kind:
            head = page.start + (100 if page.number == 1 else 0)
            cells = int.from_bytes(content[head + 3 : head + 5], "big")
            for cell in range(cells):
                at = page.start + int.from_bytes(content[head + 12 + 2 * cell :][:2], "big")
                waiting.append(int.from_bytes(content[at : at + 4], "big"))
            waiting.append(int.from_bytes(content[head + 8 : head + 12], "big"))
    return found


def place_of_rowid(path: Path, root: int, rowid: int) -> int:
    """Say where in the file a row of a table has its number."""
    content = path.read_bytes()
    (page,) = (one for one in tree(path, root) if rowid in one.rowids)
    cell = page.start + 8 + 2 * page.rowids.index(rowid)
    _, at = _varint(content, page.start + int.from_bytes(content[cell : cell + 2], "big"))
    return at


def _page(content: bytes, number: int) -> Page:
    start = (number - 1) * PAGE
    head = start + (100 if number == 1 else 0)
    kind = KINDS.get(content[head], "other")
    return Page(number, kind, _rowids(content, start, head) if kind == "leaf" else ())


def _rowids(content: bytes, start: int, head: int) -> tuple[int, ...]:
    cells = int.from_bytes(content[head + 3 : head + 5], "big")
    found = []
    for cell in range(cells):
        at = start + int.from_bytes(content[head + 8 + 2 * cell :][:2], "big")
        _, at = _varint(content, at)
        rowid, _ = _varint(content, at)
        found.append(rowid)
    return tuple(found)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for _ in range(9):
        byte = content[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def damage(path: Path, at: int, garbage: bytes) -> None:
    """Write garbage over a place of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(garbage)
