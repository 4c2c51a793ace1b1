"""Makes a value safe to log: no secret, no picture, no forged line, no endless text.

What a device sent is hostile until it went through here. It is the last net, not the first: nobody logs a
body or a password on purpose, but the text of an exception of some library may hold one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_TEXT_MAX = 1000
_HEAD_MAX = 2000  # of a traceback
_TAIL_MAX = 6000
_LOOKED_AT = 20_000  # of any text
_ITEMS_MAX = 20
_DEEPEST = 4

# Names whose value is never written. Not "pass" alone: counters have "passings".
_SECRET_NAME = re.compile(
    r"passw|passphrase|passcode|(?:^|[_-])pass(?:$|[_-])|pwd|secret|token|authorization|api[_-]?key|bearer"
    r"|credential|cookie|private[_-]?key|wifi|^pin$|signature",
    re.IGNORECASE,
)
_NAME = (  # its end: what is in front of it does not matter
    r"(?:passw|passphrase|secret|token|authorization|api[_-]?key|cookie)[\w-]{0,40}+|(?<![\w-])(?:pin|pwd|pass)"
)
_HARMLESS = re.compile(r"[A-Za-z0-9_./-]{0,100}")
_IN_TEXT = (
    (re.compile(r"(?<=://)[^/\s\"'<>\\]*@"), "***@"),
    (re.compile(r"(://[^\s\"'<>?\\]{0,512}+\?)[^\s\"'<>\\#]++"), r"\1***"),
    (
        re.compile(r"(?<![a-z0-9])([a-z]:[\\/]{1,8}+users[\\/]{1,8}+)[^\\/\"'<>\r\n]++", re.IGNORECASE),
        r"\1***",
    ),
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), "whsec_***"),
    (re.compile(r"\b(bearer)\s+(?!token\b)[^\s\"'\\,;]{6,}", re.IGNORECASE), r"\1 ***"),
    (re.compile(rf"(<[\w:.-]{{0,40}}?(?:{_NAME})>)[^<]*", re.IGNORECASE), r"\1***"),
    (
        re.compile(
            rf"((?:{_NAME})\\{{0,4}}[\"']?\s{{0,3}}[:=]\s{{0,3}})"
            r"(?:\\{0,4}\"[^\"]*\"?|\\{0,4}'[^']*'?|(?:basic|digest)\s+[^\s,;&<>]+|[^\s\"',;&<>]+)",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"[A-Za-z0-9+/\\]{512,}={0,2}"), lambda run: f"<{len(run[0])} chars>"),
)
# C0 and C1 (a terminal obeys them), line separators, marks that turn the reading direction, and what is no
# character at all and would make writing fail.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def cleaned(fields: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of the fields of one line, all of them safe; numbers stay numbers."""
    made: dict[str, object] = {}
    for key, value in fields.items():
        name = re.sub(r"[^\w.-]", "_", str(key))[:60]
        if key == "exception":
            made[name] = clean_traceback(str(value))
        else:
            made[name] = "***" if _is_masked(name, value) else _value(value, 0)
    return made


def clean_text(text: str) -> str:
    """Make one line of a text, without secrets."""
    if _HARMLESS.fullmatch(text) and "whsec_" not in text:
        return text  # most of all values: ids, names of sinks and sources
    shortened = _scrubbed(text[:_LOOKED_AT])
    if len(shortened) > _TEXT_MAX or len(text) > _LOOKED_AT:
        shortened = f"{shortened[:_TEXT_MAX]}…<{len(text)} chars>"
    return _UNSAFE.sub(_escape, shortened)


def clean_traceback(text: str) -> str:
    """Keep the lines of a traceback, indented, so that none of them looks like a line of its own."""
    scrubbed = _scrubbed(text[:_LOOKED_AT])
    if len(text) > _LOOKED_AT or len(scrubbed) > _HEAD_MAX + _TAIL_MAX:
        # Far more is looked at than is kept, so that no half of a secret stands at the cut.
        scrubbed = scrubbed[:_HEAD_MAX] + "\n…\n" + _scrubbed(text[-_LOOKED_AT:])[-_TAIL_MAX:]
    return "\n".join("    " + _UNSAFE.sub(_escape, line) for line in scrubbed.split("\n"))


def _scrubbed(text: str) -> str:
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    return text


def _is_masked(name: str, value: object) -> bool:
    return value is not None and not isinstance(value, bool) and _SECRET_NAME.search(name) is not None


def _value(value: object, depth: int) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {
            clean_text(str(key)): "***" if _is_masked(str(key), item) else _value(item, depth + 1)
            for key, item in _first(value.items())
        }
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_value(item, depth + 1) for item in _first(value)]
    return clean_text(str(value))


def _first(items: Iterable[Any]) -> list[Any]:
    return [item for _, item in zip(range(_ITEMS_MAX), items, strict=False)]


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    known = {9: r"\t", 10: r"\n", 13: r"\r"}.get(code)
    return known or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
