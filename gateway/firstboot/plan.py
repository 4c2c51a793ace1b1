"""From the text of a card to what the box would have: its configuration, its files, and the card without secrets.

Nothing is written here. Every text has the lines of the card, so that a mistake is found where the person wrote it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config import InvalidConfigError, Mistake, credentials
from gateway.config.advice import dotted
from gateway.config.files import read_file
from gateway.config.lines import Place, Span, line_numbers, line_of, spans
from gateway.config.secrets import has_control
from gateway.config.syntax import parse
from gateway.errors import ConfigError
from gateway.firstboot import card
from gateway.firstboot.card import CardFile
from gateway.firstboot.inlets import KEPT, Inlet, inlets
from gateway.firstboot.vault import Vault

NOTE = b"This key was taken over by the gateway, which keeps it. Copy a file here again to change it."
_HEADER = "# Made from gateway.toml on the card; what is changed here is replaced when that file changes.\n"
_PLAIN = re.compile(r"\s*(?:[a-z_]{2,24}\s*=\s|\[[a-z_.])")
_LARGEST_FILE = 262_144
_PORTS = {"mqtt": 1883, "mqtts": 8883, "http": 80, "https": 443}


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
    _kept: list[tuple[Inlet, str]] = field(default_factory=list)  # secrets, by the names of their files
    _brought: dict[bytes, str] = field(default_factory=dict)  # certificates, each once
    _lines: dict[Place, int] = field(default_factory=dict)
    _spans: Mapping[Place, Span] = field(default_factory=dict)

    def box_text(self) -> str:
        """Give the configuration for the box."""
        return _HEADER + self._replaced(self.names).replace("\r\n", "\n").rstrip("\n") + "\n"

    def checked_text(self, staging: Path) -> str:
        """Give the same with every file where it is now, to be checked before anything is written."""
        return self._replaced({place: str(self._now(name, staging)) for place, name in self.names.items()})

    def blanked_text(self) -> str:
        """Give the card's own text without its secrets; all else is as the person wrote it."""
        return self._put([(self._spans[one.place], _quoted(one.blank)) for one in self.found if _hides(one)])

    def scratched_text(self) -> str:
        """Give a blanked text of the very same length: empty quotes and blanks behind them."""
        edits = []
        for one in filter(_hides, self.found):
            span = self._spans[one.place]
            room = "".join(
                _room(character, self.source) for character in self.source.text[span.start : span.end]
            )
            edits.append((span, '""' + room[2:]))
        return self._put(edits)

    @property
    def digest(self) -> str:
        """Tell this file from others, in whichever way it was blanked, and nothing about its secrets."""
        edits = []
        for one in filter(_hides, self.found):
            span = self._spans[one.place]
            rest = self.source.text[span.end :]
            edits.append((Span(span.start, span.end + len(rest) - len(rest.lstrip(" "))), one.blank))
        return hashlib.sha256(self._put(edits).encode()).hexdigest()

    @property
    def bare(self) -> bool:
        """A secret stands on the card."""
        return bool(self.keys) or any(_hides(one) and one.kept is None for one in self.found)

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
        line = line_of(self._lines, place)
        return Mistake(file=None, line=line, key=dotted(place), problem=problem, suggestion=suggestion)

    def _now(self, name: str, staging: Path) -> Path:
        return staging / _base(name) if name in self.files else self.vault.place(name)

    def content(self, name: str) -> bytes | None:
        """Read a file that the box has or would have."""
        return self.files[name] if name in self.files else self.vault.content(name)

    def _replaced(self, names: Mapping[Place, str]) -> str:
        edits = []
        for one in self.found:
            if (span := self._spans[one.place]) and one.place in names:
                breaks = "\n" * self.source.text.count(
                    "\n", span.start, span.end
                )  # the lines below stay where they are
                edits.append((span, _quoted(names[one.place]) + breaks))
            around = self._spans[(*one.table, one.word)]
            if one.written and around.key and not one.number:  # of a list once
                edits.append((Span(*around.key), one.option.name))
        return self._put(edits)

    def _put(self, edits: Iterable[tuple[Span, str]]) -> str:
        text, at = "", 0
        for span, words in sorted(edits, key=lambda edit: edit[0].start):
            text += self.source.text[at : span.start] + words
            at = span.end
        return text + self.source.text[at:]


