"""What a sink may have had beyond its place: it was handed over, and no answer is noted.

Who erases a person must name each far end that may know them, so rather too much is told than too little. What
this life handed over is in memory. Of an earlier one the disk knows how far it can have got beyond its place, which
is one window, and what was sent ahead of that.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.outbox import statements
from gateway.outbox.positions import Position

Span = tuple[int, int]  # the first number and the last one

_META = "offered:"  # and the name of the sink
_UNTOLD = 500  # events: the usual window, where an older gateway noted none
_MOST = 100  # spans of one sink; beyond that what lies between them counts, too


@dataclass(frozen=True, slots=True)
class Had:
    """What a sink has had, or may have had."""

    position: Position
    beyond: Sequence[Span]

    def may_have(self, seq: int) -> bool:
        """Say whether an entry that the sink is owed was handed over."""
        owed = (span for span in self.position.arrears if not span.replay)
        if seq <= self.position.cursor and not any(span.first < seq <= span.last for span in owed):
            return True
        return _within(self.beyond, seq)


class Offered:
    """What each sink was given since it was enlisted; used on the event loop only."""

    def __init__(self) -> None:
        self._spans: dict[str, Sequence[Span]] = {}
        self._noted: dict[str, Sequence[Span]] = {}  # on disk
        self._windows: dict[str, int] = {}

    def begin(self, sink: str, window: int, earlier: Sequence[Span]) -> None:
        """Begin with what an earlier life may have given it; what this life knows goes before that."""
        self._windows[sink] = window
        self._spans.setdefault(sink, earlier)
        self._noted[sink] = earlier

    def add(self, sink: str, span: Span, *, settled: int) -> None:
        """Note what is about to be handed over; up to ``settled`` the sink's place says it."""
        self._spans[sink] = _joined([*(known for known in self._spans[sink] if known[1] > settled), span])

    def of(self, sink: str) -> Sequence[Span]:
        """Give what a sink was handed over, and perhaps more; it stays as it is."""
        return self._spans.get(sink, ())

    async def note(
        self, sink: str, seq: int, write: Callable[[Callable[[sqlite3.Connection], None]], Awaitable[None]]
    ) -> None:
        """Have on disk that an entry was handed over, with what else was; mostly it is there already."""
        if not _within(self._noted[sink], seq):
            window, spans = self._windows[sink], self._spans[sink]
            await write(lambda conn: note(conn, sink, window, spans))
            self._noted[sink] = spans


def note(conn: sqlite3.Connection, sink: str, window: int, spans: Sequence[Span]) -> None:
    """Remember for a later life how far beyond its place a sink is sent, and what it was given ahead of that."""
    conn.execute(
        statements.PUT_META, (_META + sink, json.dumps({"window": window, "spans": spans}, sort_keys=True))
    )


def earlier(conn: sqlite3.Connection, position: Position) -> list[Span]:
    """Say what a life that has ended may have given a sink beyond its place."""
    settled = position.settled_up_to()
    window, noted = _noted(conn, position.name)
    spans = [span for span in noted if span[1] > settled]
    for place in (position.cursor, *(owed.first for owed in position.arrears if not owed.replay)):
        reach = conn.execute(statements.REACH, (place, window)).fetchone()[0]
        if reach is not None:
            spans.append((place + 1, reach))
    return _joined(spans)


def at_rest(conn: sqlite3.Connection, position: Position) -> Had:
    """Say what a sink may have had that nobody drives."""
    return Had(position, earlier(conn, position))


def _noted(conn: sqlite3.Connection, sink: str) -> tuple[int, list[Span]]:
    row = conn.execute(statements.GET_META, (_META + sink,)).fetchone()
    try:
        told: Mapping[str, object] = json.loads(row[0])
        return int(str(told["window"])), [(int(first), int(last)) for first, last in told["spans"]]  # type: ignore[attr-defined]
    except (TypeError, ValueError, KeyError):  # none, or damaged by the disk
        return _UNTOLD, []


def _within(spans: Iterable[Span], seq: int) -> bool:
    return any(first <= seq <= last for first, last in spans)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined if len(joined) <= _MOST else [(joined[0][0], joined[-1][1])]
