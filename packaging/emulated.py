"""Install the package of another architecture in a Debian of that architecture, under emulation, and use it.

Needs root, a Debian mirror (the one this machine uses) and the packages mmdebstrap, qemu-user-static and binfmt-support; it
says what is missing. The root is made once, in some minutes, and kept below .deb/roots.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import debian_mirror

ROOT = Path(__file__).parents[1]
_BINFMT = Path("/proc/sys/fs/binfmt_misc")
_QEMU = {"arm64": "qemu-aarch64", "armhf": "qemu-arm"}
_WANTED = {"mmdebstrap": "mmdebstrap", "update-binfmts": "binfmt-support"}
_INSTALLED = "systemd,systemd-sysv,dbus,python3,ca-certificates,procps"
_PATIENCE_S = 600.0  # an emulated Python starts slowly, and a loaded machine makes it slower


def main() -> None:
    """Do it for one architecture and one release."""
    arch, release = (*sys.argv[1:], "arm64", "bookworm")[:2] if len(sys.argv) > 1 else ("arm64", "bookworm")
    package = _package(ROOT / "dist", arch)
    _ready(arch)
    kept = _root(arch, release)
    with tempfile.TemporaryDirectory(prefix=f"gateway-{arch}-") as place:
        box = Path(place)
        _run("tar", "-xpf", str(kept), "-C", place, "--numeric-owner")
        _run("mount", "-t", "proc", "proc", str(box / "proc"))
        try:
            _use(box, package)
        finally:
            _run("umount", "--lazy", str(box / "proc"))
    print(f"{datetime.now(UTC).date()}: {package.name} works on Debian {release}, emulated.")


def _package(dist: Path, arch: str) -> Path:
    """Give the package that was built last: other versions may lie beside it."""
    built = sorted(dist.glob(f"site-gateway_*_{arch}.deb"), key=lambda one: one.stat().st_mtime)
    if not built:
        raise SystemExit(f"There is no package for {arch} in dist/: run `make deb ARCHES={arch}` first.")
    return built[-1]


def _ready(arch: str) -> None:
    """End with a sentence where this cannot run."""
    if os.geteuid() != 0:
        raise SystemExit("Only root can make a root of another architecture: run it with sudo.")
    missing = [package for program, package in _WANTED.items() if shutil.which(program) is None]
    missing += (
        [] if shutil.which(f"{_QEMU[arch]}-static") or shutil.which(_QEMU[arch]) else ["qemu-user-static"]
    )
    if missing:
        raise SystemExit(f"Install {' '.join(missing)} first.")
    if not (_BINFMT / "register").exists():
        mount = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(_BINFMT)]
        tried = subprocess.run(mount, capture_output=True, check=False)  # noqa: S603 - fixed
        if tried.returncode:
            raise SystemExit(
                "This kernel cannot start programs of other architectures: it has no binfmt_misc."
            )
    if not (_BINFMT / _QEMU[arch]).exists():
        _run("update-binfmts", "--enable", _QEMU[arch])


def _root(arch: str, release: str) -> Path:
    kept = ROOT / f".deb/roots/{release}-{arch}.tar"
    if not kept.exists():
        print(f"Making the root of Debian {release} for {arch}; this takes minutes, once.", flush=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        half = kept.with_suffix(".half.tar")
        what = ["--quiet", f"--architectures={arch}", "--variant=minbase", f"--include={_INSTALLED}"]
        # One archive alone: where that of security is just being renewed, nothing could be made.
        _run("mmdebstrap", *what, *debian_mirror.words(), release, str(half), debian_mirror.address())
        half.rename(kept)
    return kept


def _use(box: Path, package: Path) -> None:
    """Install, start, push one event, and read it back."""
    shutil.copy(package, box / "tmp")
    began = time.monotonic()
    _inside(box, "dpkg", "--install", f"/tmp/{package.name}")  # noqa: S108 - the box's own, nobody else is in it
    print(
        f"installed in {time.monotonic() - began:.1f} s on {_inside(box, 'uname', '-m').strip()}", flush=True
    )
    print(_inside(box, "gateway", "version").strip().replace("\n", ", "), flush=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (box / "etc/gateway/config.toml").write_text(
        f'[clock]\ntrust = "plausible"\n[listen]\nhost = "127.0.0.1"\nport = {port}\n'
        '[sinks.away]\ntype = "https"\nendpoint = "https://127.0.0.1:9/"\n'
    )
    for place in ("var/lib/gateway", "run/gateway"):
        _inside(box, "install", "-d", "-o", "gateway", "-g", "gateway", f"/{place}")
    daemon = subprocess.Popen(["chroot", "--userspec=gateway:gateway", box, "gateway", "run"])  # noqa: S603, S607 - fixed
    try:
        _wait(port, daemon)
        print(f"answers after {time.monotonic() - began:.1f} s", flush=True)
        push = [
            "simulate",
            "counter",
            "--to",
            f"http://127.0.0.1:{port}/",
            "--speed",
            "0",
            "--minutes",
            "1",
            "--seed",
            "1",
        ]
        _inside(box, "gateway", *push)
        told = json.loads(_inside(box, "gateway", "account", "--json"))
        print(json.dumps(told)[:400], flush=True)
        if not told or not all(one["balanced"] and one["total"]["received"] for one in told):
            raise SystemExit("The account does not have what was pushed.")
    finally:
        daemon.terminate()
        daemon.wait(120)


def _wait(port: int, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and daemon.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.5)
    raise SystemExit("The gateway did not answer.")


def _inside(box: Path, *words: str) -> str:
    return _run("chroot", str(box), *words)


def _run(*words: str) -> str:
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **env})  # noqa: S603 - fixed
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