def plan(source: CardFile, vault: Vault) -> Plan:
    """Read the card; raises `InvalidConfigError` when its text is no TOML."""
    raw = _parsed(source.text)
    drawn = Plan(source, vault, raw, list(inlets(raw)))
    drawn._lines, drawn._spans = line_numbers(source.text), spans(source.text)  # noqa: SLF001 - it is made here
    if all(value == {} for value in raw.values()):
        raise card.wrong(
            "no option is set in it: every line is empty or begins with #",
            "Take the # away in front of the lines that you want, and fill them in.",
        )
    for one in drawn.found:
        twice = one.written and one.option.name in _table(raw, one.table)
        if twice:
            drawn.say(
                one, f"{one.word} and {one.option.name} mean the same, and both are here", "Keep one of them."
            )
        elif not isinstance(one.value, str):
            drawn.say(
                one, "what is written here has no quotes around it", f'Write it as in: {one.word} = "..."'
            )
        elif one.written:
            _secret(drawn, one, one.value)
        else:
            _file(drawn, one, one.value)
    for one, name in drawn._kept:  # noqa: SLF001 - now that every certificate is known
        _stay(drawn, one, name)
    _weigh(drawn)
    return drawn


def _weigh(drawn: Plan) -> None:
    """Refuse what is more than systemd hands over: with it the gateway would not start at all."""
    named = drawn.vault.all_named() | set(drawn.names.values())
    new = {name: len(content) for name, content in drawn.files.items() if "/" not in name}
    if new and (why := credentials.too_large(drawn.vault.sizes(named) | new)):
        largest = max(new, key=lambda name: new[name])
        one = next(one for one in drawn.found if drawn.names.get(one.place) == largest)
        drawn.say(one, why, "Use fewer sinks with a key of their own, or shorter keys.")


def _parsed(text: str) -> Mapping[str, Any]:
    """Parse it; what a mistake takes for the name of an option may be a piece of a secret that was cut in two."""
    try:
        return parse(text, None)
    except InvalidConfigError as error:
        lines = text.split("\n")
        raise InvalidConfigError(
            [
                one if one.line and _PLAIN.match(lines[one.line - 1]) else replace(one, key=None)
                for one in error.mistakes
            ]
        ) from None


def _secret(drawn: Plan, one: Inlet, value: str) -> None:
    """Take a secret that is written on the card, or the one that the box has."""
    known = drawn.vault.named(one.table, one.option.name)
    if one.kept is None:
        if one.doubtful:
            drawn.say(
                one,
                "this is not the secret itself, and not quite the words for the one that the gateway has",
                f"Write the secret here, in quotes. To keep the one that the gateway has, write exactly: {KEPT}",
            )
            return
        drawn.secrets.add(value)
        span = drawn._spans[one.place]  # noqa: SLF001 - as in `plan`
        if has_control(value) and "\n" not in drawn.source.text[span.start : span.end]:
            drawn.say(
                one,
                "there is a character in it that nobody types, such as the TAB that \\t means",
                "A backslash means something else in double quotes: write it twice, or use 'single quotes'.",
            )
            return
        _bring(drawn, one, value.encode())
        return
    clear = drawn.vault.clear_name(one.table, one.option.word, one.number)
    name = known[one.kept] if one.kept < len(known) else drawn.vault.newest(clear)
    if name is not None and drawn.vault.content(name) is not None:
        drawn.names[one.place] = name
        drawn._kept.append((one, _base(name)))  # noqa: SLF001 - as in `plan`
    elif one.value:
        drawn.say(
            one, "this means the one that the gateway has, and it has none", "Write it here, in quotes."
        )
    else:
        drawn.say(
            one, "there is nothing between the quotes", "Write it there, or put a # in front of the line."
        )


def _stay(drawn: Plan, one: Inlet, name: str) -> None:
    """Have a secret go only where it went: else a card would fetch it out of the box to an end of its own."""
    before = [*drawn.vault.named(one.table, "endpoint"), None][0]
    now = _table(drawn.raw, one.table).get("endpoint")
    used = name in map(_base, drawn.vault.named(one.table, one.option.name))
    if now is before is None:
        return
    problem = "the gateway keeps this secret for another endpoint, and takes it to no new one"
    if used and _far_end(now) == _far_end(before):
        if _authority(drawn, one.table) == _authority_before(drawn, one.table):
            return
        problem = "with this ca_file another far end would get the secret that the gateway keeps"
    said = drawn.mistake(one.place, problem, "Write the secret here anew, in quotes.")
    key = dotted((*one.table, one.option.name))
    drawn.moved.setdefault(key, replace(said, key=dotted((*one.table, one.option.word))))


