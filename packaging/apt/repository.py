"""Lays packages out as apt looks for them, and signs the list of them."""

import gzip
import shutil
import subprocess
from pathlib import Path

ARCHES = ("amd64", "arm64", "armhf")
ORIGIN = "site-gateway"  # what unattended-upgrades is told to take from; see docs/operate.md
SUITE = "stable"
KEYRING = "site-gateway.gpg"


def build(into: Path, packages: list[Path], key: str) -> None:
    """Add the packages, list all that are there, and sign; older versions stay, to go back to."""
    pool, lists = into / "pool", into / "dists" / SUITE
    pool.mkdir(parents=True, exist_ok=True)
    for package in packages:
        _add(package, pool)
    if lists.exists():
        shutil.rmtree(lists)
    for arch in ARCHES:
        place = lists / f"main/binary-{arch}"
        place.mkdir(parents=True)
        text = _run(["apt-ftparchive", "--arch", arch, "packages", "pool"], at=into)
        (place / "Packages").write_bytes(text)
        (place / "Packages.gz").write_bytes(gzip.compress(text, 9, mtime=0))
    _release(into, lists)
    _sign(lists, key)
    (into / KEYRING).write_bytes(_run(["gpg", "--batch", "--export", key], at=into))


def _add(package: Path, pool: Path) -> None:
    place = pool / package.name
    if place.exists() and place.read_bytes() != package.read_bytes():
        raise SystemExit(
            f"{package.name} is in the repository with another content. Boxes that have it would never get the "
            "new one: build it with a higher version."
        )
    if not place.exists():
        shutil.copyfile(package, place)


def _release(into: Path, lists: Path) -> None:
    said = {
        "Origin": ORIGIN,
        "Label": "Site Gateway",
        "Suite": SUITE,
        "Codename": SUITE,
        "Components": "main",
        "Architectures": " ".join(ARCHES),
    }
    options = [
        word for name, value in said.items() for word in ("-o", f"APT::FTPArchive::Release::{name}={value}")
    ]
    text = _run(["apt-ftparchive", *options, "release", str(lists.relative_to(into))], at=into)
    (lists / "Release").write_bytes(text)


def _sign(lists: Path, key: str) -> None:
    gpg = ["gpg", "--batch", "--yes", "--digest-algo", "SHA512", "--local-user", key]
    _run([*gpg, "--clearsign", "--output", "InRelease", "Release"], at=lists)
    _run([*gpg, "--armor", "--detach-sign", "--output", "Release.gpg", "Release"], at=lists)


def _run(command: list[str], *, at: Path) -> bytes:
    try:
        done = subprocess.run(command, cwd=at, capture_output=True, check=False)  # noqa: S603 - fixed commands
    except FileNotFoundError:
        owner = {"gpg": "gpg", "apt-ftparchive": "apt-utils"}[command[0]]
        raise SystemExit(f"{command[0]} is missing: install the package {owner} first.") from None
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stderr.decode(errors='replace')}")
    if not done.stdout and "--output" not in command and command[0] == "gpg":
        raise SystemExit("gpg knows no public key by that fingerprint.")
    return done.stdout
