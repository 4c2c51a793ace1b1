"""Take one person out of the store. The facts stay and every account balances: a door that opened has opened.

The log keeps its entries, without the person and marked, so that the same record, sent again by its terminal,
neither counts again nor brings the person back.
"""

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.event import Json
from gateway.outbox import damage, offered, persons, pictures, positions, reading, statements
from gateway.outbox.connection import one_look
from gateway.outbox.entry import Flag, dumps
from gateway.outbox.nameless import body_without_person, data_without_person
from gateway.outbox.offered import Had
from gateway.outbox.positions import Position
from gateway.outbox.slots import IS_FACT
from gateway.outbox.sums import CHECKED_COLUMNS, checked, of_event, with_flag

# What is measured of a person, or said about many: nobody is found by it.
_NO_NAME = frozenset({
    "gender", "gender_seen", "age", "age_range", "temperature", "mask", "score", "guest_time", "groups", "remark",
    "description",
    persons.MARK, persons.FORGOTTEN,
})  # fmt: skip

_NEWEST_BUT = "SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET ?"

_META = "persons_erased"
# What the disk has damaged is no JSON any more, and must not end a look at the rest.
_ID_OF_LETTER = "CASE WHEN json_valid(head) THEN json_extract(head, '$.id') END"
_ID_OF_HELD = "CASE WHEN json_valid(event) THEN json_extract(event, '$.id') END"
_IN_LETTER = "CASE WHEN json_valid(head) THEN json_extract(head, '$.flags') END"
_IN_HELD = f"CASE WHEN json_valid(event) THEN json_extract(event, '$.personal.{persons.FORGOTTEN}') END"
_ERASED = (
    f"SELECT id FROM events WHERE flags & {Flag.ERASED:d}",
    f"SELECT {_ID_OF_LETTER} FROM letters WHERE stage = 'deliver' AND {_IN_LETTER} & {Flag.ERASED:d}",
    f"SELECT {_ID_OF_HELD} FROM held WHERE {_IN_HELD}",
    f"SELECT NULL FROM meta WHERE key = '{_META}'",
)
_AMONG = "IN (SELECT value FROM json_each(?))"
_REFUSED = f"SELECT number, head FROM letters WHERE stage = 'deliver' AND {_ID_OF_LETTER} {_AMONG}"
_WAITING = f"SELECT number, event FROM held WHERE {_ID_OF_HELD} {_AMONG}"

Mask = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom to look for."""

    key: bytes  # what marks are made with
    stated: str | None = None  # the id that the terminals know
    mark: str | None = None  # known instead of it when a far end's pseudonym was given
    device: str | None = None  # only what this device said

    def is_in(self, personal: Mapping[str, Json]) -> bool:
        """Say whether these personal fields are about the person."""
        mark = self.mark or (None if self.stated is None else persons.mark_of(self.key, self.stated))
        if mark == persons.mark_in(self.key, personal):
            return True
        return self.stated is not None and self.stated in _ids(personal)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the store about a person."""

    entries: Sequence[tuple[int, str, str]] = ()  # seq, id, device
    letters: Mapping[int, tuple[str, bytes]] = field(
        default_factory=dict
    )  # number: head and body without them
    held: Mapping[int, str] = field(default_factory=dict)  # number: event without them
    pictures: Sequence[str] = ()  # files
    head: int = 0  # what came after it was not looked at
    letter: int = 0  # and this is the newest letter that was

    @property
    def seqs(self) -> set[int]:
        """Give the numbers in the log of all that can be on its way to a sink, also of refused events."""
        heads = (json.loads(head) for head, _ in self.letters.values())
        refused = {head["seq"] for head in heads if "seq" in head}
        return {seq for seq, _, _ in self.entries} | refused

    def __bool__(self) -> bool:
        return bool(self.entries or self.letters or self.held or self.pictures)