def _authority(drawn: Plan, table: Place) -> bytes | None:
    """Give what the far end has to prove itself by: the content, because its name says nothing."""
    name = drawn.names.get((*table, "ca_file"))
    return None if name is None else drawn.content(name)


def _authority_before(drawn: Plan, table: Place) -> bytes | None:
    return next(map(drawn.vault.content, drawn.vault.named(table, "ca_file")), None)


def _base(name: str) -> str:
    return Path(name).name


def _far_end(endpoint: object) -> object:
    try:
        parts = urlsplit(str(endpoint))
        where = (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))
    except ValueError:
        return endpoint
    return where


def _file(drawn: Plan, one: Inlet, value: str) -> None:
    """Take a file that lies on the card, or the one that the box has from an earlier card."""
    folder = drawn.source.path.parent
    name = Path(value).name if Path(value).parent == folder else value
    found = card.beside(folder, name) if name and "/" not in name else None
    content = _read(drawn, one, found) if found else None
    if content is not None and content.strip() != NOTE:
        if one.option.text:
            drawn.say(
                one,
                "a file with a secret is not read from the card",
                f'Write it as in: {one.option.word} = "..."',
            )
            return
        _bring(drawn, one, content)
        if found and one.option.secret and b"PRIVATE KEY-----" in content:
            drawn.keys.add(found)
        return
    if content is None and (value.startswith("/") or _on_box(drawn, value)):
        drawn.names[one.place] = value  # of a person who has a shell
        if one.option.text and _base(value).startswith("card-"):
            drawn._kept.append((one, _base(value)))  # noqa: SLF001 - as in `plan`
        return
    if one.option.text:
        # Were it taken for the secret from before, a new one written here by mistake would do nothing and stay on the card.
        drawn.say(
            one,
            "this is not the name of a file that the gateway has",
            f'Write it as in: {one.option.word} = "..."',
        )
        return
    clear = drawn.vault.clear_name(one.table, one.option.word, one.number)
    known = drawn.vault.named(one.table, one.option.name)
    # A certificate may be that of another sink too.
    end = f".{clear}" if one.option.secret else ""
    mine = known[one.number or 0 :][:1]
    kept = next((name for name in mine if _base(name).startswith("card-") and name.endswith(end)), None)
    kept = kept or drawn.vault.newest(clear)
    if kept is not None and drawn.vault.content(kept) is not None:
        drawn.names[one.place] = kept
    else:
        drawn.say(
            one, "there is no file of this name beside gateway.toml", "Copy it there, under just this name."
        )


def _on_box(drawn: Plan, name: str) -> bool:
    return "/" not in name and drawn.vault.content(name) is not None


def _read(drawn: Plan, one: Inlet, path: Path) -> bytes | None:
    try:
        content, _ = read_file(path, _LARGEST_FILE + 1)
    except (OSError, ConfigError):
        drawn.say(one, f"{path.name} cannot be read from the card", "Copy it to the card again.")
        return None
    if len(content) > _LARGEST_FILE:
        drawn.say(one, f"{path.name} is larger than {_LARGEST_FILE} bytes", "Is it the right file?")
        return None
    return content


def _bring(drawn: Plan, one: Inlet, content: bytes) -> None:
    """Use the file that the box has with this very content, or make a new one; equal certificates are one file."""
    clear = drawn.vault.clear_name(one.table, one.option.word, one.number)
    for name in (*drawn.vault.named(one.table, one.option.name), drawn.vault.newest(clear)):
        if name is not None and drawn.vault.content(name) == content:
            drawn.names[one.place] = name
            break
    else:
        name = None if one.option.secret else drawn._brought.get(content)  # noqa: SLF001 - as in `plan`
        name = name or drawn.vault.next_name(clear, secret=one.option.secret)
        drawn.names[one.place], drawn.files[name] = name, content
    if not one.option.secret:
        drawn._brought.setdefault(content, drawn.names[one.place])  # noqa: SLF001 - as in `plan`


def _table(raw: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    for part in place:
        raw = raw[str(part)]
    return raw


def _hides(one: Inlet) -> bool:
    return one.written and isinstance(one.value, str)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _room(character: str, source: CardFile) -> str:
    """Give as many blanks as a character has bytes; ends of lines stay."""
    width = len(character.encode(source.encoding)) // len(" ".encode(source.encoding))
    return character if character in "\r\n" else " " * width
