"""Masks secrets, pictures and personal fields, by name, in a body that nobody could parse.

A letter keeps such a body for a person to look at, so it errs on one side: what may belong to a secret is
masked, and a value that never ends is masked to the end of the body. It works on bytes, in one pass forward;
repeats in the patterns are possessive, bounded or cannot meet the same bytes twice: the body is a stranger's.
"""

import codecs
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from gateway.redact.beside import LABELS, NESTED, beside, is_labelled, label_at
from gateway.redact.nameless import nameless, without_logins
from gateway.redact.names import LOOK_BACK, NAMES, PERSON, PICTURES, is_masked

_NAME_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_.:-"
_NAME_BYTES = frozenset(_NAME_LETTERS[place : place + 1] for place in range(len(_NAME_LETTERS)))
_NAME_END = re.compile(rb"[a-z0-9_-]{0,64}+")

_TAG = re.compile(rb"(?:<|&(?:amp;)*lt;|\\u003c)\Z")
_NO_CONTENT = re.compile(rb"[^<>]*/>")
_PLAIN_TAG = re.compile(rb"\s*+>")
_IN_QUOTES = re.compile(rb"[a-z0-9_ \t-]{0,64}+(?=\\{0,8}[\"'][ \t\r\n]{0,8}[:=])")
_BLANKS = frozenset((b" ", b"\t"))
_QUOTES = frozenset((b'"', b"'"))
_FORM_DATA = re.compile(rb"form-data\s*;[^\r\n]*\Z")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_PART_END = re.compile(rb"\r?\n--|\Z")
# To the end of its line, so that a line of nothing but beginnings is read once; bounded, so that lines are, too.
_PICTURE_TYPE = re.compile(rb"content-type:[ \t]{0,8}+image/[^\r\n]*+")
_HEADERS_BEHIND = re.compile(rb"(?:(?>\r?\n[^\r\n]{1,400}+)){0,8}+\r?\n\r?\n")

_QUOTE = rb"(\\*+[\"']|&(?:(?>amp;))*+(?:quot|apos|#34|#39);)"
_SEPARATOR = re.compile(_QUOTE + rb"?\]?[ \t\r\n]*+([:=])>?[ \t\r\n]*+")
_OPENING = re.compile(_QUOTE)
_LITERAL = re.compile(rb"(?:-?[0-9][0-9.e+-]*+|true|false|null)(?=[ \t\r\n,}\]]|\Z)")
_LINE_END = re.compile(rb"[\r\n]|\Z")
# Where a value without quotes ends, by the first byte of the body.
_BARE_END = {b"<": re.compile(rb"[\r\n<>]|\Z"), b"{": re.compile(rb"[&\t\r\n\"'<>]|\Z")}
_BARE_END[b"["] = _BARE_END[b"{"]
_FORM_END = re.compile(rb"[&\t\r\n]|\Z")
# A quote ends a value only where a value can end: the body is broken, perhaps by a quote inside the value.
_AFTER_VALUE = {b":": rb"[ \t\r\n]*+(?:[,}\]]|\Z)", b"=": rb"[\s/>?;,&]|\Z"}

_MARKUP = (b"{", b"[", b"<")
_EDGE = b"\xef\xbb\xbf\0 \t\r\n"


class _Span(NamedTuple):
    start: int
    stop: int
    quoted: bool = False  # the mask needs quotes, to stay a JSON value


def redact_body(body: bytes) -> bytes:
    """Return the body with every value that must not be kept replaced; UTF-16 comes back as UTF-8."""
    raw = without_logins(_without_picture_parts(_with_open_fields(_as_utf8(body))))
    low = raw.lower()  # of bytes: only ASCII letters change, and no offset
    person = PERSON.search(low) is not None
    kept: list[bytes] = []
    done = at = floor = 0  # nothing before the floor is looked at again
    while found := NAMES.search(low, at):
        begin, at = _whole_name(low, found)
        bare = re.split(rb"[.:]", low[begin:at])[-1].strip()
        if not _goes(bare, person=person) and not (bare == b"pass" and _first(low) == b"<"):
            continue
        span, label = _span(low, begin, at), None
        if span is None:
            label = label_at(low, begin, at)
        elif bare in LABELS and is_masked(low[span.start : span.stop].strip(), person=True, label=True):
            label = (span.start, span.start)
        if label:
            around = beside(low, *label, floor=max(done, floor), first=_first(low))
            span = _widest(span, around) if around else span
            floor = at
        if span is None or not low[span.start : span.stop].strip():
            continue
        span = _with_what_it_names(low, span, person=person)
        kept += (raw[done : span.start], _mask(bare, span))
        done = span.stop
        at = max(at, done)
    kept.append(raw[done:])
    return nameless(b"".join(kept))


