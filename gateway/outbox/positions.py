"""How far a sink has got: its cursor, its arrears and its account.

A strict sink has one cursor. A live-first sink that comes back after an outage puts the waiting range
into its arrears and goes on at the head of the log; the two meet when the arrears are empty. Ranges are
half-open at the front like the cursor: (first, last] is owed.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.outbox import statements, sums
from gateway.outbox.connection import one_look
from gateway.outbox.damage import StoreDamaged

# A sink that flaps makes one range per outage; beyond this many it catches up in order first.
MAX_ARREARS = 16
# So many ranges may be asked for again at one time.
MAX_REPLAYS = 16


# What a batch settled: device: (delivered, lettered).
Moves = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Arrears:
    """A range of the log behind the cursor that is still owed."""

    first: int  # exclusive
    last: int  # inclusive
    replay: bool = False  # asked for by a person; not part of the account


@dataclass(slots=True)
class Position:
    """One sink's place in the log. The forwarder changes it and hands copies to the writer."""

    name: str
    since: int  # the head minus all that the sink was ever owed: a count, and no place in the log
    cursor: int
    delivered: int = 0
    lettered: int = 0
    expired: int = 0
    lost: int = 0
    replayed: int = 0
    attempts: int = 0
    retry_at: int = 0
    stopped: str | None = None
    arrears: list[Arrears] = field(default_factory=list)
    # What was settled of each device: since the last note, and in notes that are not known to be on disk.
    taken: Counter[str] = field(default_factory=Counter, compare=False)
    refused: Counter[str] = field(default_factory=Counter, compare=False)
    sealed: list[tuple[int, Moves]] = field(default_factory=list, compare=False)

    def copy(self) -> "Position":
        """Give a snapshot that later changes do not reach."""
        return replace(
            self,
            arrears=list(self.arrears),
            taken=self.taken.copy(),
            refused=self.refused.copy(),
            sealed=list(self.sealed),
        )

    def settle(self, delivered: Iterable[str], lettered: Iterable[str] = ()) -> None:
        """Account for events by the devices that they are of: the far end took them, or refused them for good."""
        taken, refused = Counter(delivered), Counter(lettered)
        self.delivered += taken.total()
        self.lettered += refused.total()
        self.taken.update(taken)
        self.refused.update(refused)

    def answer_letter(self, device: str) -> None:
        """Account for an event that was refused once and has been taken now."""
        self.settle([device])
        self.lettered -= 1
        self.refused[device] -= 1

    def seal(self, number: int) -> None:
        """Put what was settled under the number of a note, which is written to the disk once."""
        if self.taken or self.refused:
            devices = {**self.taken, **self.refused}
            self.sealed.append((number, {d: (self.taken[d], self.refused[d]) for d in devices}))
            self.taken, self.refused = Counter(), Counter()

    def on_disk(self, number: int) -> None:
        """Forget what the notes up to this one have put on disk."""
        self.sealed = [batch for batch in self.sealed if batch[0] > number]

    def waiting(self, head: int) -> int:
        """Count what is owed and not settled, from the counters: no scan of the log."""
        return self.owed(head) - self.delivered - self.lettered - self.expired - self.lost

    def owed(self, head: int) -> int:
        """Count what the sink was ever owed: the newest events of all, whatever became of them."""
        return head - self.since

    def settled_up_to(self) -> int:
        """Everything up to here may be removed as far as this sink is concerned."""
        return min([self.cursor, *(owed.first for owed in self.arrears)])

    def jump(self, head: int) -> bool:
        """Go on at the head and owe the range up to it; False when there are too many ranges already."""
        if head <= self.cursor:
            return True
        last = self.arrears[-1] if self.arrears else None
        if last is not None and not last.replay and last.last == self.cursor:
            self.arrears[-1] = replace(last, last=head)
            self.cursor = head
            return True
        if sum(1 for owed in self.arrears if not owed.replay) >= MAX_ARREARS:
            return False
        self.arrears.append(Arrears(self.cursor, head))
        self.cursor = head
        return True

    def ask_again(self, first: int, last: int) -> bool:
        """Owe the range (first, last] once more, beside the account; False when too many are asked for."""
        again = Arrears(first, last, replay=True)
        if again not in self.arrears:
            if sum(1 for owed in self.arrears if owed.replay) >= MAX_REPLAYS:
                return False
            self.arrears.append(again)
        return True

    def advance_arrears(self, owed: Arrears, up_to: int) -> Arrears | None:
        """Note that a range is settled up to there; give what is left of it."""
        index = self.arrears.index(owed)
        if up_to >= owed.last:
            del self.arrears[index]
            return None
        self.arrears[index] = replace(owed, first=up_to)
        return self.arrears[index]


def load(conn: sqlite3.Connection, name: str) -> Position | None:
    """Read a sink's place; None when the store does not know it. Raises `StoreDamaged` when it is not what was written."""
    with one_look(conn):  # a forwarder that is started again reads while its last note is being written
        position = look(conn, name)
        if position is not None:
            (crc,) = conn.execute(statements.SUM_OF_SINK, (name,)).fetchone()
            if crc is not None and crc != _sum(position):  # None: of an older gateway, and not moved since
                raise StoreDamaged(f"the place of sink {name} is not what was written")
    return position


def look(conn: sqlite3.Connection, name: str) -> Position | None:
    """Read a sink's place as it is there."""
    with one_look(conn):
        row = conn.execute(statements.GET_SINK, (name,)).fetchone()
        if row is None:
            return None
        position = Position(*row)
        position.arrears = _arrears(conn, name)
    return position


def _sum(position: Position) -> int:
    owed = [(owed.first, owed.last, owed.replay) for owed in position.arrears]
    return sums.of_place(position.name, position.cursor, owed)


def enlist(
    conn: sqlite3.Connection, name: str, *, after: int, owed: int, lettered: int = 0, head: int
) -> Position:
    """Give a new sink its place: the ``owed`` entries after ``after`` are what it will get."""
    known = load(conn, name)
    if known is not None:
        return known
    # Numbers have holes, and what is not there is owed to nobody.
    since = head - owed - lettered
    position = Position(name, since=since, cursor=after, lettered=lettered)
    conn.execute(statements.ADD_SINK, (name, since, after, lettered, _sum(position)))
    return position


def save(conn: sqlite3.Connection, position: Position) -> None:
    """Write a snapshot; only what the forwarder owns."""
    p = position
    conn.execute(
        statements.MOVE_SINK,
        (p.cursor, p.delivered, p.lettered, p.replayed, p.attempts, p.retry_at, p.stopped, _sum(p), p.name),
    )
    if _arrears(conn, p.name) != p.arrears:
        rows = [(p.name, place, owed.first, owed.last, owed.replay) for place, owed in enumerate(p.arrears)]
        conn.execute(statements.CLEAR_ARREARS, (p.name,))
        conn.executemany(statements.ADD_ARREARS, rows)


def _arrears(conn: sqlite3.Connection, name: str) -> list[Arrears]:
    rows = conn.execute(statements.ARREARS, (name,))
    return [Arrears(first, last, bool(replay)) for first, last, replay in rows]


def all_names(conn: sqlite3.Connection) -> Sequence[str]:
    """List every sink the store knows, configured or not."""
    return [row[0] for row in conn.execute("SELECT name FROM sinks ORDER BY name")]
