"""Which options of a table name a file, whether a secret is in it, and by which names people mean it.

On the card of a first boot a secret is written where its file is named elsewhere: `password` for `password_file`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config.advice import IN_A_FILE
from gateway.config.lines import Place
from gateway.config.outline import table_at
from gateway.config.secrets import KeyOption, PlainFile, SecretFile
from gateway.config.sink_sections import SINK_TYPES

_PRIVATE_KEY = get_args(KeyOption)[1]  # its validator: of the PEM files only this one is a secret


@dataclass(frozen=True, slots=True)
class FileOption:
    """An option whose value is the name of a file."""

    name: str
    text: bool  # one line of secret text is in it, so that it can be written directly
    secret: bool

    @property
    def word(self) -> str:
        """The name of what is in the file."""
        return self.name.removesuffix("_file")


def tables(raw: Mapping[str, Any], place: Place = ()) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Give every table of a parsed file with its place."""
    yield place, raw
    for key, value in raw.items():
        if isinstance(value, Mapping):
            yield from tables(value, (*place, key))


def file_options(place: Place, raw: Mapping[str, Any]) -> dict[str, FileOption]:
    """Give the options of a table that name a file; of a sink without a type those of all types."""
    options = {}
    for model in _models(place, raw):
        for name, field in model.model_fields.items():
            if option := _file_option(name, field):
                options[name] = option
    return options


def option_meant(word: str, place: Place, raw: Mapping[str, Any]) -> FileOption | None:
    """Find the option for whose file's text a word stands; None for an option, and for what nobody knows."""
    if any(word in model.model_fields for model in _models(place, raw)):
        return None
    options = file_options(place, raw)
    for name in (f"{word.lower()}_file", IN_A_FILE.get(word.lower(), "")):
        if name in options and options[name].text:
            return options[name]
    return None


def _models(place: Place, raw: Mapping[str, Any]) -> list[type[BaseModel]]:
    model = table_at(place, raw)
    if model is None and len(place) == 2 and place[0] == "sinks":
        return list(SINK_TYPES.values())
    return [model] if model else []


def _file_option(name: str, field: FieldInfo) -> FileOption | None:
    kinds = {
        kind for part in (field.annotation, *get_args(field.annotation)) for kind in (part, *get_args(part))
    }
    if SecretFile in kinds:
        return FileOption(name, text=True, secret=True)
    if PlainFile in kinds:
        return FileOption(name, text=False, secret=_PRIVATE_KEY in field.metadata)
    return None
