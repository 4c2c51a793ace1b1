"""A box for the tests of backups: a store with events and a sink, a configuration, secrets; and a new box to go to."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import sqlite3
import tarfile
from pathlib import Path

from click.testing import CliRunner
from keeping import FILE_NAME, access, count, counter, fill, opened

from gateway.backup import archive
from gateway.commands import main
from gateway.config import moving

GATEWAY = "lobby-1"
USER = 64991  # of the gateway, where `place` stands for the machine
JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 8 + b"\xff\xd9"


class Box:
    """One box: its folder stands for the whole machine."""

    def __init__(self, folder: Path, gateway: str | None = GATEWAY) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.store = folder, folder / "store"
        self.config = folder / "config.toml"
        self.text = f'[gateway]\nid = "{gateway}"\n\n[store]\npath = "{self.store}"\nmin_free_bytes = 0\n'
        if gateway is not None:
            self.config.write_text(self.text)

    def do(self, *words: str, status: int = 0, stdin: bytes | None = None) -> str:
        """Run a command and give what it said."""
        if words[0] == "restore" and not self.config.exists():
            words = ("restore", "--store", self.store, *words[1:])
        done = CliRunner().invoke(main, ["-c", str(self.config), *map(str, words)], input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert status == done.exit_code, done.output
        return done.output

    async def receive(self, first: int, last: int, *, deliver: int = 0) -> None:
        """Receive so many minutes of a counter and records of a terminal, and deliver some of all."""
        async with opened(self.store) as outbox:
            position = await outbox.sinks.enlist("sink", start="oldest", window=1000)
            await fill(outbox, [event(number) for number in range(first, last)])
            if deliver:
                await self._deliver(outbox, position, deliver)

    async def _deliver(self, outbox, position, upto: int) -> None:
        with contextlib.closing(sqlite3.connect(self.store / FILE_NAME)) as conn:
            taken = conn.execute(
                "SELECT seq, device FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (position.cursor, upto)
            )
            taken = taken.fetchall()
        position.settle(device for _, device in taken)
        position.cursor = taken[-1][0]
        await outbox.sinks.settle_now(position)

    def query(self, query: str, *values) -> list:
        with contextlib.closing(sqlite3.connect(self.store / FILE_NAME)) as conn:
            return conn.execute(query, values).fetchall()

    def picture(self, number: int = 0, *, more: bytes = b"") -> str:
        """Lay a picture there as the album does, named by an event that has come."""
        content = JPEG + bytes([number]) + more
        name = hashlib.sha256(content).hexdigest()
        (self.store / "pictures").mkdir(mode=0o700, exist_ok=True)
        (self.store / "pictures" / f"{name}.jpg").write_bytes(content)
        with contextlib.closing(sqlite3.connect(self.store / FILE_NAME, isolation_level=None)) as conn:
            conn.execute(
                "INSERT INTO pictures VALUES (?, ?, 'terminal-t', NULL, 1, 0, ?)",
                (name, f"e{number}", len(content)),
            )
        return name


def event(number: int):
    if number % 2:
        return access(number, personal={"mark": base64.b64encode(f"person {number % 7}".encode()).decode()})
    return count(number, number % 5, device=counter(f"counter-{number % 3}"))


def parts_of(file: Path) -> dict[str, bytes]:
    """Read a backup with Python's own reader, as a person with `tar` would."""
    with tarfile.open(file, "r:gz") as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def packed(parts: dict[str, bytes], *, infos=(), tail: bytes = b"") -> bytes:
    """Write a file that looks like a backup, with right sums and with what else a stranger puts in."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb") as zipped:
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
        for name, content in [*parts.items(), (archive.SUMS, json.dumps(sums).encode())]:
            if name == archive.SUMS:
                for info, more in infos:
                    zipped.write(info.tobuf(tarfile.GNU_FORMAT) + more + bytes(-len(more) % 512))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            zipped.write(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
        zipped.write(bytes(1024) + tail)
    return out.getvalue()


def odd(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def credentials_at(monkeypatch, folder: Path) -> Path:
    """Have the secrets of a box in its own folder."""
    folder.mkdir(mode=0o700, exist_ok=True)
    monkeypatch.setattr(moving, "CREDENTIALS", folder)
    monkeypatch.setattr(moving, "CERTIFICATES", folder.with_name(f"{folder.name}-certificates"))
    return folder


def about_of(parts: dict[str, bytes], **changed) -> dict[str, bytes]:
    """Have a backup say something else of itself."""
    return {**parts, archive.ABOUT: json.dumps({**json.loads(parts[archive.ABOUT]), **changed}).encode()}
