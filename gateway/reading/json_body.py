"""Reads a device's JSON: strictly first, then with repairs that cannot change a value, else `Unreadable`.

Reasons never quote the body: they end in logs and on pages, and the body holds names and pictures.
Every step is linear in the length of the body, which is a stranger's.
"""

import codecs
import json
import math
import re
from typing import Any, NoReturn

from gateway.errors import Unreadable
from gateway.event import Json

_EDGE = "\0 \t\r\n"
_WIDE = (  # the longer mark first: the UTF-32 one begins with the UTF-16 one
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A string (or what begins one and never ends), or a comma that has no value before it: both stay as they
# are. A comma before a closing bracket: goes. The possessive repeats keep a hostile body linear.
_TRAILING_COMMA = re.compile(
    r'("[^"\\]*+(?:(?>\\.[^"\\]*+))*+(?:"|\\?\Z)|[\[{][ \t\r\n]*+,)|,(?=[ \t\r\n]*+[\]}])', re.DOTALL
)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SHOWABLE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}")
_INT64_DIGITS = 19


def marks(body: bytes) -> int:
    """Count what a reader of JSON has to tell apart, at next to no cost."""
    # By leaving them out, which looks at a picture 16 letters at a time where `count` looks at each: 11 µs, not 74.
    return sum(len(body) - len(body.replace(mark, b"")) for mark in (b'"', b",", b"[", b"{"))


def read_json(body: bytes) -> tuple[Json, bool]:
    """Return the value and whether reading it took a repair: a trailing comma, or bytes that are not UTF-8."""
    text, repaired = _decode(body)
    text = text.strip(_EDGE)
    if not text:
        raise Unreadable("the body is empty")
    try:
        try:
            value = _DECODER.decode(text)
        except json.JSONDecodeError as fault:
            mended = _TRAILING_COMMA.sub(r"\1", text)
            if len(mended) == len(text):
                raise _not_json(fault) from None
            value, repaired = _decode_mended(mended), True
        if "\\" in text and _SURROGATE_ESCAPE.search(text):  # the first half is a fast way out
            _refuse_half_characters(value)
    except RecursionError:
        raise Unreadable("the body is not usable JSON: it is nested too deeply") from None
    return value, repaired


def _decode(body: bytes) -> tuple[str, bool]:
    for mark, encoding in _WIDE:
        if body.startswith(mark):
            return _decode_wide(body, encoding), False
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8"), False
    except UnicodeDecodeError as fault:
        offset = fault.start
    try:
        return body.decode("gb18030"), True
    except UnicodeDecodeError:
        raise Unreadable(f"the text is neither UTF-8 nor GB18030 (byte {offset})") from None


def _decode_wide(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as fault:
        raise Unreadable(
            f"the text begins as {encoding.upper()} but is broken at byte {fault.start}"
        ) from None


def _decode_mended(text: str) -> Json:
    try:
        value: Json = _DECODER.decode(text)
    except json.JSONDecodeError as fault:
        raise _not_json(fault) from None
    return value


def _not_json(fault: json.JSONDecodeError) -> Unreadable:
    return Unreadable(f"the body is not JSON: {fault.msg}, line {fault.lineno} column {fault.colno}")


def _refuse_half_characters(value: Json) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Unreadable("the body holds half of a character (a lone surrogate)") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; a key that is there twice with two meanings has none."""
    made = dict(pairs)
    if len(made) != len(pairs):
        for key, value in pairs:
            kept = made[key]
            # By their text: True == 1 == 1.0 in Python, not in JSON.
            if kept is not value and repr(kept) != repr(value):
                shown = f' "{key}"' if _SHOWABLE_KEY.fullmatch(key) else ""
                raise Unreadable(f"the body has the key{shown} twice with different values")
    return made


def _integer(digits: str) -> int:
    # The length first: Python refuses to convert thousands of digits, and with another exception.
    if len(digits.lstrip("-")) <= _INT64_DIGITS:
        number = int(digits)
        if -(2**63) <= number < 2**63:
            return number
    raise Unreadable("the body holds a whole number beyond 64 bits")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isfinite(number):
        return number
    raise Unreadable("the body holds a number that is too large")


def _no_number(word: str) -> NoReturn:
    raise Unreadable(f"the body holds {word}, which is not a number")


_DECODER = json.JSONDecoder(
    strict=False,  # a raw newline or tab in a string is read as itself
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_finite,
    parse_constant=_no_number,
)
