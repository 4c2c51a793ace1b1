"""How much room a disk has left, for whoever is not root."""

import os
from pathlib import Path


def free(path: Path) -> int:
    """Give the free bytes of the disk that this file or folder is on."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize
