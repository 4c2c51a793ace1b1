"""What a takeover would do: the box's configuration and files, and the card's text without its secrets.

Nothing is written here. Every text has the lines of the card, so that a mistake is found where the person wrote it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.config import Mistake
from gateway.config.advice import dotted
from gateway.config.lines import Place, Span, line_of
from gateway.firstboot.card import CardFile
from gateway.firstboot.inlets import Inlet
from gateway.firstboot.vault import Vault

_HEADER = "# Made from gateway.toml on the card; what is changed here is replaced when that file changes.\n"


@dataclass
class Plan:
    """What a takeover would do. ``names`` and ``files`` grow while the inlets are looked at."""

    source: CardFile
    vault: Vault
    raw: Mapping[str, Any] = field(default_factory=dict)
    found: list[Inlet] = field(default_factory=list)
    names: dict[Place, str] = field(default_factory=dict)  # for the configuration, by the place on the card
    files: dict[str, bytes] = field(default_factory=dict)  # new ones
    keys: set[Path] = field(default_factory=set)  # files on the card to be blanked
    mistakes: dict[str, Mistake] = field(default_factory=dict)  # by the option of the configuration
    moved: dict[str, Mistake] = field(default_factory=dict)  # kept secrets for another far end; the same keys
    secrets: set[str] = field(default_factory=set)
    kept: list[tuple[Inlet, str]] = field(default_factory=list)  # secrets, by the names of their files
    brought: dict[bytes, str] = field(default_factory=dict)  # certificates, each once
    lines: dict[Place, int] = field(default_factory=dict)
    spans: Mapping[Place, Span] = field(default_factory=dict)

    def box_text(self) -> str:
        """Give the configuration for the box."""
        return _HEADER + self._replaced(self.names).replace("\r\n", "\n").rstrip("\n") + "\n"

    def checked_text(self, staging: Path) -> str:
        """Give the same with every file where it is now, to be checked before anything is written."""
        return self._replaced({place: str(self._now(name, staging)) for place, name in self.names.items()})

    def blanked_text(self) -> str:
        """Give the card's own text without its secrets; all else is as the person wrote it."""
        return self._put([(self.spans[one.place], _quoted(one.blank)) for one in self.found if hides(one)])

    def scratched_text(self) -> str:
        """Give a blanked text of the very same length: empty quotes and blanks behind them."""
        edits = []
        for one in filter(hides, self.found):
            span = self.spans[one.place]
            room = "".join(
                _room(character, self.source) for character in self.source.text[span.start : span.end]
            )
            edits.append((span, '""' + room[2:]))
        return self._put(edits)

    @property
    def digest(self) -> str:
        """Tell this file from others, in whichever way it was blanked, and nothing about its secrets."""
        edits = []
        for one in filter(hides, self.found):
            span = self.spans[one.place]
            rest = self.source.text[span.end :]
            edits.append((Span(span.start, span.end + len(rest) - len(rest.lstrip(" "))), one.blank))
        return hashlib.sha256(self._put(edits).encode()).hexdigest()

    @property
    def bare(self) -> bool:
        """A secret stands on the card."""
        return bool(self.keys) or any(hides(one) and one.kept is None for one in self.found)

    def say(self, one: Inlet, problem: str, suggestion: str) -> None:
        """Note what is wrong with an inlet, in words for a person who has only the card."""
        key = dotted((*one.table, one.option.name))
        said = self.mistake(one.place, problem, suggestion)
        self.mistakes.setdefault(key, replace(said, key=dotted((*one.table, one.word))))

    def names_option(self, section: str, option: str) -> bool:
        """Say whether the card itself has this option."""
        table = self.raw.get(section)
        return isinstance(table, Mapping) and option in table

    def mistake(self, place: Place, problem: str, suggestion: str) -> Mistake:
        """Make a mistake about an option, with its line on the card."""
        line = line_of(self.lines, place)
        return Mistake(file=None, line=line, key=dotted(place), problem=problem, suggestion=suggestion)

    def _now(self, name: str, staging: Path) -> Path:
        return staging / base(name) if name in self.files else self.vault.place(name)

    def content(self, name: str) -> bytes | None:
        """Read a file that the box has or would have."""
        return self.files[name] if name in self.files else self.vault.content(name)

    def _replaced(self, names: Mapping[Place, str]) -> str:
        edits = []
        for one in self.found:
            if (span := self.spans[one.place]) and one.place in names:
                breaks = "\n" * self.source.text.count(
                    "\n", span.start, span.end
                )  # the lines below stay where they are
                edits.append((span, _quoted(names[one.place]) + breaks))
            around = self.spans[(*one.table, one.word)]
            if one.written and around.key and not one.number:  # of a list once
                edits.append((Span(*around.key), one.option.name))
        return self._put(edits)

    def _put(self, edits: Iterable[tuple[Span, str]]) -> str:
        text, at = "", 0
        for span, words in sorted(edits, key=lambda edit: edit[0].start):
            text += self.source.text[at : span.start] + words
            at = span.end
        return text + self.source.text[at:]


def base(name: str) -> str:
    return Path(name).name


def table(raw: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    for part in place:
        raw = raw[str(part)]
    return raw


def hides(one: Inlet) -> bool:
    return one.written and isinstance(one.value, str)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _room(character: str, source: CardFile) -> str:
    """Give as many blanks as a character has bytes; ends of lines stay."""
    width = len(character.encode(source.encoding)) // len(" ".encode(source.encoding))
    return character if character in "\r\n" else " " * width
