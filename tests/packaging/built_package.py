"""One package of this tree, unpacked, for all tests that look into it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PARTS = ("gateway", "systemd", "docs", "packaging")
_FILES = ("requirements.lock", "config.example.toml", "CHANGELOG.md", "SECURITY.md")


def snapshot(into: Path) -> Path:
    """Copy what goes into a package, so that both builds see the same."""
    for part in _PARTS:
        shutil.copytree(ROOT / part, into / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in _FILES:
        shutil.copy(ROOT / file, into)
    return into


def build(tree: Path, into: Path, *words: str, second: int = 1_795_000_000) -> Path:
    """Build the package for amd64 as `make deb` does; wheels are kept where `make deb` keeps them."""
    env = {**os.environ, "PYTHONPATH": f"{tree / 'packaging'}:{tree}", "SOURCE_DATE_EPOCH": str(second)}
    command = [sys.executable, "-B", "-m", "deb", "amd64", "--into", str(into), "--level", "1"]
    command += ["--wheels", str(ROOT / ".deb/wheels"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tree, env=env)
    assert 0 == done.returncode, done.stdout + done.stderr
    return next(into.glob("*.deb"))
