"""The files of captures, read from the folder: the same with the daemon up or down."""

import json
from pathlib import Path

from gateway import foreign

FOLDER = "captures"
ENDING = ".jsonl"


def files(directory: Path) -> list[dict[str, object]]:
    """List the captures below the store's folder, oldest first."""
    folder = directory / FOLDER
    found = sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else []
    rows = sorted((path.lstat().st_mtime, path) for path in found)
    return [
        {"file": str(path), "bytes": path.lstat().st_size, **_head(path), "running": False}
        for _, path in rows
    ]


def _head(path: Path) -> dict[str, object]:
    try:
        head = dict(json.loads(foreign.read(path, 4_096).partition(b"\n")[0])["capture"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {"device": None, "from": None, "until": None}
    return {name: head.get(name) for name in ("device", "from", "until")}
