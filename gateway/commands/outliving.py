"""Whether a backup lies where it outlives the disk of the store: `gateway backup` says it, or refuses."""

import contextlib
import os
from pathlib import Path

from gateway.doctor.box import Box
from gateway.doctor.mounts import Mount, existing, mount_of

_MEMORY = frozenset({"tmpfs", "ramfs"})


def doomed(box: Box, folder: Path) -> str | None:
    """Say what takes a file in this folder along, or None when nothing is known that does."""
    store = existing(box.config.store.path)
    here, there = mount_of(box, folder), mount_of(box, store)
    same = here is not None and there is not None and _disk(box, here) == _disk(box, there)
    if same or folder.stat().st_dev == store.stat().st_dev:
        return "on the disk of the store itself: when that disk dies, the backup dies with it"
    if here is not None and here.kind in _MEMORY:
        return "in memory, and on no disk: it is gone at the next start of the box"
    return None


def _disk(box: Box, mount: Mount) -> str:
    """Name the whole disk: the parts of one memory card die together."""
    number = mount.number
    # The parts of a btrfs have numbers of their own.
    if number.startswith("0:") and mount.source.startswith("/dev/"):
        with contextlib.suppress(OSError):
            device = Path(mount.source).stat().st_rdev
            number = f"{os.major(device)}:{os.minor(device)}"
    block = Path(os.path.realpath(box.system(f"sys/dev/block/{number}")))
    return block.parent.name if (block / "partition").exists() else block.name
