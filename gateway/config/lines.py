"""Finds the line of every key in a TOML text, because tomllib keeps values and forgets places.

It only ever sees text that tomllib has accepted, so it follows the grammar and checks nothing.
"""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass

Place = tuple[str | int, ...]  # ("sinks", "broker", "endpoint"), ("listen", "allow", 2)

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"{3,5}'
    r"|'''[\s\S]*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands in the text, and the last word of its key; an element of a list has no key."""

    start: int
    end: int
    key: tuple[int, int] | None = None


def line_numbers(text: str) -> dict[Place, int]:
    """Map each key, table and list element to its line, counted from 1."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


def spans(text: str) -> dict[Place, Span]:
    """Map each value to where it stands, so that it can be replaced and all else stays."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.spans


def line_of(lines: dict[Place, int], place: Place) -> int | None:
    """Give the line of a place, or of the nearest thing around it that is in the file."""
    for length in range(len(place), 0, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[Place, int] = {}
        self.spans: dict[Place, Span] = {}
        self._key = (0, 0)  # of the last word that was read
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._counts: dict[Place, int] = {}  # arrays of tables: how many there were so far

    def scan(self) -> None:
        table: Place = ()
        while self._next():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> str:
        """Skip white space and comments; give the character there, or nothing at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._text[self._at : self._at + 1]

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at) + 1

    def _note(self, around: Place, keys: list[str], line: int) -> Place:
        """Remember the line of a dotted key and of the tables that it opens; give the place inside."""
        place = around
        for key in keys:
            place = (*place, key)
            self.lines.setdefault(place, line)
            if place in self._counts:
                place = (*place, self._counts[place] - 1)
        return place

    def _header(self) -> Place:
        line = self._line()
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        keys = self._keys()
        self._at += 2 if many else 1
        if many:
            array = (*self._note((), keys[:-1], line), keys[-1])
            self._counts[array] = self._counts.get(array, 0) + 1
        place = self._note((), keys, line)
        self.lines[place] = line  # a sub-table may have come first
        return place

    def _pair(self, around: Place) -> None:
        line = self._line()
        place = self._note(around, self._keys(), line)
        key = self._key
        self._at += 1
        self._next()
        start = self._at
        self._value(place)
        self.spans[place] = Span(start, self._at, key)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            quoted = self._next() in ('"', "'")
            match = (_STRING if quoted else _BARE_KEY).match(self._text, self._at)
            word = match.group() if match else ""
            self._key = (self._at, self._at + len(word))
            self._at += len(word)
            keys.append(str(tomllib.loads(f"k={word}")["k"]) if quoted else word)
            if self._next() != ".":
                return keys
            self._at += 1

    def _value(self, place: Place) -> None:
        opening = self._text[self._at : self._at + 1]
        if opening == "[":
            self._at += 1
            self._elements(place)
        elif opening == "{":
            self._at += 1
            while self._next() not in ("}", ""):
                self._pair(place)
                if self._next() == ",":
                    self._at += 1
            self._at += 1
        else:
            match = (_STRING if opening in ('"', "'") else _SCALAR).match(self._text, self._at)
            self._at = match.end() if match else len(self._text)

    def _elements(self, place: Place) -> None:
        index = 0
        while self._next() not in ("]", ""):
            element = (*place, index)
            self.lines[element] = self._line()
            start = self._at
            self._value(element)
            self.spans[element] = Span(start, self._at)
            if self._next() == ",":
                self._at += 1
            index += 1
        self._at += 1
