"""Which folders of a box do not last: what the gateway's unit has for itself there, or does not see at all."""

import os
from pathlib import Path

_EMPTIED = "the unit has a folder of its own there, which is emptied whenever the gateway ends"
_MEMORY = "it is in memory, and all is gone at the next start of the box"
_HIDDEN = "the unit sees nothing of the folders of people"
_PLACES = {
    **dict.fromkeys(("/tmp", "/var/tmp"), _EMPTIED),  # noqa: S108 - named to be refused
    **dict.fromkeys(("/dev", "/run"), _MEMORY),
    **dict.fromkeys(("/home", "/root"), _HIDDEN),
}


def fleeting(place: Path) -> str | None:
    """Say why the gateway's unit would lose a store there; None where it lasts."""
    for path in (Path(os.path.normpath(place)), Path(os.path.realpath(place))):
        for top, why in _PLACES.items():
            if path.is_relative_to(top):
                return why
    return None
