"""Puts together what one package holds."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from deb import control, documents, licences, lock, own, tree, wheels
from deb.targets import PYTHONS, Target

_HERE = Path(__file__).parent
_UNITS = ("*.service", "*.socket", "*.timer", "*.path", "*.target")


@dataclass(frozen=True)
class Package:
    """What is to be built, from which tree."""

    root: Path
    arch: str
    version: str
    maintainer: str
    second: int  # the date of all files


def stage(package: Package, into: Path, kept: Path) -> None:
    """Write all files of the package into ``into``; wheels are looked for, and kept, in ``kept``."""
    shutil.copytree(_HERE / "files", into)
    base = into / "usr/lib/site-gateway"
    targets = [Target(package.arch, python) for python in PYTHONS]
    locked = package.root / "requirements.lock"
    tree.spread({one: wheels.fetch(lock.wanted(locked, one), one, kept) for one in targets}, base)
    share = into / "usr/share"
    (share / "doc/site-gateway").mkdir(parents=True)
    (share / "doc/site-gateway/copyright").write_text(licences.render(base))
    own.copy(package.root, base / "pure", package.version)
    tree.check(base)
    _units(package.root / "systemd", into / "usr/lib")
    documents.write(package.root, share, package.version, package.maintainer, package.second)
    control.write(into, package.version, package.arch, package.maintainer, _HERE / "maintainer")


def _units(systemd: Path, lib: Path) -> None:
    for pattern in _UNITS:
        for unit in sorted(systemd.glob(pattern)):
            _copy(unit, lib / "systemd/system")
    for kind in ("sysusers.d", "tmpfiles.d"):
        for snippet in sorted((systemd / kind).glob("*.conf")):
            _copy(snippet, lib / kind)


def _copy(file: Path, into: Path) -> None:
    into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, into / file.name)
