"""Keeps of what a campaign has grown the inputs that reach something of their own: `keep_corpus.py FOLDER`.

An input stays when it goes some way through our code that no smaller one goes. What was found stays as it is.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from fuzz_seeds import seeds  # noqa: E402 - the folder is on the path now
from fuzz_targets import TARGETS  # noqa: E402 - as above

CORPUS = HERE / "corpus"
_MOST_FILES, _MOST_BYTES = 120, 60_000  # of one target
_OURS = f"{HERE.parent.parent / 'gateway'}"
_CANDIDATES = 1_500

Way = tuple[CodeType, int, int]


def ways(run: Callable[..., None], data: bytes) -> set[Way]:
    """Give the steps from line to line that an input takes through our code."""
    taken: set[Way] = set()
    last: dict[FrameType, int] = {}

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            taken.add((frame.f_code, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        elif event == "return":
            last.pop(frame, None)
        return line

    def call(frame: FrameType, _event: str, _: Any) -> Any:
        return line if frame.f_code.co_filename.startswith(_OURS) else None

    sys.settrace(call)
    try:
        run(data, twice=False)
    finally:
        sys.settrace(None)
    return taken


def keep(name: str, grown: Path) -> tuple[int, int]:
    """Write the corpus of one target; give its files and bytes."""
    run, folder = TARGETS[name].run, CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    found = {path.read_bytes() for path in folder.glob("found-*")}
    inputs = {path.read_bytes() for place in (grown, folder) if place.is_dir() for path in place.iterdir()}
    known: set[Way] = set()
    for data in seeds(name):  # the suite reads them as well
        known |= ways(run, data)
    for path in folder.glob("in-*"):
        path.unlink()
    files = size = 0
    for data in sorted(inputs - found, key=lambda one: (len(one), one))[:_CANDIDATES]:
        if files >= _MOST_FILES or size + len(data) > _MOST_BYTES:
            break
        new = ways(run, data) - known
        if new:
            known |= new
            (folder / f"in-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            files, size = files + 1, size + len(data)
    return files, size


if __name__ == "__main__":
    for target in sys.argv[2:] or TARGETS:
        kept = keep(target, Path(sys.argv[1]) / target / "grown")
        sys.stdout.write(f"{target}: {kept[0]} files, {kept[1]} bytes\n")
