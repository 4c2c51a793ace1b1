"""Reads the lock: which packages in which versions, with the sums that they must have."""

import re
from dataclasses import dataclass
from pathlib import Path

from pip._vendor.packaging.markers import Marker

from deb.targets import Target

# sqlite-utils names pip as a dependency for a command of its own that no gateway calls. 8 MB that fetch code from
# the network have no place on a box.
DROPPED = {"pip"}
_PINNED = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)\s*(?:;\s*(?P<marker>.*))?")


@dataclass(frozen=True)
class Pinned:
    """One package of the lock."""

    name: str
    version: str
    marker: str | None
    sums: frozenset[str]

    def is_wanted(self, target: Target) -> bool:
        """Say whether a target has it."""
        if self.name in DROPPED:
            return False
        return self.marker is None or bool(Marker(self.marker).evaluate(target.environment))

    @property
    def line(self) -> str:
        """Give it as pip reads it, without the marker: that was evaluated for the target already."""
        return " ".join(
            [f"{self.name}=={self.version}", *(f"--hash=sha256:{one}" for one in sorted(self.sums))]
        )


def read(path: Path) -> list[Pinned]:
    """Read all packages; a line that is not understood ends the build, since it might be one."""
    found = []
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        said, *sums = re.split(r"\s+--hash=sha256:", line.strip())
        match = _PINNED.fullmatch(said.strip())
        if match is None or not sums:
            raise SystemExit(f"{path.name} has a line that is not a version with its sums: {said}")
        found.append(
            Pinned(match["name"], match["version"], match["marker"], frozenset(map(str.strip, sums)))
        )
    return found


def wanted(path: Path, target: Target) -> list[Pinned]:
    """Read what one target has."""
    return [one for one in read(path) if one.is_wanted(target)]
