"""The files of captures, read from the folder: the same with the daemon up or down."""

import json
from pathlib import Path

FOLDER = "captures"
ENDING = ".jsonl"


def files(directory: Path) -> list[dict[str, object]]:
    """List the captures below the store's folder, oldest first."""
    folder = directory / FOLDER
    found = sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else []
    rows = [(path.stat().st_mtime, path) for path in found]
    return [
        {"file": str(path), "bytes": path.stat().st_size, **_head(path), "running": False}
        for _, path in sorted(rows)
    ]


def _head(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        first = file.readline(4_096)
    try:
        head = json.loads(first)["capture"]
    except (ValueError, KeyError, TypeError):
        return {"device": None, "from": None, "until": None}
    return {name: head.get(name) for name in ("device", "from", "until")}
