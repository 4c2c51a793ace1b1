"""From a file to a `Config`, or to all of its mistakes at once.

When options are wrong, the rest is still checked: what is wrong is taken out and the remainder is validated
again, so that options that clash are found in the same run. A configuration with a mistake is never used.
"""

import contextlib
import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config import credentials
from gateway.config.advice import dotted, explain, place_of
from gateway.config.clashes import clashes
from gateway.config.lines import Place, line_numbers, line_of
from gateway.config.mistakes import InvalidConfigError, Mistake
from gateway.config.model import Config
from gateway.config.sections import StoreSection
from gateway.config.sink_sections import SINK_TYPES
from gateway.config.syntax import parse, read_text
from gateway.config.wording import shown
from gateway.foreign import as_owner

_SECTION = re.compile(r"^[ \t]*\[", re.MULTILINE)
_STAND_INS = {"mqtt": "mqtts://stand-in.invalid", "https": "https://stand-in.invalid"}  # for a wrong endpoint
_SCHEMES = {"mqtt": "mqtt", "mqtts": "mqtt", "tcp": "mqtt", "ssl": "mqtt", "https": "https", "http": "https"}


def load(path: Path | None, *, stands_for: Path | None = None) -> Config:
    """Load a file, or the defaults when there is none; raise `InvalidConfigError` with every mistake.

    Its secrets are looked for beside it, or beside the file that it is a copy of. A copy, also one that is named itself,
    is the word of whom its folder belongs to: root reads no file for it that he could not read.
    """
    if path is None:
        return loads("")
    folder, state = Path(os.path.realpath(path.absolute().parent)), StoreSection().path
    if stands_for is None and state not in (folder, *folder.parents):
        with credentials.beside(path):
            return loads(read_text(path), str(path))
    with credentials.beside(stands_for or path), credentials.said_by_owner_of(folder):
        with as_owner(folder):
            text = read_text(path)
        return loads(text, str(path))


def answering(path: Path | None) -> Path:
    """Give the socket on which the daemon of this file answers, whatever else is wrong with the file."""
    try:
        raw = {} if path is None else _legible(read_text(path))
        needed = {"runtime": "socket", "store": "path"}  # all that decides where it is
        tables = {name: raw[name] for name in needed if isinstance(raw.get(name), dict)}
        return Config.model_validate(
            {name: {key: table[key]} for name, table in tables.items() if (key := needed[name]) in table}
        ).socket
    except (InvalidConfigError, ValidationError):
        return Config().socket


def _legible(text: str) -> dict[str, Any]:
    """Give the sections of a text that can be read each alone, the first of each name, whatever is wrong with others."""
    begins = [0, *(match.start() for match in _SECTION.finditer(text)), len(text)]
    legible: dict[str, Any] = {}
    for begin, end in pairwise(begins):
        with contextlib.suppress(InvalidConfigError):
            legible = parse(text[begin:end], None) | legible
    return legible


def loads(text: str, file: str | None = None) -> Config:
    """Load a configuration from its text; ``file`` is only named in the mistakes."""
    raw, found = _settle_types(parse(text, file))
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        faults = [(place_of(item), explain(item, raw)) for item in error.errors(include_url=False)]
        rest = _without_faults(raw, [place for place, _ in faults])
        found += faults
    else:
        rest = config
    if rest is not None:
        found += _clashing(rest, [place for place, _ in found])
    if found or rest is None:
        raise InvalidConfigError(_placed(found, text, file))
    return rest


def _settle_types(raw: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[Place, Mistake]]]:
    """Report sinks without a known type, and guess it, so that their other options are checked too."""
    found: list[tuple[Place, Mistake]] = []
    sinks = raw.get("sinks")
    if not isinstance(sinks, dict):
        return raw, found
    settled = {}
    for name, sink in sinks.items():
        if not isinstance(sink, dict) or sink.get("type") in list(SINK_TYPES):
            settled[name] = sink
            continue
        given = sink.get("type")
        near = difflib.get_close_matches(str(given).lower(), list(SINK_TYPES), 1)
        scheme = str(sink.get("endpoint", "")).partition("://")[0].lower()
        guess = near[0] if near else _SCHEMES.get(scheme)
        place = ("sinks", name, "type")
        problem = "this option is missing" if given is None else f"{shown(given)} is not a type of sink"
        mistake = _mistake(place, problem, f'write type = "{guess}"' if guess else None)
        found.append((place, replace(mistake, allowed=", ".join(SINK_TYPES))))
        if guess:
            settled[name] = {**sink, "type": guess}
    return {**raw, "sinks": settled}, found


def _without_faults(raw: dict[str, Any], places: Iterable[Place]) -> Config | None:
    """Validate what is left when everything wrong is taken out; no rule looks at the stand-ins."""
    for place in places:
        raw = _pruned(raw, place)
    sinks = {
        name: {"endpoint": _STAND_INS[sink["type"]], **sink} for name, sink in raw.get("sinks", {}).items()
    }
    try:
        return Config.model_validate({**raw, "sinks": sinks})
    except ValidationError:  # not known to happen; the mistakes that were found are reported all the same
        return None


def _pruned(table: dict[str, Any], place: Place) -> dict[str, Any]:
    """Give the table without what is at the place; a list goes as a whole."""
    if not place or place[0] not in table:
        return table
    key = str(place[0])
    inner = table[key]
    if len(place) > 1 and isinstance(inner, dict):
        return {**table, key: _pruned(inner, place[1:])}
    return {name: value for name, value in table.items() if name != key}


def _clashing(config: Config, wrong: list[Place]) -> list[tuple[Place, Mistake]]:
    return [
        (clash.places[0], _mistake(clash.places[0], clash.problem, clash.suggestion))
        for clash in clashes(config)
        if not any(_touches(place, bad) for place in clash.places for bad in wrong)
    ]


def _touches(place: Place, bad: Place) -> bool:
    return place[: len(bad)] == bad or bad[: len(place)] == place


def _mistake(place: Place, problem: str, suggestion: str | None) -> Mistake:
    return Mistake(file=None, line=None, key=dotted(place), problem=problem, suggestion=suggestion)


def _placed(found: Iterable[tuple[Place, Mistake]], text: str, file: str | None) -> list[Mistake]:
    """Put file and line to each mistake, in the order of the file."""
    lines = line_numbers(text)
    placed = [replace(mistake, file=file, line=line_of(lines, place)) for place, mistake in found]
    return sorted(placed, key=lambda mistake: (mistake.line or 0, mistake.key or ""))
