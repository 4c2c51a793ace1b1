"""Writes the changelog in the form that Debian's tools read, from the one that people read."""

import re
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

_RELEASE = re.compile(r"^## (?P<version>\S+) \((?P<when>[^)]*)\)$", re.MULTILINE)


def render(path: Path, version: str, maintainer: str, second: int) -> str:
    """Give the newest releases; the first bears the package's version and second."""
    parts = _RELEASE.split(path.read_text())[1:]
    entries = []
    for place in range(0, len(parts), 3):
        said, when, body = parts[place : place + 3]
        newest = place == 0
        at = (
            datetime.fromtimestamp(second, UTC)
            if newest
            else datetime.fromisoformat(when).replace(tzinfo=UTC)
        )
        entries.append(_entry(version if newest else said, body, maintainer, at))
    return "\n".join(entries)


def _entry(version: str, body: str, maintainer: str, at: datetime) -> str:
    lines = [line[2:] for line in body.splitlines() if line.startswith("- ")]
    told = "\n".join(
        textwrap.fill(line, 78, initial_indent="  * ", subsequent_indent="    ") for line in lines
    )
    return f"site-gateway ({version}) stable; urgency=medium\n\n{told}\n\n -- {maintainer}  {format_datetime(at)}\n"