def _ids(value: Json) -> Iterator[str]:
    """Give every text and whole number by which a person can be named, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _NO_NAME:
                yield from _ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _ids(inner)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)


def find(conn: sqlite3.Connection, person: Person, mask: Mask, *, after: int = 0) -> Found:
    """Look through the whole store; ``mask`` takes the person out of a body that nobody could read."""
    head = reading.head(conn)
    letter = conn.execute("SELECT coalesce(max(number), 0) FROM letters").fetchone()[0]
    return Found(
        list(_entries(conn, person, after)),
        _letters(conn, person, mask, after=0),
        _held(conn, person),
        _pictures(conn, person),
        head,
        letter,
    )


def erase(conn: sqlite3.Connection, person: Person, found: Found, mask: Mask) -> Found:
    """Take out what was found, and what came since, inside the running transaction; say what it was."""
    late = list(_entries(conn, person, found.head))
    entries = [*found.entries, *late]
    note(conn)
    held = {**found.held, **_held(conn, person)}
    letters = {**found.letters, **_letters(conn, person, mask, after=found.letter)}
    for seq, name, device in entries:
        _strip(conn, seq, name, device)
    conn.executemany(
        "UPDATE letters SET head = ?, body = ? WHERE number = ?",
        [(head, body, number) for number, (head, body) in letters.items()],
    )
    conn.executemany(
        "UPDATE held SET event = ? WHERE number = ?",
        [(event, number) for number, event in held.items()],
    )
    gone = {*pictures.of_events(conn, sorted({name for _, name, _ in entries}))}
    for name in _pictures(conn, person):
        gone.add(name)
        conn.execute(
            "DELETE FROM pictures WHERE hash = ?1 AND (?2 IS NULL OR device = ?2)", (name, person.device)
        )
    return Found(entries, letters, held, sorted({*gone, *found.pictures}), found.head, found.letter)


def erase_events(conn: sqlite3.Connection, names: Iterable[str]) -> tuple[int, list[str]]:
    """Take whoever is in these events out, inside the running transaction; give how many, and the pictures' files."""
    told: set[str] = set()
    for name in names:
        for seq, device in conn.execute(
            f"SELECT seq, device FROM events WHERE {IS_FACT}", (name,)
        ).fetchall():
            _strip(conn, seq, name, device)
            told.add(name)
    return len(told), pictures.of_events(conn, sorted(told))


def erased_ids(conn: sqlite3.Connection) -> set[str] | None:
    """Give the ids of all that is here and was erased: in the log, among the refused events and the held ones.

    None when nobody ever was; who may have been in what the disk has damaged counts as somebody.
    """
    found: set[str | None] = set()
    for where in _ERASED:
        try:
            found.update(row[0] for row in conn.execute(where))
        except damage.READ_ERRORS:
            found.add(None)
    return {name for name in found if name is not None} if found else None


def erase_waiting(conn: sqlite3.Connection, names: Collection[str]) -> tuple[int, int]:
    """Take whoever is in these events out of refused and held ones; give how many of each, inside the transaction."""
    wanted = (json.dumps([*names]),)
    refused, held = conn.execute(_REFUSED, wanted).fetchall(), conn.execute(_WAITING, wanted).fetchall()
    conn.executemany(
        "UPDATE letters SET head = ? WHERE number = ?",
        [(_refused_without(json.loads(head)), number) for number, head in refused],
    )
    conn.executemany(
        "UPDATE held SET event = ? WHERE number = ?",
        [(_held_without(json.loads(event)), number) for number, event in held],
    )
    return len(refused), len(held)


def note(conn: sqlite3.Connection) -> None:
    """Remember that somebody was erased, and not who: all that says it may leave the log by its age."""
    conn.execute(statements.PUT_META, (_META, "1"))


def mark_behind(conn: sqlite3.Connection, key: bytes, pseudonym: str) -> str | None:
    """Find whose pseudonym this is, at any sink that the store knows."""
    sinks = positions.all_names(conn)
    tried: set[str] = set()
    for (text,) in conn.execute("SELECT personal FROM events WHERE personal IS NOT NULL"):
        mark = persons.mark_in(key, json.loads(text))
        if mark is not None and mark not in tried:
            tried.add(mark)
            if any(persons.pseudonym(key, sink, mark) == pseudonym for sink in sinks):
                return mark
    return None


def delivered(
    conn: sqlite3.Connection, entries: Iterable[tuple[int, str, str]], driven: Mapping[str, Had]
) -> dict[str, int]:
    """Count how many of these each sink has had, ``driven`` or not; where that cannot be told, it may have had them."""
    seqs = [seq for seq, _, _ in entries]
    told: dict[str, int] = {}
    with one_look(conn):
        head = reading.head(conn)
        for position in reading.sinks(conn):
            had = driven.get(position.name) or offered.at_rest(conn, position)
            before = _never_owed(conn, had.position, head) if seqs else 0
            told[position.name] = sum(before < seq and had.may_have(seq) for seq in seqs)
    return told


