"""Writes what dpkg reads: the control file, the sums, the conffiles, the trigger and the maintainer scripts."""

import hashlib
from pathlib import Path

_CONTROL = """\
Package: site-gateway
Version: {version}
Architecture: {arch}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: python3 (>= 3.11), python3 (<< 3.14), libc6 (>= 2.31), libgcc-s1, \
systemd (>= 252), init-system-helpers (>= 1.54~), ca-certificates
Recommends: mosquitto
Suggests: avahi-daemon, unattended-upgrades
Section: net
Priority: optional
Description: gateway for people-counting cameras and face terminals
 Cameras and terminals push over HTTP. Every event is on disk before the device
 gets its answer, and goes on over MQTT and HTTPS, through outages and restarts.
 .
 The package brings the Python packages that it needs, and uses none of the
 machine's.
"""
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
_TRIGGER = "# A new release of the system brings another Python.\ninterest-noawait /usr/bin/python3\n"


def write(root: Path, version: str, arch: str, maintainer: str, scripts: Path) -> None:
    """Write the directory DEBIAN for what is in ``root`` now."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    units = root / "usr/lib/systemd/system"
    into = root / "DEBIAN"
    into.mkdir()
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    (into / "control").write_text(
        _CONTROL.format(version=version, arch=arch, maintainer=maintainer, size=size)
    )
    (into / "triggers").write_text(_TRIGGER)
    names = sorted(str(path.relative_to(root)) for path in files)
    (into / "md5sums").write_text("".join(f"{_sum(root / name)}  {name}\n" for name in names))
    (into / "conffiles").write_text("".join(f"/{name}\n" for name in names if name.startswith("etc/")))
    blanks = _blanks(root, sorted(units.glob("*")) if units.is_dir() else [])
    for name in SCRIPTS:
        text = (scripts / name).read_text()
        for blank, value in blanks.items():
            text = text.replace(blank, value)
        (into / name).write_text(text)
        (into / name).chmod(0o755)


def _blanks(root: Path, units: list[Path]) -> dict[str, str]:
    enabled = [unit.name for unit in units if "\n[Install]" in unit.read_text()]
    tmpfiles = " ".join(path.name for path in sorted(root.glob("usr/lib/tmpfiles.d/*")))
    return {
        "@UNITS@": " ".join(enabled),
        "@SOCKETS@": " ".join(name for name in enabled if name.endswith(".socket")),
        "@SYSUSERS@": " ".join(path.name for path in sorted(root.glob("usr/lib/sysusers.d/*"))),
        "@TMPFILES@": f"systemd-tmpfiles --create {tmpfiles} || true" if tmpfiles else ":",
    }


def _sum(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
