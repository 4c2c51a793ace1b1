"""Puts our own code into the tree, with the version that the package has."""

import re
import shutil
from pathlib import Path

_VERSION = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)


def version(root: Path) -> str:
    """Read the version from the one place where it stands."""
    match = _VERSION.search((root / "gateway" / "__init__.py").read_text())
    if match is None:
        raise SystemExit("gateway/__init__.py does not say a version.")
    return match[1]


def copy(root: Path, pure: Path, named: str) -> None:
    """Copy the package; what Python leaves beside it stays behind."""
    shutil.copytree(
        root / "gateway", pure / "gateway", ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    )
    first = pure / "gateway" / "__init__.py"
    first.write_text(_VERSION.sub(f'__version__ = "{named}"', first.read_text()))