def _goes(name: bytes, *, person: bool) -> bool:
    """Say whether a value of this name goes: for the whole of it, "wifi key", or for its last word, "set cookie"."""
    return is_masked(name, person=person) or (
        any(blank in name for blank in _BLANKS) and is_masked(name.split()[-1], person=person)
    )


def _widest(span: _Span | None, around: tuple[int, int]) -> _Span:
    """Take a name's own value, too: a person may be called like a secret, and more than a name may stand there."""
    return _Span(min(span.start, around[0]), max(span.stop, around[1])) if span else _Span(*around)


def redact_text(text: str) -> str:
    """Return a device's own words without what must not be kept; plain words stay as they are."""
    if not any(mark in text for mark in ":=<"):
        return text
    clean = redact_body(text.encode("utf-8", "surrogatepass"))
    try:
        return clean.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # a mask may have taken a part of a character with it
        return clean.decode("utf-8", "replace")


def _mask(name: bytes, span: _Span) -> bytes:
    mask = b"<%d chars>" % (span.stop - span.start) if name in PICTURES else b"***"
    return b'"%b"' % mask if span.quoted else mask


def _with_what_it_names(low: bytes, span: _Span, *, person: bool) -> _Span:
    """Go on where a value ends in the name of a secret: in a broken body it is the name of what follows."""
    while True:
        begin = max(span.start, span.stop - LOOK_BACK)
        tail = low[begin : span.stop].rstrip(b"\\\"'=: \t")
        name = tail[len(tail.rstrip(_NAME_LETTERS)) :]
        end = begin + len(tail)
        if not name or not is_masked(re.split(rb"[.:]", name)[-1], person=person):
            return span
        further = _span(low, end - len(name), end)
        if further is None or further.stop <= span.stop:
            return span
        span = span._replace(stop=further.stop)


def _whole_name(low: bytes, found: re.Match[bytes]) -> tuple[int, int]:
    before = low[max(0, found.start() - LOOK_BACK) : found.start()]
    begin = found.start() - len(before) + len(before.rstrip(_NAME_LETTERS))
    if low[begin - 1 : begin] == b"\\":  # the run of letters begins with an escape: \npin, \u003cpin
        begin = min(begin + (5 if low[begin : begin + 1] == b"u" else 1), found.start())
    ended = _NAME_END.match(low, found.end())
    return _with_blanks(low, begin, ended.end() if ended else found.end())


def _with_blanks(low: bytes, begin: int, end: int) -> tuple[int, int]:
    """Take a name in quotes as a whole: "wifi key", "pin "."""
    ahead = low[max(0, begin - LOOK_BACK) : begin]
    if ahead[-1:] in _BLANKS or low[end : end + 1] in _BLANKS:
        front = ahead.rstrip(_NAME_LETTERS + b" \t")
        closed = _IN_QUOTES.match(low, end)
        if closed and front[-1:] in _QUOTES:
            return begin - len(ahead) + len(front), closed.end()
    return begin, end


def _span(low: bytes, begin: int, end: int) -> _Span | None:
    """Find the value that belongs to a name: in an element, a form field, an attribute or a JSON member."""
    before = low[max(0, begin - LOOK_BACK) : begin]
    if tag := _TAG.search(before):
        return _element(low, tag[0], low[begin:end], end)
    labelled = is_labelled(before)
    if _FORM_DATA.search(before):
        return _form_data(low, end) if labelled else None
    separator = None if labelled else _SEPARATOR.match(low, end)
    if separator is None:
        return None
    if opening := _OPENING.match(low, separator.end()):
        return _Span(opening.end(), _string_end(low, opening.end(), opening[1], separator[2]))
    if separator[1] is None:
        return _Span(separator.end(), _found(_BARE_END.get(_first(low), _FORM_END), low, separator.end()))
    return _member(low, separator.end())


def _element(low: bytes, tag: bytes, name: bytes, end: int) -> _Span:
    if tag == b"<" and (empty := _NO_CONTENT.match(low, end)):  # <pin/>, <pin value="…"/>
        return _Span(end, empty.end() - 2)
    stop = _close_tag(low, tag + b"/" + name, end)
    plain = _PLAIN_TAG.match(low, end, stop)
    return _Span(plain.end() if plain else end, stop)


