"""Keeps what a push says and nobody here understands, raw and bounded, and never a secret.

Vendors add fields without notice; a person can then see them. A secret is known by its name alone, so
the list of names is wide: losing an unknown field is better than keeping a Wi-Fi key. The same goes for
numbers about gender or age in a place where nobody expects them: their switch is `keep_personal`.
"""

import re

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.reading import xml_body
from gateway.reading.xml_body import Element
from gateway.redact import redact_text
from gateway.sources.people_counter.fields import LONGEST_TEXT, clean

MOST_ENTRIES = 32
MOST_LEFT_OUT = 10_000  # of one push; a counter's day of minutes has 1,440 statements
_DEEPEST = 4
_TOO_LONG = LONGEST_TEXT + 1  # cut there, a name is still too long, and so is every name inside of it
_NOT_KEPT = "(not kept)"

_NOT_LETTER = re.compile(r"[\W_]+")
_SECRET = re.compile(
    r"pass(w|phrase|code|key|$)|pwd|psk|secret|ssid|key|credential|login|token|streamuri"
    r"|pin$"
)
_NETWORK = re.compile(r"wifi|wlan|wpa|wep")
_SECRET_OF_NETWORK = re.compile(r"pass|code|auth")  # anywhere behind the first of those
_PERSONAL = re.compile(
    r"male|gender|sex|^age([0-9]|less|over|under|to|group|num|$)|race|ethni|emotion|religio"
)
_SECRET_IN_TEXT = re.compile(r"passw|passphrase|psk|ssid|secret")
_COUNTED = frozenset({"object", "count", "gendercount", "agecount", "workcardcount"})


class Leftovers:
    """Collects unknown things until an event takes them along."""

    def __init__(self) -> None:
        self._kept: dict[str, Json] = {}
        self._left_out = 0

    def take(self) -> dict[str, Json]:
        """Hand over what was collected, and start again."""
        taken, self._kept = self._kept, {}
        return taken

    def note(self, name: str, value: str) -> None:
        """Keep a value under the name that the device gave it, unless one of them tells of a secret."""
        if len(self._kept) >= MOST_ENTRIES or self._left_out >= MOST_LEFT_OUT:
            return
        # A name that would have to be cut is none, and may tell of a secret where it is cut.
        if len(name) > LONGEST_TEXT or _tells(_letters(name)) or _SECRET_IN_TEXT.search(_letters(value)):
            self._left_out += 1  # looking is work, too
            return
        key = base = clean(name)
        text = redact_text(clean(value))
        turn = 2
        while key in self._kept and self._kept[key] != text:
            key = f"{base}#{turn}"
            turn += 1
        self._kept[key] = text

    def attributes(
        self, element: Element, known: frozenset[str], inside: str = "", *, values: bool = True
    ) -> None:
        """Keep the attributes of an element that are not known ones, or only their names."""
        for name, value in xml_body.spelled_attributes(element):
            if name.lower() not in known:
                self.note(inside + name, value if values else _NOT_KEPT)

    def element(self, element: Element, *, values: bool = True) -> None:
        """Keep an unknown element with everything in it; counts in a place where none belong are refused."""
        for part in element.iter():
            if xml_body.local_name(part) in _COUNTED:
                raise Unreadable(
                    f"{xml_body.bare_name(part)[:64]} stands where none belongs, so its numbers cannot be placed."
                )
        if len(self._kept) >= MOST_ENTRIES:
            return
        if values:
            self._inside(element, "", _DEEPEST)
        else:
            self.note(xml_body.bare_name(element), _NOT_KEPT)

    def _inside(self, element: Element, path: str, levels: int) -> None:
        name = (path + xml_body.bare_name(element))[:_TOO_LONG]
        value = xml_body.text(element)
        if value or not (len(element) or element.attrib):
            self.note(name, value)
        self.attributes(element, frozenset(), f"{name}.")
        if levels > 1:
            for child in element:
                self._inside(child, f"{name}.", levels - 1)


def _letters(text: str) -> str:
    return _NOT_LETTER.sub("", text.strip()[:4096].lower())


def _tells(letters: str) -> bool:
    """Look in one pass: each attribute of an element repeats the names of all around it."""
    network = _NETWORK.search(letters)
    return bool(
        _SECRET.search(letters)
        or _PERSONAL.search(letters)
        or (network and _SECRET_OF_NETWORK.search(letters, network.end()))
    )
