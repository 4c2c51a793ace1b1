"""Parts what another system said into what may be kept openly, what is personal, and what must go.

Nothing of the open part is changed but for logins and keys in URLs, so that it is as full as it came.
"""

import re
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.reading.json_body import read_json
from gateway.sources.camio.names import is_never, is_personal
from gateway.sources.camio.texts import has_email, without_logins

_DEEPEST = 24
_NAMES_MAX = 20
_KEY_MAX = 128
_PAIR_MAX = 1_024
_PAIR = ("name", "key", "field")
_TEXT_MAX = 65_536
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")
_PICTURE = re.compile(r"(?:data:image/|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{512,}+)")
_SECRET_TEXT = re.compile(
    r"authorization|bearer\s|passw(?:or)?d|\bpin\s{0,3}[\"']?\s{0,3}[=:]|\bsecret\b|rtsps?://", re.IGNORECASE
)
_MARKUP = re.compile(r'\s*(?:\{\s*"|\[\s*[\[{"]|<[A-Za-z?!][^>]*>[^<]*<)')


class _Nothing:
    """Stands where a part has nothing; JSON's null is something."""


NOTHING = _Nothing()
Part: TypeAlias = "Json | _Nothing"


@dataclass(slots=True)
class Parting:
    """What was said, parted."""

    open: dict[str, Json] = field(default_factory=dict)
    personal: dict[str, Json] = field(default_factory=dict)
    withheld: list[Json] = field(default_factory=list)  # names of what must never be kept


def part(said: dict[str, Json], parent: str = "") -> Parting:
    """Part one object."""
    made = Parting()
    knife = _Knife(made.withheld)
    opened, personal = knife.mapping(said, parent, about_person=False, depth=0)
    if isinstance(opened, dict):
        made.open = opened
    if isinstance(personal, dict):
        made.personal = personal
    return made


class _Knife:
    def __init__(self, withheld: list[Json]) -> None:
        self._withheld = withheld

    def mapping(
        self, said: dict[str, Json], parent: str, *, about_person: bool, depth: int
    ) -> tuple[Part, Part]:
        # {"name": "badge_id", "value": 17}: what the value is stands in the value of the name.
        named = next((said[key] for key in _PAIR if isinstance(said.get(key), str)), None)
        pair = named if isinstance(named, str) and "value" in said else ""
        if pair and is_never(pair[:_PAIR_MAX]):
            self._withhold(pair)
            return NOTHING, NOTHING
        # Of a name so long nobody can say what it names.
        about_person = about_person or len(pair) > _PAIR_MAX or bool(pair and is_personal(pair))
        opened: dict[str, Json] = {}
        personal: dict[str, Json] = {}
        for key, value in said.items():
            if is_never(key[:_KEY_MAX]):
                self._withhold(key)
                continue
            told = about_person or self._names(key[:_KEY_MAX], parent, pair=pair)
            one, other = self._value(value, key[:_KEY_MAX], about_person=told, depth=depth + 1)
            if not isinstance(one, _Nothing):
                opened[key[:_KEY_MAX]] = one
            if not isinstance(other, _Nothing):
                personal[key[:_KEY_MAX]] = other
        return opened if opened or not personal else NOTHING, personal or NOTHING

    @staticmethod
    def _names(key: str, parent: str, *, pair: str) -> bool:
        """Say whether a key is that of something personal, or is itself somebody's address."""
        if pair and key in _PAIR:
            return False
        return has_email(key) or is_personal(key, parent)

    def _value(self, value: Json, name: str, *, about_person: bool, depth: int) -> tuple[Part, Part]:
        if depth > _DEEPEST:
            raise Unreadable("the callback is nested too deeply")
        if isinstance(value, dict):
            return self.mapping(value, name, about_person=about_person, depth=depth)
        if isinstance(value, list):
            return self._list(value, name, about_person=about_person, depth=depth)
        if isinstance(value, str):
            return self._text(value, name, about_person=about_person, depth=depth)
        return (NOTHING, value) if about_person else (value, NOTHING)

    def _list(self, said: list[Json], name: str, *, about_person: bool, depth: int) -> tuple[Part, Part]:
        parted = [self._value(item, name, about_person=about_person, depth=depth) for item in said]
        opened = [one for one, _ in parted if not isinstance(one, _Nothing)]
        personal = [other for _, other in parted if not isinstance(other, _Nothing)]
        if not personal:
            return opened, NOTHING
        return opened or NOTHING, personal

    def _text(self, said: str, name: str, *, about_person: bool, depth: int) -> tuple[Part, Part]:
        if _MARKUP.match(said):
            return self._nested(said, name, about_person=about_person, depth=depth)
        if len(said) > _TEXT_MAX or _PICTURE.search(said) or _SECRET_TEXT.search(said):
            self._withhold(name)
            return NOTHING, NOTHING
        if about_person or has_email(said):
            return NOTHING, without_logins(said)
        return without_logins(said), NOTHING

    def _nested(self, said: str, name: str, *, about_person: bool, depth: int) -> tuple[Part, Part]:
        """Look into JSON that stands in a text; it stays a text when all of it may be kept."""
        try:
            inner, _ = read_json(said.encode("utf-8", "replace"))
        except Unreadable:
            inner = None
        if not isinstance(inner, dict | list):  # XML, or broken: nobody can say whom it names
            if len(said) > _TEXT_MAX or _SECRET_TEXT.search(said) or _PICTURE.search(said):
                self._withhold(name)
                return NOTHING, NOTHING
            return NOTHING, without_logins(said)
        before = len(self._withheld)
        opened, personal = self._value(inner, name, about_person=about_person, depth=depth + 1)
        whole = opened == inner and isinstance(personal, _Nothing) and len(self._withheld) == before
        return (said, NOTHING) if whole else (opened, personal)

    def _withhold(self, name: str) -> None:
        if _PLAIN_NAME.fullmatch(name) and name not in self._withheld and len(self._withheld) < _NAMES_MAX:
            self._withheld.append(name)
