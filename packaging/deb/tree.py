"""Lays the wheels out as the package has them: what every Python reads once, what is native per Python."""

import shutil
import zipfile
from pathlib import Path

from deb.targets import Target, is_pure

_SOURCES = (".pyx", ".pxi", ".pxd", ".h", ".c", ".rst", ".pyi")  # for people who compile against a package
_RECORDS = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")  # what was left out is in them


def spread(wheels: dict[Target, list[Path]], base: Path) -> None:
    """Unpack the wheels of one architecture into ``pure`` and one directory per Python."""
    pure = {target: [wheel.name for wheel in each if is_pure(wheel.name)] for target, each in wheels.items()}
    first = next(iter(pure))
    for target, names in pure.items():
        if names != pure[first]:
            other = sorted(set(names) ^ set(pure[first]))
            raise SystemExit(
                f"Python {first.python} and {target.python} do not share the same pure packages: {', '.join(other)}. "
                "The layout with one directory for all of them no longer holds."
            )
    for wheel in wheels[first]:
        if is_pure(wheel.name):
            unpack(wheel, base / "pure")
    for target, each in wheels.items():
        for wheel in each:
            if not is_pure(wheel.name):
                unpack(wheel, base / target.abi)


def unpack(wheel: Path, into: Path) -> None:
    """Unpack one wheel without what a daemon never needs."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.split("/")[0].endswith(".data"):
                raise SystemExit(
                    f"{wheel.name} has a part for other places ({name}), which is not laid out here."
                )
            if name.endswith("/") or not _is_needed(name):
                continue
            place = into / name
            if not place.resolve().is_relative_to(into.resolve()):
                raise SystemExit(f"{wheel.name} would write outside of its directory: {name}")
            if place.exists():
                raise SystemExit(f"{wheel.name} brings a file that another package has brought: {name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, place.open("wb") as file:
                shutil.copyfileobj(source, file)


def _is_needed(name: str) -> bool:
    parts = name.split("/")
    if parts[0].endswith(".dist-info"):
        return parts[-1] not in _RECORDS
    return not ("tests" in parts[:-1] or name.startswith("lxml/includes/") or name.endswith(_SOURCES))


def check(base: Path) -> None:
    """End the build when the tree holds what must never be on a box."""
    for path in base.rglob("*"):
        if (
            path.name in {"pip", "setuptools", "wheel"}
            or path.name.endswith(".data")
            or path.suffix == ".pth"
        ):
            raise SystemExit(f"{path.relative_to(base)} must not be in the package.")
        if path.name == "__pycache__":
            raise SystemExit(
                f"{path.relative_to(base)} was made while building: the package would not be the same twice."
            )
