"""Puts the support archive together: each member within its own time and size, and a word on what is not in it.

It is made beside its place and moved there when it is whole, so that nobody mails half of one.
"""

import contextlib
import io
import json
import os
import platform
import sqlite3
import tarfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway import __version__, clock
from gateway.config.files import read_file
from gateway.doctor.box import Box
from gateway.doctor.bundle import figures, journal, readme, shown
from gateway.doctor.bundle.net import Net
from gateway.doctor.bundle.settings import settings
from gateway.doctor.finding import Finding
from gateway.doctor.preparing import within
from gateway.errors import GatewayError

MOST_BYTES = 10_000_000  # of all members together, before compression
_MEMBER_BYTES = 1_500_000
_MEMBER_S = 18.0  # the log takes the longest: to be read, then to be cleaned
_TOTAL_S = 40.0


@dataclass(slots=True)
class Packed:
    """What became of an archive."""

    file: Path
    members: dict[str, str] = field(default_factory=dict)  # name: its text
    lacking: list[str] = field(default_factory=list)  # sentences
    bytes: int = 0


def write(file: Path, box: Box, document: Mapping[str, object], findings: Sequence[Finding]) -> Packed:
    """Make the archive, readable for its owner alone; raises `GatewayError` when it cannot be written."""
    if file.exists():
        raise GatewayError(f"{file} is there already: choose another name, or remove it.")
    packed = Packed(file)
    net, end = Net(box.config, _raw(box)), clock.steady() + _TOTAL_S
    left = MOST_BYTES
    for name, limit, make in _members(box, document, findings):
        text = _made(packed, name, make, end)
        if text is not None:
            packed.members[name] = _cut(packed, name, net.cleaned(text), min(limit, left))
            left -= len(packed.members[name].encode())
    packed.members["README.txt"] = readme.text(list(packed.members), packed.lacking)
    _store(packed)
    return packed


def _members(
    box: Box, document: Mapping[str, object], findings: Sequence[Finding]
) -> list[tuple[str, int, Callable[[], str]]]:
    config = box.config
    asked: dict[str, Callable[[], object]] = {
        "status.json": lambda: shown.document(_status(box)),
        "account.json": lambda: shown.document(figures.account(config)),
        "sinks.json": lambda: shown.document(_named(figures.sinks(config))),
        "devices.json": lambda: shown.document(figures.devices(config)),
        "letters.json": lambda: shown.document(figures.letters(config)),
        "store.json": lambda: figures.store(config),
        "files.json": lambda: figures.files(config.store.path),
        "config.json": lambda: settings(config),
        "versions.json": lambda: _versions(box),
    }
    return [
        ("doctor.json", _MEMBER_BYTES, lambda: _json(shown.document(document))),
        ("doctor.txt", _MEMBER_BYTES, lambda: _lines(findings)),
        *((name, _MEMBER_BYTES, lambda give=give: _json(give())) for name, give in asked.items()),
        *([("config-mistakes.txt", _MEMBER_BYTES, lambda: _mistakes(box))] if box.problem else []),
        ("log.txt", journal.MOST_BYTES, journal.journal),
    ]


def _made(packed: Packed, name: str, make: Callable[[], str], end: float) -> str | None:
    """Make one member; note why it is not there."""
    said: list[str] = []

    def attempt() -> str:
        try:
            return make()
        except (GatewayError, sqlite3.Error, OSError, ValueError) as error:
            said.append(shown.sentence(str(error)) or type(error).__name__)
            return ""
        except Exception as bug:  # noqa: BLE001 - whatever goes wrong with one member, the others are wanted
            said.append(f"The gateway failed on it ({type(bug).__name__}).")
            return ""

    limit_s = max(min(_MEMBER_S, end - clock.steady()), 0.1)
    text = within(limit_s, attempt)
    if text is None:
        said.append(f"It did not come within {limit_s:.0f} s: something that it asks hangs.")
    if said:
        packed.lacking.append(f"{name}: {said[0]}")
        return None
    return text


