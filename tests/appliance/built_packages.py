"""The package of this tree, and one with earlier code as its predecessor; made once for a state of the tree."""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from debian_root import CACHE, ROOT

_PREVIOUS = "0.0.9"
# There is no release yet. This is the first code that was whole with all that today's units ask for (sockets, credentials,
# reload), so the predecessor keeps today's units. Still older code on a store of today's: tests/system/test_earlier_code.py.
_EARLIER = "1af7228b95"
_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "armhf")
_SOURCES = ("gateway", "packaging", "systemd", "requirements.lock", "docs", "config.example.toml", "LICENSE")


class Packages(NamedTuple):
    previous: Path
    current: Path
    told: str  # whose code the previous one has


def packages() -> Packages:
    """Give both, built anew when a file that goes into them changed."""
    into = CACHE / f"packages-{_state()}"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers ask at the same time
        if not (into / "current").exists():
            for old in CACHE.glob("packages-*"):
                _run("rm", "-rf", str(old))
            _build(into / "half")
            _call_itself(_PREVIOUS, next((into / "half").glob("*.deb")), into)
            (into / "half").rename(into / "current")
    previous, current = (next((into / name).glob("*.deb")) for name in ("previous", "current"))
    return Packages(previous, current, (into / "previous/told").read_text())


def source(into: Path, wheels: Path) -> None:
    """Lay the source of this tree into a folder, and beside it what its installation loads from the package index."""
    into.mkdir()
    for name in (*_SOURCES, "pyproject.toml", "README.md", "CHANGELOG.md"):
        place = ROOT / name
        if place.is_dir():
            shutil.copytree(place, into / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, into / name)
    shutil.copytree(_wheels(), wheels)


def _wheels() -> Path:
    """Load the locked packages for both Pythons, and what builds ours, once for a lock."""
    lock_file = ROOT / "requirements.lock"
    kept = CACHE / f"wheels-{hashlib.sha256(lock_file.read_bytes()).hexdigest()[:8]}"
    load = (sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", str(kept))
    platforms = [f"--platform={name}_{platform.machine()}" for name in ("manylinux2014", "manylinux_2_28")]
    locked = ("--no-deps", "--require-hashes", "--implementation=cp", *platforms, "-r", str(lock_file))
    with (CACHE / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / "all").exists():
            _run(*load, "hatchling")
            for python in ("3.11", "3.13"):
                _run(*load, f"--python-version={python}", *locked)
            (kept / "all").touch()
    return kept


def _build(into: Path) -> None:
    _run(sys.executable, "-B", "-m", "deb", _ARCH, "--into", str(into), "--level", "1")


def _call_itself(version: str, package: Path, into: Path) -> None:
    """Write the package under another version and with earlier code; built once more it would be compressed for long."""
    tree = into / "tree"
    _run("dpkg-deb", "-R", str(package), str(tree))
    told = _go_back(tree / "usr/lib/site-gateway/pure")
    own = tree / "usr/lib/site-gateway/pure/gateway/__init__.py"
    own.write_text(re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{version}"', own.read_text()))
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {version}", control.read_text()))
    (into / "previous").mkdir()
    (into / "previous/told").write_text(told)
    name = into / "previous" / f"site-gateway_{version}_{_ARCH}.deb"
    _run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(tree), str(name))
    shutil.rmtree(tree)


def _go_back(pure: Path) -> str:
    """Put the earlier code in the place of today's where git has it; say whose code it is, and why."""
    done = subprocess.run(("git", "archive", _EARLIER, "gateway"), capture_output=True, check=False, cwd=ROOT)
    if done.returncode:
        return f"the previous package has today's code, git has no {_EARLIER}: {done.stderr.decode().strip()}"
    shutil.rmtree(pure / "gateway")
    subprocess.run(("tar", "-x", "-C", str(pure)), input=done.stdout, check=True)
    return f"the previous package has the code of {_EARLIER}"


def _run(*words: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "packaging")}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    assert 0 == done.returncode, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"


def _state() -> str:
    digest = hashlib.sha256(_EARLIER.encode())
    for source in _SOURCES:
        place = ROOT / source
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file} ".encode() + file.read_bytes())
    return digest.hexdigest()[:12]