def _never_owed(conn: sqlite3.Connection, position: Position, head: int) -> int:
    """Give the newest number of the log that a sink surely never got, because it began behind it; 0 for none.

    Where a sink began is not kept, only how many events it was owed: those are the newest of all. Numbers leap, so
    entries are counted. Ones that are gone since make the answer smaller, and never too large.
    """
    if position.replayed or any(span.replay for span in position.arrears):
        return 0  # on request it gets what was before it, too
    row = conn.execute(_NEWEST_BUT, (max(position.owed(head), 0),)).fetchone()
    return row[0] if row else 0


def _entries(conn: sqlite3.Connection, person: Person, after: int) -> Iterable[tuple[int, str, str]]:
    rows = conn.execute(
        "SELECT seq, id, device, personal FROM events"
        " WHERE seq > ?1 AND personal IS NOT NULL AND (?2 IS NULL OR device = ?2)",
        (after, person.device),
    )
    for seq, name, device, personal in rows.fetchall() if after else rows:
        if person.is_in(json.loads(personal)):
            yield seq, name, device


def _letters(
    conn: sqlite3.Connection, person: Person, mask: Mask, *, after: int
) -> dict[int, tuple[str, bytes]]:
    changed: dict[int, tuple[str, bytes]] = {}
    for number, stage, sender, head, body in conn.execute(
        "SELECT number, stage, sender, head, body FROM letters WHERE number > ?", (after,)
    ):
        fields = json.loads(head)
        if stage == "deliver":
            personal = fields.get("personal")
            if person.device in (None, sender) and personal and person.is_in(json.loads(personal)):
                changed[number] = (_refused_without(fields), body)
        elif fields.get("source") != "people_counter" and (masked := mask(body)) != body:
            changed[number] = (head, masked)
    return changed


def _refused_without(fields: dict[str, Any]) -> str:
    """Take the person out of the head of a letter that holds an event."""
    flags, body = fields["flags"] | Flag.ERASED, body_without_person(fields["body"])
    return dumps({**fields, "personal": None, "flags": flags, "body": body})


def _held(conn: sqlite3.Connection, person: Person) -> dict[int, str]:
    changed: dict[int, str] = {}
    for number, text in conn.execute(
        "SELECT number, event FROM held WHERE ?1 IS NULL OR device = ?1", (person.device,)
    ):
        event: dict[str, Any] = json.loads(text)
        if event.get("personal") and person.is_in(event["personal"]):
            changed[number] = _held_without(event)
    return changed


def _held_without(event: dict[str, Any]) -> str:
    """Take the person out of a held event.

    It is marked for the log, should the device be adopted: a resend must not bring the person back there.
    """
    personal, data = {persons.FORGOTTEN: True}, data_without_person(event["data"])
    return dumps({**event, "personal": personal, "data": data})


def _pictures(conn: sqlite3.Connection, person: Person) -> list[str]:
    mark = person.mark or persons.mark_of(person.key, person.stated)
    rows = conn.execute(
        "SELECT DISTINCT hash FROM pictures WHERE person = ?1 AND (?2 IS NULL OR device = ?2)",
        (mark, person.device),
    )
    return [row[0] for row in rows]


def _strip(conn: sqlite3.Connection, seq: int, name: str, device: str) -> None:
    row = conn.execute(f"SELECT {CHECKED_COLUMNS} FROM events WHERE seq = ?", (seq,)).fetchone()
    if row is None:
        return  # retention was faster
    was = checked(row)[9]  # a new sum must not vouch for what is damaged
    body = body_without_person(was)
    crc = None if row[11] is None else of_event(*(*row[:9], body, None))
    conn.execute("UPDATE events SET personal = NULL, body = ?, crc = ? WHERE seq = ?", (body, crc, seq))
    conn.execute(f"UPDATE events SET {with_flag('?2')} WHERE {IS_FACT}", (name, Flag.ERASED))
    before, after = (dumps(json.loads(text)["data"]) for text in (was, body))
    conn.execute(
        "UPDATE devices SET newest_data = ? WHERE id = ? AND newest_data = ?", (after, device, before)
    )
