"""What a backup says of itself: whose it is, of when, and how far that store had got."""

import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass, fields

from gateway import clock
from gateway.errors import GatewayError
from gateway.outbox import reading, rfc3339

FORMAT = 1


class NotABackup(GatewayError):
    """This file is not a backup, or not all of one; nothing of it was used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How far a store has got."""

    lineage: str  # the same in a store and in its backups
    schema: int
    head: int
    received: int
    newest: int | None  # ms: the last receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The first member of a backup."""

    format: int
    gateway: str  # its id
    version: str
    taken: int  # ms
    lineage: str
    schema: int
    head: int
    received: int
    newest: int | None
    store_bytes: int
    secrets: bool

    def as_json(self) -> bytes:
        """Write it."""
        return json.dumps({**asdict(self), "taken_at": rfc3339(self.taken)}, indent=2).encode()


def figures_of(conn: sqlite3.Connection) -> Figures:
    """Read how far a store has got."""
    key = reading.meta(conn, "pseudonym_key") or ""
    return Figures(
        # Of 256 drawn bits nothing can be found out by their hash.
        lineage=hashlib.blake2b(key.encode(), digest_size=8, person=b"lineage").hexdigest(),
        schema=conn.execute("PRAGMA user_version").fetchone()[0],
        head=reading.head(conn),
        received=reading.received(conn),
        newest=reading.newest_receipt(conn),
    )


def about(figures: Figures, *, gateway: str, version: str, store_bytes: int, secrets: bool) -> About:
    """Say what a backup that is taken now holds."""
    return About(
        format=FORMAT,
        gateway=gateway,
        version=version,
        taken=clock.now_ms(),
        store_bytes=store_bytes,
        secrets=secrets,
        **asdict(figures),
    )


def read_about(text: bytes) -> About:
    """Read the first member; raises `NotABackup` for what no backup of ours says."""
    try:
        stated = json.loads(text)
        if not isinstance(stated, dict) or type(stated["format"]) is not int:
            raise NotABackup("This file does not say that it is a backup.")
        if stated["format"] != FORMAT:
            raise NotABackup(
                f"This backup has the format {stated['format']} of a newer gateway: install the newer gateway first."
            )
        kinds = {field.name: field.type for field in fields(About)}
        said = {name: stated[name] for name in kinds}
    except (ValueError, KeyError, RecursionError) as error:
        raise NotABackup("This file does not say that it is a backup.") from error
    for name, kind in kinds.items():
        value = said[name]
        fits = isinstance(value, str if kind is str else bool if kind is bool else int)
        if not fits and not (name == "newest" and value is None):
            raise NotABackup(f"The backup does not say its {name}.")
        if isinstance(value, int) and not 0 <= value < 2**53:
            raise NotABackup(f"The backup says a {name} that cannot be.")
        if isinstance(value, str) and not (0 < len(value) <= 200 and value.isprintable()):
            raise NotABackup(f"The backup says a {name} that cannot be.")
    return About(**said)
