"""Remember the last configuration that was fine, so that a broken one never stops receiving.

The copy lies in the state directory, not in the store's: where the store is stands in the file that may be
broken. It holds no passwords: those are in files of their own.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from gateway import durable
from gateway.config.loading import load
from gateway.config.model import Config
from gateway.config.sections import StoreSection
from gateway.errors import ConfigError


def remember(path: Path | None) -> None:
    """Keep a copy of the file that was just loaded; a disk that refuses costs the copy and nothing else."""
    if path is None or "STATE_DIRECTORY" not in os.environ:
        return  # run by hand: whoever types the command reads the mistakes
    kept = place(path)
    with contextlib.suppress(OSError):
        text = path.read_bytes()
        if kept.exists() and kept.read_bytes() == text:
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        durable.put(kept, text, mode=0o600)  # path tokens are in it


def recall(path: Path | None) -> Config | None:
    """Load the last good configuration of a file; None when there is none or it is no longer good either."""
    try:
        return None if path is None else load(place(path), stands_for=path)
    except ConfigError:
        return None


def place(path: Path) -> Path:
    """Say where the copy of a file lies."""
    mark = hashlib.blake2b(str(path.resolve()).encode(), digest_size=4).hexdigest()
    return StoreSection().path / f"last-good-{mark}.toml"
