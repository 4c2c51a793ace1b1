"""Makes the .deb of a directory, the same bytes from the same content."""

import os
import subprocess
from pathlib import Path


def epoch(root: Path) -> int:
    """Give the second that all files bear: the last commit's, or, where there is no git, the changelog's."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    except FileNotFoundError:
        return int((root / "CHANGELOG.md").stat().st_mtime)
    return int(said.stdout) if said.stdout.strip() else int((root / "CHANGELOG.md").stat().st_mtime)


def pack(root: Path, into: Path, second: int, level: int) -> None:
    """Give every file its mode and its second, and pack; ``level`` is that of xz."""
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
        elif not path.is_symlink():
            program = path.parent == root / "usr/bin" or (
                path.parent == root / "DEBIAN" and path.stat().st_mode & 0o100
            )
            path.chmod(0o755 if program else 0o644)
        os.utime(path, (second, second), follow_symlinks=False)
    into.parent.mkdir(parents=True, exist_ok=True)
    command = [
        "dpkg-deb",
        "--root-owner-group",
        "--threads-max=1",
        "-Zxz",
        f"-z{level}",
        "--build",
        str(root),
        str(into),
    ]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(second)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - a fixed command
