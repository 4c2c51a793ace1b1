"""Finds what stands beside the name of a secret, where the name is a value: <property name="pin" value="…"/>.

It stands behind the name or before it. Like all that masks it works on bytes, and looks at none of them twice.
"""

import re

from gateway.redact.names import LOOK_BACK, is_masked

LABELS = frozenset({b"name", b"key"})  # what holds the name of something whose value stands beside it
_QUOTES = frozenset((b'"', b"'"))
_LABEL_OPENS = _QUOTES | {b">"}
_LABEL_BEGINS = _LABEL_OPENS | {b"=", b":"}
_NAMED = re.compile(rb"\b(?:name|key)[\"']?\s*[=:]\s*[\"']?\Z")
_NAMED_ELEMENT = re.compile(rb"<(?:[\w-]{1,32}:)?(?:name|key)\s*>\s*\Z")
_TAG_NAME = re.compile(rb"[^\s/>]*+")
_ANY_TAG = re.compile(rb"<(?![!?])(/?)[^<>]*+>")
_NAMED_END = {True: re.compile(rb"/>|</|\Z"), False: re.compile(rb"\}|\Z")}  # by: is it XML
_WORD_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_- \t"
_WORDS = re.compile(rb"[a-z0-9_ \t-]{0,64}+")
NESTED = re.compile(rb"\"(?:(?>[^\"\\]++|\\.))*+\"?|[\[{]|[\]}]", re.DOTALL)


def is_labelled(before: bytes) -> bool:
    """Say whether what stands before a word makes it the name of something else."""
    if before.rstrip()[-1:] not in _LABEL_BEGINS:  # mostly: the patterns would be tried from each letter
        return False
    return _NAMED.search(before) is not None or _NAMED_ELEMENT.search(before) is not None


def label_at(low: bytes, begin: int, end: int) -> tuple[int, int] | None:
    """Give where the name of a secret begins and ends that stands as a value; Key West is none, wifi key is one."""
    ahead = low[max(0, begin - LOOK_BACK) : begin]
    front = ahead.rstrip(_WORD_LETTERS)
    if front[-1:] in _LABEL_OPENS and (words := _WORDS.match(low, end)):
        begin, end = begin - len(ahead) + len(front), words.end()
    name = re.split(rb"[.:]", low[begin:end])[-1].strip()
    return (begin, end) if is_masked(name, person=True, label=True) else None


def beside(low: bytes, begin: int, end: int, *, floor: int, first: bytes) -> tuple[int, int] | None:
    """Take what stands beside a name in <property name="pin" value="…"/>, {"value": "…", "name": "pin"}, <name>pin</name>.

    The name begins at one place; from the other on what stands there goes, and nothing before the floor does. ``first``
    is how the body begins.
    """
    before = low[max(0, begin - LOOK_BACK) : begin]
    if element := _NAMED_ELEMENT.search(before):
        return _beside_element(low, begin - len(element[0]), end, floor)
    named = _NAMED.search(before)
    if named is None:
        return None
    start = end + 1 if low[end : end + 1] in _QUOTES else end
    front = _in_front(low, begin - len(named[0]), floor, first)
    behind = _NAMED_END[first == b"<"].search(low, start)
    return start if front is None else front, behind.start() if behind else len(low)


def _in_front(low: bytes, at: int, floor: int, first: bytes) -> int | None:
    """Find where the first attribute or member begins that stands with the one at that place, but before it."""
    if first == b"<":
        tag = _TAG_NAME.match(low, max(floor, low.rfind(b"<", floor, at) + 1), at)
        return tag.end() if tag and b"=" in low[tag.end() : at] else None
    if first not in {b"{", b"["}:
        return None
    open_at = [floor + (low[floor : floor + 1] in _QUOTES)]
    for token in NESTED.finditer(low, open_at[0], at):
        if token[0] in {b"{", b"["}:
            open_at.append(token.end())
        elif token[0] in {b"}", b"]"} and len(open_at) > 1:
            open_at.pop()
    return open_at[-1] if b":" in low[open_at[-1] : at] else None


def _beside_element(low: bytes, begin: int, end: int, floor: int) -> tuple[int, int]:
    """Take all that stands in the same element as <name>pin</name>, which begins there and whose content ends there."""
    open_at = [floor]
    for tag in _ANY_TAG.finditer(low, floor, begin):
        if tag[1] and len(open_at) > 1:
            open_at.pop()
        elif not tag[1] and not tag[0].endswith(b"/>"):
            open_at.append(tag.end())
    depth = 1
    for tag in _ANY_TAG.finditer(low, end):
        depth += 0 if tag[0].endswith(b"/>") else -1 if tag[1] else 1
        if depth < 0:
            return open_at[-1], tag.start()
    return open_at[-1], len(low)
