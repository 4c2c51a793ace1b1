"""A minimal Debian with systemd: made once from this machine's own mirror, kept as a tar, unpacked per test."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "packaging"))

import debian_mirror  # noqa: E402 - the folder is on the path now

RELEASES = {"bookworm": "12", "trixie": "13"}
CACHE = ROOT / ".roots"

# Beside what minbase has: an init. All else must come by the dependencies of the package.
_INSTALLED = ("systemd", "systemd-sysv", "dbus")
# There is no network inside, so that nothing depends on it; apt finds in its cache what a box would load.
_LOADED = (
    "python3", "python3-venv", "mosquitto", "mosquitto-clients", "sudo", "avahi-daemon",
    "systemd-timesyncd", "ca-certificates", "iproute2",
)  # fmt: skip
_WANTED = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "unshare": "util-linux"}


def needs() -> None:
    """Skip where these tests cannot run by nature; fail where only something is missing that can be installed."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a root file system and boot it")
    for program, package in _WANTED.items():
        if shutil.which(program) is None:
            pytest.fail(f"{program} is not installed: apt-get install {package}, or make debian")
    tried = _run("unshare", "-m", "-p", "-f", "--kill-child", "mount", "--make-rprivate", "/")
    if tried.returncode:
        pytest.skip(f"this machine gives no namespaces: {tried.stderr.strip()}")


def unpack(release: str, into: Path) -> Path:
    """Give a fresh copy of the release's root, which is made first where it is not there yet."""
    needs()
    kept = _made(release)
    into.mkdir()
    done = _run("tar", "-xpf", str(kept), "-C", str(into), "--numeric-owner", "--xattrs-include=*")
    assert 0 == done.returncode, done.stderr
    (into / "etc/apt/apt.conf.d/no-network").write_text('Acquire::Retries "0";\n')
    (into / "etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n")  # the root is thrown away
    return into


def _made(release: str) -> Path:
    recipe = hashlib.sha256(repr((_INSTALLED, _LOADED)).encode()).hexdigest()[:8]
    kept = CACHE / f"{release}-{recipe}.tar"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{release}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers ask at the same time
        if not kept.exists():
            for old in CACHE.glob(f"{release}-*.tar*"):
                old.unlink()
            _make(release, kept)
    return kept


def _make(release: str, kept: Path) -> None:
    half = kept.with_suffix(".half.tar")
    recommends = "-o APT::Install-Recommends=true"  # as on a box
    load = f'chroot "$1" apt-get install -qy --download-only {recommends} {" ".join(_LOADED)}'
    done = _run(
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_INSTALLED)}", "--skip=cleanup/apt",
        *debian_mirror.words(), '--aptopt=Acquire::Languages "none";',
        f"--customize-hook={load}", release, str(half), debian_mirror.address(),
    )  # fmt: skip
    assert 0 == done.returncode, f"the root of {release} could not be made:\n{done.stderr[-3000:]}"
    half.rename(kept)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