def _cut(packed: Packed, name: str, text: str, limit: int) -> str:
    """Keep to the size; of a log the end is what matters."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    packed.lacking.append(f"{name}: cut to {max(limit, 0)} of {len(raw)} bytes.")
    kept = raw[len(raw) - limit :] if name == "log.txt" else raw[: max(limit, 0)]
    return kept.decode("utf-8", "ignore") if limit > 0 else ""


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _lines(findings: Sequence[Finding]) -> str:
    lines = []
    for finding in findings:
        one = shown.document(dict(finding.as_json()))
        if isinstance(one, dict):  # it always is; for the type checker
            mark = "!" if finding.code else "ok" if finding.known else "?"
            lines.append(f"{mark:<2} {one['check']}: {one['sentence']}")
            if finding.code:
                lines.append(f"   [{finding.code}] {one['subject']} do: {one['action']}")
    return "\n".join(lines) + "\n"


def _status(box: Box) -> object:
    if box.told is None:
        raise GatewayError(box.refused or "The gateway is not running.")
    # Who came to the port and is no device, and what is being captured, say nothing of the box.
    return _named({key: value for key, value in box.told.items() if key not in ("visitors", "captures")})


def _named(value: object) -> object:
    """Say the names of sinks, which the owner chose as words of the configuration; of devices a name may be a person's."""
    if isinstance(value, Mapping):
        inside = {key: _named(one) if key == "sinks" else one for key, one in value.items()}
        return {("sink" if key == "name" and "waiting" in value else key): one for key, one in inside.items()}
    return [_named(one) for one in value] if isinstance(value, list) else value


def _raw(box: Box) -> Mapping[str, object]:
    """Give a configuration that has mistakes as far as it can be read: its secrets are secrets all the same."""
    if not box.problem or box.path is None:
        return {}
    try:
        return tomllib.loads(read_file(box.path, _MEMBER_BYTES)[0].decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError, GatewayError):
        return {}


def _mistakes(box: Box) -> str:
    return "\n".join(shown.sentence(line) for line in box.problem.splitlines()) + "\n"


def _versions(box: Box) -> dict[str, object]:
    system = (line.partition("=") for line in (box.read("etc/os-release") or "").splitlines())
    names = {key: value.strip('"') for key, _, value in system}
    return {
        "gateway": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": names.get("PRETTY_NAME"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "model": (box.read("proc/device-tree/model") or "").strip("\0") or None,
        "load": box.read("proc/loadavg"),
        "uptime_s": (box.read("proc/uptime") or "").partition(" ")[0] or None,
        "memory": [
            line for line in (box.read("proc/meminfo") or "").splitlines() if line.startswith(("Mem", "Swap"))
        ],
        "time": clock.now().isoformat(timespec="seconds"),
        "user": os.geteuid(),
    }


def _store(packed: Packed) -> None:
    """Write, for the owner alone; with sudo the owner is who typed it, who will want to mail it."""
    made = packed.file.with_name(f".{packed.file.name}.{os.getpid()}")
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            _give_away(handle)
            with os.fdopen(handle, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
                for name in ("README.txt", *(name for name in packed.members if name != "README.txt")):
                    _add(archive, packed.file.name.partition(".")[0] or "doctor", name, packed.members[name])
            _put(made, packed.file)
            packed.bytes = packed.file.stat().st_size
        finally:
            made.unlink(missing_ok=True)
    except OSError as error:
        raise GatewayError(f"{packed.file} cannot be written: {error.strerror or error}.") from error


def _put(made: Path, file: Path) -> None:
    """Give it its name, never over a file that somebody has put there meanwhile."""
    try:
        os.link(made, file)
    except FileExistsError:
        raise
    except OSError:  # a stick with FAT has no second names
        made.rename(file)


def _add(archive: tarfile.TarFile, folder: str, name: str, text: str) -> None:
    raw = text.encode("utf-8", "replace")
    member = tarfile.TarInfo(f"{folder}/{name}")
    member.size, member.mode, member.mtime = len(raw), 0o600, int(time.time())
    archive.addfile(member, io.BytesIO(raw))


def _give_away(handle: int) -> None:
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and user.isdecimal() and group.isdecimal():
        with contextlib.suppress(OSError):
            os.fchown(handle, int(user), int(group))  # by its name it might be another file by now
