"""Steers the failing disk (`faulty_disk.c`) of a daemon, and reads how often it really failed."""

import errno
import mmap
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
_WORDS = [
    "kinds",
    "error",
    "skip",
    "times",
    "lose",
    "writes_failed",
    "syncs_failed",
    "opens_failed",
    "lost",
    "syncs",
]


def build(directory: Path) -> Path:
    """Compile the library that is preloaded."""
    if shutil.which("gcc") is None:
        pytest.fail(
            "the failing disk cannot be built, gcc is missing: apt-get install gcc libc6-dev, or make debian"
        )
    library = directory / "faulty_disk.so"
    source = HERE / "faulty_disk.c"
    build = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"]
    subprocess.run(build, check=True)
    return library


class FaultyDisk:
    """Everything below ``watched`` fails on demand for a process that was started with `env`."""

    WRITE, SYNC, OPEN = 1, 2, 4

    def __init__(self, directory: Path, watched: Path) -> None:
        control = directory / "faulty-disk"
        control.write_bytes(bytes(4 * len(_WORDS)))
        self._file = control.open("r+b")
        self._shared = mmap.mmap(self._file.fileno(), 0)
        self.env = {
            "LD_PRELOAD": str(build(directory)),
            "FAULTY_CONTROL": str(control),
            "FAULTY_DIR": str(watched),
        }

    def __getitem__(self, word: str) -> int:
        return struct.unpack_from("<i", self._shared, 4 * _WORDS.index(word))[0]

    def _put(self, word: str, value: int) -> None:
        struct.pack_into("<i", self._shared, 4 * _WORDS.index(word), value)

    def fail(self, kinds: int, *, error: int = errno.EIO, skip: int = 0, times: int = -1) -> None:
        """Let ``skip`` operations of these kinds through, then fail so many, or all until `heal`."""
        self._put("kinds", 0)
        for word, value in (("error", error), ("skip", skip), ("times", times), ("kinds", kinds)):
            self._put(word, value)

    def lose(self, how: bool) -> None:
        """Have failed syncs lose what was written since the last good one, or keep it in the cache."""
        self._put("lose", int(how))

    def heal(self) -> None:
        self._put("kinds", 0)

    @property
    def failed(self) -> int:
        return self["writes_failed"] + self["syncs_failed"] + self["opens_failed"]

    def close(self) -> None:
        self._shared.close()
        self._file.close()
