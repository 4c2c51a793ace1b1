"""The last net: takes out of a text what this configuration knows to be secret, however it is spelled there.

Every member of the archive is made of what may be shown in the first place. This is for what slipped into a sentence
all the same: a far end that repeats a token in its answer, an exception that has the whole address in it.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from gateway.config import Config
from gateway.config.secrets import SecretFile
from gateway.config.sections import Section as BaseSection
from gateway.event import slug

MASK = "***"
_LEAST = 4  # characters: a shorter one would take ordinary words and figures along
_LONG_PART = 10  # a part of a path that is as long may be a key; so may a path of several parts
_LONG_NAME = 8  # a name that is as long is no ordinary word
_HEADER = "value of a header"
_SECRET = ("token", _HEADER, "password", "secret", "bearer", "path_secret")  # the last ones by mistake
_NAMED_BY_PEOPLE = ("devices", "terminals", "zones")
_ADDRESSES = ("endpoint", "event_dest")


class Net:
    """Knows the secrets of one configuration."""

    def __init__(self, config: Config, raw: Mapping[str, Any] = MappingProxyType({})) -> None:
        """``raw`` is the file as it was written, where it has mistakes."""
        found: set[str] = set()
        names: set[str] = set()
        for known in (dict(config), raw):
            for secret in _secrets(known):
                found.update(_spellings(secret))
            tables = (known.get(section) for section in _NAMED_BY_PEOPLE)
            names.update(str(name) for table in tables if isinstance(table, Mapping) for name in table)
        self._found = sorted(found, key=len, reverse=True)  # the longest first: one may be a part of another
        self._names = _pattern(names)

    def cleaned(self, text: str) -> str:
        """Return the text without them."""
        for secret in self._found:
            text = text.replace(secret, MASK)
        return self._names.sub(MASK, text) if self._names else text


def _pattern(names: set[str]) -> re.Pattern[str] | None:
    """Find the names of tables as words of their own; short ones, which may be any word, only as a whole value."""
    words = [re.escape(name) for name in names if len(name) >= _LONG_NAME or re.search(r"[-_\d]", name)]
    found = [rf"(?<![\w-])(?:{'|'.join(words)})(?![\w-])"] if words else []
    found += [rf'(?<=")(?:{"|".join(map(re.escape, names))})(?="(?!:))'] if names else []
    return re.compile("|".join(found)) if found else None


def _secrets(value: Any, name: str = "") -> Iterator[str]:
    """Walk through everything that is configured."""
    if isinstance(value, SecretFile):
        yield value.reveal()
        yield value.reveal().removeprefix("whsec_")
    elif isinstance(value, str):
        yield from _of_text(value, name)
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _secrets(one, name)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _secrets(one, _HEADER if name == "headers" else str(key))
    elif isinstance(value, BaseSection):
        yield from _secrets(dict(value), name)


def _of_text(text: str, name: str) -> Iterator[str]:
    if name in _SECRET:
        yield text
    elif name in _ADDRESSES:
        yield from _of_address(text)


def _of_address(address: str) -> Iterator[str]:
    try:
        parts = urlsplit(address)
    except ValueError:  # of a file with mistakes
        yield address
        return
    if parts.password:
        yield parts.password
    if parts.query:
        yield parts.query
        yield from (value for _, value in parse_qsl(parts.query, keep_blank_values=True))
    if "/" in parts.path.strip("/"):
        yield parts.path
    yield from (part for part in parts.path.split("/") if len(part) >= _LONG_PART)


def _spellings(secret: str) -> Iterator[str]:
    if len(secret) < _LEAST:
        return
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (secret.lower(), slug(secret))  # an id that was made of a word in a path
    yield from (secret, quote(raw, safe=""), quote(raw), quote_plus(raw))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    yield base64.b64encode(raw).decode().rstrip("=")
