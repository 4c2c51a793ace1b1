"""Erase a person: in the store, among the pictures and the captures, with the daemon up or down.

What lies out of reach is said, each place in a sentence of its own.
"""

import errno
import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import structlog
from anyio import to_thread

from gateway import foreign
from gateway.album import FOLDER, Album, remove_files
from gateway.daemon import capture_file
from gateway.errors import GatewayError, StoreUnavailable
from gateway.outbox import Outbox, connection, erasing, opening, persons, positions, reading, replacing
from gateway.outbox.erasing import Found, Person
from gateway.outbox.offered import Had

log = structlog.get_logger()

CAPTURES = "captures"
# A larger file is not written anew while devices wait for their answers: on a memory card that takes minutes.
_COMPACT_LIVE_BYTES = 64 * 2**20
_CAPTURE_BYTES = 2 * capture_file.MOST_BYTES  # more than one that the gateway wrote can have
_SHORT = 4  # an id as short as this is only looked for where it is a whole value


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Whom to erase, and whether that is only asked."""

    person: str | None = None
    pseudonym: str | None = None
    device: str | None = None
    sure: bool = False  # False: only look

    @classmethod
    def of(cls, stated: Mapping[str, object]) -> "Wish":
        """Read a request; raises `GatewayError` when it names nobody, or two."""
        person, pseudonym, device = (
            str(stated[name]) if stated.get(name) else None for name in ("person", "pseudonym", "device")
        )
        if (person is None) == (pseudonym is None):
            raise GatewayError(
                "Name one person: --person with the id, or --pseudonym with that of a far end."
            )
        return cls(person=person, pseudonym=pseudonym, device=device, sure=bool(stated.get("sure")))


class Eraser:
    """Erases while the daemon runs."""

    def __init__(self, outbox: Outbox, album: Album) -> None:
        self._outbox = outbox
        self.album = album

    async def answer(self, stated: Mapping[str, object]) -> dict[str, object]:
        """Look for a person, and if that is wished remove what was found; say what was done and what was not."""
        wish, directory = Wish.of(stated), self._outbox.settings.directory
        # What is at its path now may be another store, with other numbers.
        if why := self._outbox.room.missing():
            raise StoreUnavailable(f"Nobody was looked for. {why}")
        person = await to_thread.run_sync(_whom, directory, wish)
        mask = masking(wish.person)
        found = await to_thread.run_sync(_look, directory, person, mask)
        captures = await to_thread.run_sync(_captures, directory, mask)
        if wish.sure:
            found = await self._outbox.rewriting.amend(
                lambda conn: erasing.erase(conn, person, found, mask), lambda found: found.seqs
            )
        # Now: what leaves from here on leaves without the person.
        had = self._outbox.sinks.had()
        if wish.sure:
            await self.album.sweep(found.pictures)
            await to_thread.run_sync(remove_files, captures)
        compacted = not wish.sure or await (self._compact() if found else self._fold())
        if wish.sure:
            _note(found, captures)
        return await to_thread.run_sync(_report, directory, wish, person, found, captures, compacted, had)

    async def _fold(self) -> bool:
        """Empty the WAL: what was said of somebody who is no longer in the store may still be legible there."""
        try:
            await self._outbox.rewriting.empty_wal()
        except StoreUnavailable as error:
            log.warning("store_not_compacted", reason=str(error))
            return False
        return True

    async def _compact(self) -> bool:
        size = self._outbox.path.stat().st_size
        try:
            if size <= _COMPACT_LIVE_BYTES:
                await self._outbox.rewriting.compact()
                return True
            await self._outbox.rewriting.empty_wal()
        except StoreUnavailable as error:
            log.warning("store_not_compacted", reason=str(error))
        return False


def erase_at_rest(directory: Path, max_bytes: int, stated: Mapping[str, object]) -> dict[str, object]:
    """Do the same while no daemon runs; raises `StoreUnavailable` when one does."""
    wish = Wish.of(stated)
    try:
        # Root would follow what the gateway's own user lays there, to remove and to write what he cannot.
        with foreign.as_owner(directory):
            return _open_and_erase(directory, max_bytes, wish)
    except OSError as error:
        raise StoreUnavailable(
            f"The store in {directory} cannot be used by its owner, or by who asks ({error.strerror})."
        ) from error


def _open_and_erase(directory: Path, max_bytes: int, wish: Wish) -> dict[str, object]:
    with reading.looking(directory):
        pass  # there is a store; opening it for writing would make one
    # A damaged store is for the daemon to mend, which tells a person of it.
    opened = opening.open_directory(directory, max_bytes, mend=False)
    try:
        return _erase_at_rest(opened.conn, directory, wish)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"The store in {directory} cannot be changed ({error}).") from error
    finally:
        opened.release()


def _erase_at_rest(conn: sqlite3.Connection, directory: Path, wish: Wish) -> dict[str, object]:
    person, mask = _whom(directory, wish), masking(wish.person)
    found, captures = erasing.find(conn, person, mask), _captures(directory, mask)
    if wish.sure:
        conn.execute("BEGIN IMMEDIATE")
        found = erasing.erase(conn, person, found, mask)
        conn.execute("COMMIT")
        remove_files([*captures, *(directory / FOLDER / f"{name}.jpg" for name in found.pictures)])
        if found:
            connection.compact(conn)
        else:
            connection.empty_wal(conn)
    # No line for the log: nobody has set one up, and it would stand in front of what the command prints.
    return _report(directory, wish, person, found, captures, compacted=True, driven={})


def masking(person: str | None) -> Callable[[bytes], bytes]:
    """Make what takes an id out of a body; the id is a word of its own there, or else it may be part of a number."""
    if not person:
        return lambda body: body
    spelled = {person, json.dumps(person)[1:-1]}
    words = b"|".join(re.escape(text.encode()) for text in sorted(spelled))
    if len(person) <= _SHORT:
        pattern = re.compile(rb"(?<=[\"'>])(?:%b)(?=[\"'<])" % words)
    else:
        pattern = re.compile(rb"(?<![\w-])(?:%b)(?![\w-])" % words)
    return lambda body: pattern.sub(b"***", body)


def _whom(directory: Path, wish: Wish) -> Person:
    with reading.looking(directory) as conn:
        key = bytes.fromhex(reading.meta(conn, "pseudonym_key") or "")
        if wish.pseudonym is None:
            return Person(key=key, stated=wish.person, device=wish.device)
        mark = erasing.mark_behind(conn, key, wish.pseudonym)
    if mark is None:
        raise GatewayError("Nobody in the store has this pseudonym at any sink.")
    return Person(key=key, mark=mark, device=wish.device)


def _look(directory: Path, person: Person, mask: erasing.Mask) -> Found:
    with closing(connection.open_reader(directory / connection.FILE_NAME)) as conn:
        return erasing.find(conn, person, mask)


def _captures(directory: Path, mask: erasing.Mask) -> list[Path]:
    """Name the captures that mention the person."""
    folder = directory / CAPTURES
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in folder.rglob("*") if mask(content := _content(path)) != content]


def _content(path: Path) -> bytes:
    """Give what a capture holds; nothing where no plain file lies, for that is none."""
    try:
        return foreign.read(path, _CAPTURE_BYTES)
    except FileNotFoundError:  # removed meanwhile
        return b""
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return b""


def _note(found: Found, captures: list[Path]) -> None:
    """Leave a trace that somebody was erased, and not who."""
    log.info(
        "person_erased",
        events=len(found.entries),
        letters=len(found.letters),
        held=len(found.held),
        pictures=len(found.pictures),
        captures=len(captures),
    )


def _report(
    directory: Path,
    wish: Wish,
    person: Person,
    found: Found,
    captures: list[Path],
    compacted: bool,
    driven: Mapping[str, Had],
) -> dict[str, object]:
    mark = person.mark or persons.mark_of(person.key, person.stated)
    with reading.looking(directory) as conn:
        had = erasing.delivered(conn, found.entries, driven)
        sinks = [
            {
                "name": name,
                "delivered": had.get(name, 0),
                "not_delivered": len(found.entries) - had.get(name, 0),
                "pseudonym": persons.pseudonym(person.key, name, mark),
            }
            for name in positions.all_names(conn)
        ]
    return {
        "found": bool(found or captures),
        "done": wish.sure,
        "events": len(found.entries),
        "letters": len(found.letters),
        "held": len(found.held),
        "pictures": len(found.pictures),
        "captures": len(captures),
        "sinks": sinks,
        "not_reached": _out_of_reach(directory, sinks, compacted),
    }


def _out_of_reach(directory: Path, sinks: list[dict[str, object]], compacted: bool) -> list[str]:
    told = [
        f"Sink {sink['name']} has had, or may have had, {sink['delivered']} of these events: ask its owner to remove"
        f" the person, who is {sink['pseudonym']} there, or the user id if the sink lists it."
        for sink in sinks
        if sink["delivered"]
    ]
    told.append("The terminals: remove the person there too, or the next record brings the person back.")
    told.append(f"Backups (`gateway backup`) and copies of {directory} that somebody made.")
    replaced = ", ".join(path.name for path in replacing.kept_aside(directory))
    if replaced:
        told.append(f"Stores that a restore set aside: remove {replaced} from {directory}.")
    aside = sorted(path.name for path in directory.glob(f"{connection.FILE_NAME}.*"))
    if aside:
        told.append(f"Damaged stores that were set aside: remove {', '.join(aside)} from {directory}.")
    if (directory / CAPTURES).is_symlink():
        told.append(f"Captures: {directory / CAPTURES} is a link, and nothing behind it was looked at.")
    if not compacted:
        told.append(
            "Remains in unused parts of the store's file, which is too large to be written anew while devices wait:"
            " stop the gateway and give this command once more."
        )
    told.append(
        "The journal: no line of the gateway names a person, but lines that are written cannot be changed."
    )
    told.append("Blocks that a memory card has put aside by itself.")
    return told
