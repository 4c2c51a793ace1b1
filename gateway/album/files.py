"""The files of the pictures: read out of Base64, written whole, removed."""

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

from gateway import durable


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files; one that is gone already is no matter."""
    for path in paths:
        path.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Put a file on disk, whole or not at all, for the owner's eyes only."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    durable.put(path, content, mode=0o600)
    durable.sync(path.parent.parent)


def jpeg(text: str) -> bytes | None:
    """Read a picture out of Base64; None when it is none, or only a part of one."""
    bare = "".join(text.rpartition(",")[2].split()) if text[:5].lower() == "data:" else "".join(text.split())
    try:
        content = base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError):
        return None
    whole = content.startswith(b"\xff\xd8\xff") and content.rstrip(b"\0").endswith(b"\xff\xd9")
    return content if whole else None
