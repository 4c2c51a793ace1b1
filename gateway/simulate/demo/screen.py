"""A terminal that is redrawn as a whole: plain ANSI, on the alternate screen, given back as it was."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable
from enum import IntEnum
from types import TracebackType
from typing import NamedTuple, Self, TextIO

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN, _ALL = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[2J"


class Style(IntEnum):
    """Numbers that a terminal understands; 0 leaves the text as it is."""

    PLAIN = 0
    BOLD = 1
    DIM = 2
    RED = 31
    YELLOW = 33


class Line(NamedTuple):
    """One line; a ``whole`` one is never cut, so that a person can copy it."""

    text: str
    style: Style = Style.PLAIN
    whole: bool = False

    def rows(self, columns: int) -> int:
        """Count the rows that it takes on the screen."""
        return max(-(-cells(self.text) // columns), 1) if self.whole else 1


class Screen:
    """Shows one frame after the other while the body of a ``with`` runs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._colours = "NO_COLOR" not in os.environ
        self._size = (0, 0)

    def __enter__(self) -> Self:
        self._write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(_LEAVE)

    def show(self, lines: Iterable[Line]) -> None:
        """Draw these lines over the ones before; what was longer before leaves no rest."""
        size = shutil.get_terminal_size()
        text = "" if size == self._size else _ALL
        self._size = size
        drawn = [self._drawn(line, size[0]) + _REST_OF_LINE for line in lines]
        self._write(text + _HOME + "\r\n".join(drawn) + _REST_OF_SCREEN)

    def _drawn(self, line: Line, columns: int) -> str:
        text = line.text if line.whole else cut(line.text, columns)
        return f"\x1b[{line.style}m{text}\x1b[0m" if self._colours and line.style and text else text

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def can_draw(stream: TextIO) -> bool:
    """Say whether the stream is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and sys.platform != "win32"


def shown(text: object) -> str:
    """Make a stranger's text safe: nothing in it moves the cursor, changes a colour or starts a new line."""
    return "".join(char if char.isprintable() else "?" for char in str(text)[:200])


def cells(text: str) -> int:
    """Count the columns that a text takes: two for most of East Asia, none for a mark over a letter."""
    return sum(_cell(char) for char in text)


def cut(text: str, columns: int) -> str:
    """Shorten a text to so many columns."""
    if cells(text) <= columns:
        return text
    kept, used = "", 0
    for char in text:
        used += _cell(char)
        if used > columns - 1:
            break
        kept += char
    return kept + "…" if columns > 0 else ""


def fit(text: str, columns: int) -> str:
    """Shorten or fill a text to exactly so many columns."""
    short = cut(text, columns)
    return short + " " * (columns - cells(short))


def _cell(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
