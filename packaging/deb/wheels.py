"""Gets the wheels of a target: from the folder where they are kept, else by pip as it is set up on this machine."""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deb.lock import Pinned
from deb.targets import Target


def fetch(pinned: list[Pinned], target: Target, kept: Path) -> list[Path]:
    """Give one wheel for each package, in the order of the lock, each with a sum that the lock names."""
    kept.mkdir(parents=True, exist_ok=True)
    missing = [one for one in pinned if _kept(one, target, kept) is None]
    if missing:
        _download(missing, target, kept)
    found = [_kept(one, target, kept) for one in pinned]
    lacking = [one.name for one, wheel in zip(pinned, found, strict=True) if wheel is None]
    if lacking:
        raise SystemExit(f"No wheel for {target.arch} and Python {target.python}: {', '.join(lacking)}.")
    return [wheel for wheel in found if wheel is not None]


def _kept(one: Pinned, target: Target, kept: Path) -> Path | None:
    for wheel in _named(one, kept):
        if target.runs(wheel.name) and hashlib.sha256(wheel.read_bytes()).hexdigest() in one.sums:
            return wheel
    return None


def _named(one: Pinned, kept: Path) -> Iterator[Path]:
    wanted = (one.name.replace("-", "_").lower(), one.version)
    for wheel in sorted(kept.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if wanted == (name.replace(".", "_").lower(), version):
            yield wheel


def _download(missing: list[Pinned], target: Target, kept: Path) -> None:
    print(f"{target.arch}, Python {target.python}: fetching {len(missing)} wheels", flush=True)
    with tempfile.TemporaryDirectory(dir=kept) as fresh:
        lines = Path(fresh, "lines.txt")
        lines.write_text("\n".join(one.line for one in missing))
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", target.python]
        command += [word for platform in target.platforms for word in ("--platform", platform)]
        command += ["--abi", target.abi, "--abi", "abi3", "--abi", "none"]
        done = subprocess.run([*command, "--dest", fresh, "--requirement", str(lines)], check=False)  # noqa: S603 - our own pip
        for wheel in Path(fresh).glob("*.whl"):
            wheel.replace(kept / wheel.name)  # whole or not at all: another build may look at the same moment
    if done.returncode:
        raise SystemExit(
            f"pip could not fetch the wheels for {target.arch} and Python {target.python} (see above). The first "
            "build needs the package index that pip is set up with; later ones find the wheels in "
            + str(kept)
        )
