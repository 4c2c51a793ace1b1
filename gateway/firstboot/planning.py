"""Draw up, from the text of a card, what the box would take over of it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.config import InvalidConfigError, credentials
from gateway.config.files import read_file
from gateway.config.lines import line_numbers, spans
from gateway.config.secrets import has_control
from gateway.config.syntax import parse
from gateway.errors import ConfigError
from gateway.firstboot import card
from gateway.firstboot.card import CardFile
from gateway.firstboot.inlets import KEPT, Inlet, inlets
from gateway.firstboot.plan import Plan, base, table
from gateway.firstboot.staying import stay
from gateway.firstboot.vault import Vault

NOTE = b"This key was taken over by the gateway, which keeps it. Copy a file here again to change it."
_PLAIN = re.compile(r"\s*(?:[a-z_]{2,24}\s*=\s|\[[a-z_.])")
_LARGEST_FILE = 262_144


def plan(source: CardFile, vault: Vault) -> Plan:
    """Read the card; raises `InvalidConfigError` when its text is no TOML."""
    raw = _parsed(source.text)
    drawn = Plan(source, vault, raw, list(inlets(raw)))
    drawn.lines, drawn.spans = line_numbers(source.text), spans(source.text)
    if all(value == {} for value in raw.values()):
        raise card.wrong(
            "no option is set in it: every line is empty or begins with #",
            "Take the # away in front of the lines that you want, and fill them in.",
        )
    for one in drawn.found:
        twice = one.written and one.option.name in table(raw, one.table)
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
    for one, name in drawn.kept:  # now that every certificate is known
        stay(drawn, one, name)
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
        span = drawn.spans[one.place]
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
        drawn.kept.append((one, base(name)))
    elif one.value:
        drawn.say(
            one, "this means the one that the gateway has, and it has none", "Write it here, in quotes."
        )
    else:
        drawn.say(
            one, "there is nothing between the quotes", "Write it there, or put a # in front of the line."
        )


def _file(drawn: Plan, one: Inlet, value: str) -> None:
    """Take a file that lies on the card, or the one that the box has from an earlier card."""
    # Wherever on the card it lies, it is copied: what is named there could be exchanged on the card alone.
    inside = card.within(drawn.source.path.parent, value)
    place = inside or drawn.source.path.parent / value
    found = card.beside(place.parent, place.name) if inside or (value and "/" not in value) else None
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
    if content is None and inside is None and (value.startswith("/") or _on_box(drawn, value)):
        drawn.names[one.place] = value  # of a person who has a shell
        if one.option.text and (own := credentials.kept_name(value)):
            drawn.kept.append((one, own))
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
    known = _known(drawn, one)
    # A certificate may be that of another sink too.
    end = f".{clear}" if one.option.secret else ""
    mine = known[one.number or 0 :][:1]
    kept = next((name for name in mine if base(name).startswith("card-") and name.endswith(end)), None)
    kept = kept or drawn.vault.newest(clear)
    if kept is not None and drawn.vault.content(kept) is not None:
        drawn.names[one.place] = kept
    else:
        drawn.say(
            one, "there is no file of this name beside gateway.toml", "Copy it there, under just this name."
        )


def _known(drawn: Plan, one: Inlet) -> list[str]:
    """Give the files that the box has there; one on the card, which a gateway of before could name, is not the box's."""
    folder = drawn.source.path.parent
    return [
        "" if card.within(folder, name) else name for name in drawn.vault.named(one.table, one.option.name)
    ]


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
    for name in (*_known(drawn, one), drawn.vault.newest(clear)):
        if name and drawn.vault.content(name) == content:
            drawn.names[one.place] = name
            break
    else:
        name = None if one.option.secret else drawn.brought.get(content)
        name = name or drawn.vault.next_name(clear, secret=one.option.secret)
        drawn.names[one.place], drawn.files[name] = name, content
    if not one.option.secret:
        drawn.brought.setdefault(content, drawn.names[one.place])
