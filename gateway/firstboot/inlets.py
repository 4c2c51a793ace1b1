"""What of a card's text is to be replaced: each secret that is written in it, and each file that it names.

A secret stands where the configuration has the name of its file. After the takeover these words stand in its place, and
mean on the next card: the one that you have.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.file_options import FileOption, file_options, option_meant, tables
from gateway.config.lines import Place

KEPT = "(kept in the gateway)"
_LIKE_KEPT = re.compile(r"\W*kept in", re.IGNORECASE)
# What the example of the card has in place of a secret.
_PLACEHOLDERS = frozenset({"the password of the broker", "the token", "whsec_..."})
_KEPT = re.compile(r"\(kept in the gateway(?:: ?(\d{1,4}))?\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Inlet:
    """One value of the card that becomes the name of a file on the box."""

    table: Place
    word: str  # as the person wrote it: "password"
    option: FileOption
    value: Any
    number: int | None = None  # in a list

    @property
    def written(self) -> bool:
        """The secret itself stands here, and not the name of a file."""
        return self.word != self.option.name

    @property
    def place(self) -> Place:
        """Give where the value stands on the card."""
        return (*self.table, self.word, *(() if self.number is None else (self.number,)))

    @property
    def kept(self) -> int | None:
        """Give which of the box's own is meant, counted from 0; None when the value is meant."""
        if not self.written or not isinstance(self.value, str):
            return None
        if not self.value:  # as a card without room for more is blanked
            return self.number or 0
        match = _KEPT.fullmatch(self.value.strip())
        return max(int(match[1] or 1) - 1, 0) if match else None

    @property
    def doubtful(self) -> bool:
        """Say whether it was meant as the one that the box has and mistyped, or is the example's own text."""
        text = self.value.strip() if isinstance(self.value, str) else ""
        like = _LIKE_KEPT.match(text) or text.casefold() in _PLACEHOLDERS
        return self.kept is None and bool(like)

    @property
    def blank(self) -> str:
        """Give the words that take the place of a secret."""
        return KEPT if self.number is None else f"{KEPT[:-1]}: {self.number + 1})"


def inlets(raw: Mapping[str, Any]) -> Iterator[Inlet]:
    """Find them all, in the order of the file."""
    for table, content in tables(raw):
        options = file_options(table, raw)
        for word, value in content.items():
            option = options.get(word) or option_meant(word, table, raw)
            if option is None:
                continue
            if isinstance(value, list):
                yield from (Inlet(table, word, option, one, number) for number, one in enumerate(value))
            else:
                yield Inlet(table, word, option, value)
