"""The files of the pictures: read out of Base64, written whole, removed."""

import base64
import binascii
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files; one that is gone already is no matter."""
    for path in paths:
        path.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Put a file on disk, whole or not at all, for the owner's eyes only."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f"fresh-{secrets.token_hex(8)}")
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    for folder in (path.parent, path.parent.parent):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def jpeg(text: str) -> bytes | None:
    """Read a picture out of Base64; None when it is none, or only a part of one."""
    bare = "".join(text.rpartition(",")[2].split()) if text[:5].lower() == "data:" else "".join(text.split())
    try:
        content = base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError):
        return None
    whole = content.startswith(b"\xff\xd8\xff") and content.rstrip(b"\0").endswith(b"\xff\xd9")
    return content if whole else None
