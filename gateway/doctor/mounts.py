"""Which file system a folder lies on, read from the kernel's own list."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gateway.doctor.box import Box, there

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the list."""

    point: str
    kind: str  # ext4, vfat, nfs4
    options: frozenset[str]
    source: str  # /dev/mmcblk0p2
    number: str  # major:minor
    top: str = "/"  # which folder of the file system is mounted

    @property
    def read_only(self) -> bool:
        """It takes no writes."""
        # After an error ext4 takes no more writes; newer kernels then say only the second word.
        return not self.options.isdisjoint({"ro", "emergency_ro"})


def mounts(box: Box) -> list[Mount]:
    """Read the list; of two mounts over one another the later one counts."""
    found = []
    for line in (box.read("proc/self/mountinfo") or "").splitlines():
        before, _, behind = line.partition(" - ")
        fields, rest = before.split(), behind.split()
        if len(fields) < 6 or len(rest) < 2:
            continue
        options = frozenset(",".join([fields[5], *rest[2:3]]).split(","))
        found.append(
            Mount(_plain(fields[4]), rest[0], options, _plain(rest[1]), fields[2], _plain(fields[3]))
        )
    return found


def mount_of(box: Box, folder: Path) -> Mount | None:
    """Find the mount that a folder lies on; None where that cannot be seen."""
    wanted = os.path.realpath(folder)
    over = [one for one in mounts(box) if _holds(one.point, wanted)]
    return max(enumerate(over), key=lambda one: (len(one[1].point), one[0]))[1] if over else None


def existing(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that exists."""
    while not there(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _holds(point: str, path: str) -> bool:
    return point in {"/", path} or path.startswith(point + "/")


def _plain(text: str) -> str:
    """Undo the kernel's way of writing a space."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
