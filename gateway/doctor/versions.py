"""Which versions run here, and whether what runs is what is installed."""

import platform
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import gateway
from gateway.doctor.box import Box, Check, there, well, wrong
from gateway.doctor.finding import Finding

NAME = "versions"


def look(box: Box) -> Iterable[Finding]:
    """Name the versions; a daemon that was not restarted after an upgrade still runs the old one."""
    running = gateway.__version__ if box.inside else str((box.told or {}).get("version", ""))
    on_disk = installed() if box.inside else gateway.__version__
    if running and on_disk and running != on_disk:
        yield wrong(NAME, "restart_needed", f"The gateway that runs is {running}; installed is {on_disk}.")
    else:
        yield well(NAME, f"gateway {gateway.__version__}, {_below(box)}.")
    if there(box.system("run/reboot-required")):
        yield wrong(
            NAME, "reboot_needed", "An update of the system takes effect when the box is started anew."
        )


def installed() -> str:
    """Read the version of the code on disk, which may be newer than the code in memory."""
    try:
        text = Path(str(gateway.__file__)).read_text("utf-8")
    except OSError:  # it is being replaced right now
        return ""
    found = re.search(r'(?m)^__version__ = "([^"]+)"', text)
    return found[1] if found else ""


def _below(box: Box) -> str:
    release = re.search(r'(?m)^PRETTY_NAME="?([^"\n]*)', box.read("etc/os-release") or "")
    system = release[1] if release else platform.system()
    python = platform.python_version()
    return f"Python {python}, SQLite {sqlite3.sqlite_version}, {system}, kernel {platform.release()} ({platform.machine()})"


CHECK = Check(NAME, look, frozenset({"restart_needed", "reboot_needed"}), cheap=True)