def _close_tag(low: bytes, close: bytes, start: int) -> int:
    at = low.find(close, start)
    while at >= 0 and low[at + len(close) : at + len(close) + 1] in _NAME_BYTES:
        at = low.find(close, at + len(close))
    return at if at >= 0 else len(low)


def _form_data(low: bytes, end: int) -> _Span:
    blank = _BLANK_LINE.search(low, end, end + 2048)
    if blank is None:
        return _Span(end, len(low))
    return _Span(blank.end(), _found(_PART_END, low, blank.end()))


def _member(low: bytes, start: int) -> _Span | None:
    first = low[start : start + 1]
    if first in {b"{", b"["}:
        return _Span(start, _nested_end(low, start), quoted=True)
    literal = _LITERAL.match(low, start)
    if literal:
        return None if literal[0] == b"null" else _Span(start, literal.end(), quoted=True)
    return None if first in {b"", b",", b"}", b"]"} else _Span(start, _found(_LINE_END, low, start))


def _string_end(low: bytes, start: int, quote: bytes, separator: bytes) -> int:
    stop = _string(quote, separator).search(low, start)
    return stop.start("end") if stop else len(low)


@lru_cache(maxsize=32)
def _string(quote: bytes, separator: bytes) -> re.Pattern[bytes]:
    if quote.startswith(b"&"):
        return re.compile(rb"(?P<end>%b)" % re.escape(quote))
    mark, depth = quote[-1:], len(quote) - 1
    if depth > 8:
        return re.compile(rb"(?P<end>\Z)")
    if depth:  # JSON in a JSON string: a quote behind more backslashes belongs to the value
        return re.compile(rb"(?<!\\)(?P<end>\\{0,%d}%b)" % (depth, mark))
    body = rb"(?:(?>[^%b\\]++|\\.|%b(?!%b)))*+" % (mark, mark, _AFTER_VALUE[separator])
    return re.compile(rb"%b\\?+(?P<end>%b|\Z)" % (body, mark), re.DOTALL)


def _nested_end(low: bytes, start: int) -> int:
    depth = 0
    for token in NESTED.finditer(low, start):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if depth <= 0:
            return token.end()
    return len(low)


def _found(pattern: re.Pattern[bytes], low: bytes, start: int) -> int:
    found = pattern.search(low, start)
    return found.start() if found else len(low)


def _first(low: bytes) -> bytes:
    return low[:64].lstrip(_EDGE)[:1]


def _as_utf8(body: bytes) -> bytes:
    encoding = _wide_encoding(body)
    return body.decode(encoding, "replace").encode() if encoding else body


def _wide_encoding(body: bytes) -> str | None:
    if body.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = body[:64]
    zeros = "".join("0" if head[place::4].count(0) * 8 > len(head) else "x" for place in range(4))
    return {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}.get(zeros)


def _with_open_fields(raw: bytes) -> bytes:
    """Open form fields that hold JSON or XML in percent encoding, so that the names in them can be seen."""
    if _first(raw) in _MARKUP or b"%" not in raw or b"=" not in raw:
        return raw
    fields = raw.split(b"&")
    for place, field in enumerate(fields):
        if re.search(rb"%(?:22|3[cC]|7[bB])", field):
            name, equals, value = field.partition(b"=")
            opened = unquote_to_bytes(value.replace(b"+", b" "))
            fields[place] = name + equals + (redact_body(opened) if _first(opened) in _MARKUP else value)
    return b"&".join(fields)


def _without_picture_parts(raw: bytes) -> bytes:
    low = raw.lower()
    if b"image/" not in low:
        return raw
    border = b"\n" + (raw.split(b"\n", 1)[0].strip() if raw.startswith(b"--") else b"--")
    kept: list[bytes] = []
    done = 0
    for found in _PICTURE_TYPE.finditer(low):
        part = _HEADERS_BEHIND.match(low, found.end()) if found.start() >= done else None
        if part is None:
            continue
        stop = raw.find(border, part.end())
        stop = len(raw) if stop < 0 else stop - (raw[stop - 1 : stop] == b"\r")
        kept += (raw[done : part.end()], b"<%d chars>" % (stop - part.end()))
        done = stop
    return b"".join((*kept, raw[done:]))
