"""Keeps what a push says and nobody here understands, raw and bounded, and never a secret.

Vendors add fields without notice; a person can then see them. A secret is known by its name alone, so
the list of names is wide: losing an unknown field is better than keeping a Wi-Fi key. The same goes for
numbers about gender or age in a place where nobody expects them: their switch is `keep_personal`.
The name may stand beside its value (<Item name="pin" value="…"/>), so whatever stands together is judged together.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from gateway.errors import Unreadable
from gateway.event import Json
from gateway.reading import xml_body
from gateway.reading.xml_body import Element
from gateway.redact import redact_text, tells_of_secret
from gateway.sources.people_counter.fields import LONGEST_TEXT, clean

MOST_ENTRIES = 32
MOST_LEFT_OUT = 10_000  # of one push; a counter's day of minutes has 1,440 statements
_MOST_PARTS = 1_000  # texts and attributes of one unknown element; one with more is not kept
_DEEPEST = 4
_TOO_LONG = LONGEST_TEXT + 1  # cut there, a name is still too long, and so is every name inside of it
_NOT_KEPT = "(not kept)"

_NOT_LETTER = re.compile(r"[\W_]+")
_PERSONAL = re.compile(
    r"male|gender|sex|^age([0-9]|less|over|under|to|group|num|$)|race|ethni|emotion|religio"
)
_SECRET_IN_TEXT = re.compile(r"passw|passphrase|psk|ssid|secret")
# What holds the name of another one: an element by the end of its name, an attribute that is known as such.
_LABEL = re.compile(r"(?:name|key|label|title|field|item|option|setting|param|parameter|property|id)$")
_NAMES = frozenset({"name", "id"})
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
        if self._full():
            return
        if _gives_away(name, value):
            self._left_out += 1  # looking is work, too
        else:
            self._keep(name, value)

    def attributes(
        self, element: Element, known: frozenset[str], inside: str = "", *, values: bool = True
    ) -> None:
        """Keep the attributes of an element that are not known ones, or only their names."""
        stated = xml_body.spelled_attributes(element)
        unknown = [(name, value) for name, value in stated if name.lower() not in known]
        if values and not self._full():
            labels = [value for _, value in unknown] if len(unknown) > 1 else []
            labels += [value for name, value in stated if name.lower() in _NAMES and name.lower() in known]
            if any(_tells(_letters(label)) for label in labels):
                self._left_out += len(stated)
                return
        for name, value in unknown:
            self.note(inside + name, value if values else _NOT_KEPT)

    def elements(self, siblings: Sequence[Element], *, values: bool = True) -> None:
        """Keep unknown elements that stand beside each other with everything in them, or only their names.

        Counts in a place where none belong are refused.
        """
        for element in siblings:
            _refuse_counts(element)
        if not values:
            for element in siblings:
                self.note(xml_body.bare_name(element), _NOT_KEPT)
        elif not self._full() and not self._named_beside(siblings):
            for element in siblings:
                self._element(element)

    def _named_beside(self, siblings: Sequence[Element]) -> bool:
        """Say whether an element is the name of a secret beside it: <Name>WifiPassword</Name><Value>…</Value>."""
        named = filter(lambda element: _LABEL.search(xml_body.local_name(element)), siblings)
        labels = [text for text in map(xml_body.text, named) if text] if len(siblings) > 1 else []
        self._left_out += len(labels)
        return len(labels) > _MOST_PARTS or any(_tells(_letters(label)) for label in labels)

    def _element(self, element: Element) -> None:
        """Keep all of an element or nothing: where one part tells of a secret, another may hold it."""
        if self._full():
            return
        parts = list(islice(_parts(element, "", _DEEPEST), _MOST_PARTS + 1))
        labels = len(parts) > 1  # what stands alone is the name of nothing
        if len(parts) > _MOST_PARTS or any(_gives_away(*part, label=labels) for part in parts):
            self._left_out += len(parts)
            return
        self._left_out += max(0, len(parts) - MOST_ENTRIES)
        for name, value in parts:
            self._keep(name, value)

    def _full(self) -> bool:
        return len(self._kept) >= MOST_ENTRIES or self._left_out >= MOST_LEFT_OUT

    def _keep(self, name: str, value: str) -> None:
        if len(self._kept) >= MOST_ENTRIES:
            return
        key = base = clean(name)
        text = redact_text(clean(value))
        turn = 2
        while key in self._kept and self._kept[key] != text:
            key = f"{base}#{turn}"
            turn += 1
        self._kept[key] = text


def _refuse_counts(element: Element) -> None:
    for part in element.iter():
        if xml_body.local_name(part) in _COUNTED:
            raise Unreadable(
                f"{xml_body.bare_name(part)[:64]} stands where none belongs, so its numbers cannot be placed."
            )


def _parts(element: Element, path: str, levels: int) -> Iterator[tuple[str, str]]:
    """Give the texts and attributes of an element, each under the names of all around it."""
    name = (path + xml_body.bare_name(element))[:_TOO_LONG]
    value = xml_body.text(element)
    if value or not (len(element) or element.attrib):
        yield name, value
    for attribute, stated in xml_body.spelled_attributes(element):
        yield f"{name}.{attribute}", stated
    if levels > 1:
        for child in element:
            yield from _parts(child, f"{name}.", levels - 1)


def _gives_away(name: str, value: str, *, label: bool = False) -> bool:
    """Say whether a name or value tells of a secret; ``label``: the value may be the name of another one."""
    # A name that would have to be cut is none, and may tell of a secret where it is cut.
    if len(name) > LONGEST_TEXT or _tells(_letters(name)):
        return True
    letters = _letters(value)
    return bool(_SECRET_IN_TEXT.search(letters)) or (label and _tells(letters))


def _letters(text: str) -> str:
    return _NOT_LETTER.sub("", text.strip()[:4096].lower())


def _tells(letters: str) -> bool:
    """Look in one pass: each attribute of an element repeats the names of all around it."""
    return tells_of_secret(letters) or _PERSONAL.search(letters) is not None
