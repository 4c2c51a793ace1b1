"""The regions of a store's files, by what they hold, and the kinds of damage that are done to them."""

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_TREES = {0x02: "index interior", 0x05: "interior", 0x0A: "index leaf", 0x0D: "leaf"}
WAL_HEAD, FRAME_HEAD = 32, 24


@dataclass(frozen=True)
class Region:
    suffix: str  # of the file: "", "-wal" or "-shm"
    name: str
    start: int
    size: int


def in_database(path: Path) -> list[Region]:
    """Name every page of the database by the tree that it belongs to, and the head of the file."""
    content = path.read_bytes()
    page_bytes = int.from_bytes(content[16:18], "big")
    names = dict.fromkeys(range(1, len(content) // page_bytes + 1), "overflow")
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as conn:
        roots = [
            ("sqlite_master", 1),
            *conn.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0"),
        ]
    for tree, root in roots:
        for number, kind in _walk(content, page_bytes, root):
            names[number] = f"{tree} {'root ' if number == root else ''}{kind}"
    for number in _free(content, page_bytes):
        names[number] = "freelist"
    pages = [
        Region("", name, (number - 1) * page_bytes, page_bytes) for number, name in sorted(names.items())
    ]
    return [Region("", "file header", 0, 100), *pages]


def _walk(content: bytes, page_bytes: int, root: int) -> Iterator[tuple[int, str]]:
    waiting = [root]
    while waiting:
        number = waiting.pop()
        start = (number - 1) * page_bytes
        head = start + (100 if number == 1 else 0)
        kind = _TREES[content[head]]
        yield number, kind
        if "interior" in kind:
            cells = int.from_bytes(content[head + 3 : head + 5], "big")
            for cell in range(cells):
                at = start + int.from_bytes(content[head + 12 + 2 * cell :][:2], "big")
                waiting.append(int.from_bytes(content[at : at + 4], "big"))
            waiting.append(int.from_bytes(content[head + 8 : head + 12], "big"))


def _free(content: bytes, page_bytes: int) -> Iterator[int]:
    trunk = int.from_bytes(content[32:36], "big")
    while trunk:
        yield trunk
        start = (trunk - 1) * page_bytes
        trunk, leaves = (int.from_bytes(content[start + at : start + at + 4], "big") for at in (0, 4))
        for leaf in range(leaves):
            yield int.from_bytes(content[start + 8 + 4 * leaf :][:4], "big")


def in_wal(path: Path) -> list[Region]:
    """Name the head of the WAL, and the head and the body of each of its frames."""
    content = path.read_bytes()
    page_bytes = int.from_bytes(content[8:12], "big")
    found = [Region("-wal", "WAL header", 0, WAL_HEAD)]
    for start in range(WAL_HEAD, len(content) - FRAME_HEAD - page_bytes + 1, FRAME_HEAD + page_bytes):
        found.append(Region("-wal", "WAL frame header", start, FRAME_HEAD))
        found.append(Region("-wal", "WAL frame body", start + FRAME_HEAD, page_bytes))
    return found


def in_index(path: Path) -> list[Region]:
    """Name the parts of the shared memory file: its two heads with their marks, and the table of frames."""
    size = path.stat().st_size
    return [Region("-shm", "-shm head", 0, 136), Region("-shm", "-shm table", 136, size - 136)]


KINDS = ("flip", "zero", "garbage", "truncate")


def damage(store: Path, region: Region, kind: str, chance: random.Random) -> None:
    """Do one kind of damage to one region of a store's file; afterwards it is really another one."""
    with (store.parent / (store.name + region.suffix)).open("r+b") as file:
        if kind == "truncate":
            whole = file.seek(0, os.SEEK_END)
            assert file.truncate(region.start + chance.randrange(region.size)) < whole, (
                f"{region} is not there"
            )
            return
        file.seek(region.start)
        before = file.read(region.size)
        content = bytearray(before)
        if kind == "flip":
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        elif kind == "zero":
            # A page that was never used is zero already: then it is the opposite.
            content[:] = bytes(len(content)) if any(content) else b"\xff" * len(content)
        else:
            content[:] = chance.randbytes(len(content))
        assert content != before, f"{kind} did nothing to {region}"
        file.seek(region.start)
        file.write(content)
