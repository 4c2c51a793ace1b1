"""What a move to another box needs to know of a configuration that may not load there yet: its secrets are missing."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.config.model import Config
from gateway.config.secrets import PlainFile, SecretFile
from gateway.config.sections import GatewaySection, StoreSection
from gateway.config.syntax import parse
from gateway.errors import ConfigError

CREDENTIALS = Path("/etc/gateway/credentials")
CERTIFICATES = Path("/etc/gateway/certificates")  # that came from a card
_HEADING = re.compile(r"^[ \t]*\[[ \t]*gateway[ \t]*\][ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Places:
    """Whose configuration it is, and where it has its store."""

    gateway: str | None  # as it is written; None: it has the id that its store remembers
    store: Path
    min_free_bytes: int


def places(text: str, file: str | None = None) -> Places:
    """Read the little that is needed; what else is wrong is for the daemon to say. Raises `ConfigError`."""
    raw = parse(text, file)
    try:
        store = StoreSection.model_validate(_table(raw, "store"))
        gateway = GatewaySection.model_validate(_table(raw, "gateway"))
    except ValidationError as error:
        raise ConfigError(
            f"The sections gateway and store of {file or 'the configuration'} are wrong."
        ) from error
    return Places(gateway.id if gateway.id_written else None, store.path, store.min_free_bytes)


def with_id(text: str, gateway: str) -> str:
    """Have a configuration without an id of its own keep the one that it had: on another host it would be another."""
    if "id" in _table(parse(text, None), "gateway"):
        return text
    line = f'id = "{gateway}"'
    if _HEADING.search(text):
        changed = _HEADING.sub(lambda heading: f"{heading[0]}\n{line}", text, count=1)
    else:
        changed = f"{text.rstrip()}\n\n[gateway]\n{line}\n".lstrip()
    if places(changed).gateway != gateway:
        raise ConfigError(f'The configuration cannot be given the id of its gateway: write id = "{gateway}".')
    return changed


def named_files(config: Config) -> list[Path]:
    """Name every secret and certificate that a configuration uses."""
    return sorted(set(_files(config)))


def _files(value: Any) -> Iterator[Path]:
    if isinstance(value, SecretFile | PlainFile):
        yield value.path
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _files(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _files(inner)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _files(inner)


def _table(raw: Mapping[str, Any], name: str) -> Any:
    return raw.get(name, {})
