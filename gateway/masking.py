"""Masks a body for a capture by a list of what may stay: a support capture shows how a device speaks, not of whom.

Where `redact` knows names that must go, this knows names that may stay; of everything else only the shape is left,
so that what a device sends under a name that nobody has seen yet does not leave either. It reads tokens and never
parses: a broken body is masked as surely as a whole one, and keeps its oddities.
"""

import re
from dataclasses import dataclass

from gateway.redact import redact_body

MASK = b"***"
_VALUE_MAX = 128
_SHAPE_MAX = 4_096
_EDGE = b"\xef\xbb\xbf\0 \t\r\n"
_PLAIN_KEY = re.compile(rb"[A-Za-z_]{1,40}[0-9]{0,2}")
_PLAIN_NAME = re.compile(rb"[A-Za-z_][A-Za-z_.:-]{0,38}[0-9]{0,2}[A-Za-z_.-]{0,20}")
# What may stay says one thing in a few letters: no path, no address of the web, no sentence.
_PLAIN_VALUE = re.compile(rb"[A-Za-z0-9 .,:;+_()#-]{0,%d}" % _VALUE_MAX)
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+-]{0,40}")

_JSON_NAMES = frozenset({
    # face terminal
    b"type", b"code", b"devicesn", b"recognitiontype", b"uuid", b"pass", b"mode", b"entry_mode", b"abnormal_type",
    b"timestamp", b"trace_id", b"event_time", b"status", b"recognizestatus",
    # Camlytics and Camio
    b"event_id", b"event_type", b"event_origin", b"time", b"channel_id", b"rule_id", b"rule_type", b"object_id",
    b"enter", b"exit", b"count", b"total", b"start_time", b"end_time",
    # what devices say about themselves
    b"sn", b"serial", b"serial_number", b"serialnumber", b"mac", b"device_id", b"deviceid", b"device_type", b"model",
    b"firmware", b"version", b"enters", b"exits", b"passings", b"returns", b"interval", b"timezone", b"dst",
})  # fmt: skip
# Below these everything is about a person.
_PEOPLE = frozenset({
    b"user", b"users", b"user_info", b"person", b"persons", b"people", b"employee", b"employees", b"guest", b"guests",
    b"visitor", b"visitors", b"member", b"members", b"actor", b"actors", b"owner", b"operator", b"cardholder", b"groups",
    b"group", b"contact", b"contacts", b"customer", b"driver", b"student", b"staff", b"patient", b"face", b"faces",
})  # fmt: skip
# Names of fields about a person; another name below them may be the person's.
_PERSON_FIELDS = frozenset({
    b"name", b"user_id", b"id", b"type", b"ic_number", b"job_number", b"id_number", b"guest_time_start",
    b"guest_time_end", b"remark", b"pin", b"groups", b"email", b"badge", b"card_number", b"gender", b"age",
})  # fmt: skip
_XML_TEXTS = frozenset({
    b"version", b"transmittime", b"macaddress", b"ipaddress", b"connectiontype", b"ipaddressmethod", b"hostname",
    b"timezone", b"dst", b"hwplatform", b"serialnumber", b"devicetype", b"swrelease",
})  # fmt: skip
_XML_ATTRIBUTES = frozenset({
    b"siteid", b"sitename", b"deviceid", b"devicename", b"interval", b"date", b"objecttype", b"starttime", b"endtime",
    b"unixstarttime", b"enters", b"exits", b"passings", b"returns", b"status", b"workcardnum",
})  # fmt: skip
_XML_OBJECT = frozenset({b"id", b"name"})  # of an Object only: elsewhere they may be a person's

_JSON_TOKEN = re.compile(
    rb'"(?:(?>[^"\\]++|\\.))*+"?|[{}\[\]:,]|[ \t\r\n]++|-?[0-9][0-9.eE+-]*+|[^"{}\[\]:,\s]++', re.DOTALL
)
_XML_TOKEN = re.compile(rb"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[^<>]*+>?|[^<]++", re.DOTALL)
_XML_HEAD = re.compile(rb"<\?xml(?:\s++[a-z]{1,12}\s*+=\s*+[\"'][A-Za-z0-9._-]{1,20}[\"']){0,3}\s*+\?>")
_XML_TAG = re.compile(rb"<(/?)([^\s<>/]{1,60})(.*?)(/?)>", re.DOTALL)
_XML_ATTRIBUTE = re.compile(rb"(?<!\s)\s++([^\s=<>/\"']{1,60}+)\s*+=\s*+(\"[^\"]*+\"|'[^']*+')")


def masked(body: bytes) -> bytes:
    """Return the body with all values but the harmless ones masked; UTF-16 comes back as UTF-8."""
    raw = redact_body(body) if b"\0" in body else body
    first = raw[:64].lstrip(_EDGE)[:1]
    if first == b"<":
        return _xml(raw)
    if first in {b"{", b"["}:
        return _json(raw)
    return _shape(redact_body(raw)[:_SHAPE_MAX])


def masked_words(sentence: str) -> str:
    """Return a sentence of ours without what it quotes of a device."""
    return re.sub(r'"[^"]*"', '"***"', sentence)


@dataclass(slots=True)
class _Container:
    """An object or a list that is open."""

    opened: bytes
    private: bool
    key: bytes = b""


def _json(raw: bytes) -> bytes:
    stack = [_Container(b"", private=False)]
    kept: list[bytes] = []
    before = b""  # the last token that is no white space
    for match in _JSON_TOKEN.finditer(raw):
        token, here = match[0], stack[-1]
        if token.isspace():
            kept.append(token)
            continue
        if token in {b"{", b"["}:
            key = here.key
            stack.append(_Container(token, here.private or key in _PEOPLE, b"" if token == b"{" else key))
        elif token in {b"}", b"]"}:
            if len(stack) > 1:
                stack.pop()
        elif token[:1] == b'"' and before in {b"{", b","} and here.opened == b"{":
            here.key = token.strip(b'"').lower()
            token = _key(token, private=here.private)
        elif token not in {b":", b","}:
            # In a list nothing has a name, so what follows a colon there belongs to a broken body.
            stands = before == b":" if here.opened == b"{" else here.opened == b"[" and before in {b"[", b","}
            token = _json_value(token, here, stands=stands)
            if here.opened == b"{":
                here.key = b""  # one name, one value
        before = match[0] if match[0] in {b"{", b"[", b"}", b"]", b":", b","} else b"value"
        kept.append(token)
    return b"".join(kept)


def _key(token: bytes, *, private: bool) -> bytes:
    name = token.strip(b'"')
    plain = name in _PERSON_FIELDS if private else _PLAIN_KEY.fullmatch(name)
    return token if plain else b'"(%d chars)"' % len(name)


def _json_value(token: bytes, here: _Container, *, stands: bool) -> bytes:
    may_stay = stands and here.key in _JSON_NAMES and (not here.private or here.key == b"type")
    if token in {b"true", b"false", b"null"}:
        return token
    if token[:1] == b'"':
        end = b'"' if len(token) > 1 and token.endswith(b'"') else b""
        value = token[1 : len(token) - len(end)]
        return token if may_stay and _PLAIN_VALUE.fullmatch(value) else b'"%b%b' % (_hidden(value), end)
    if _NUMBER.fullmatch(token):
        return token if may_stay else b"0"
    return b"x" * min(len(token), 8)  # no JSON at all


def _xml(raw: bytes) -> bytes:
    kept: list[bytes] = []
    element = b""
    for match in _XML_TOKEN.finditer(raw):
        token = match[0]
        if not token.startswith(b"<"):
            kept.append(_xml_value(token, may_stay=element in _XML_TEXTS))
            continue
        tag = _XML_TAG.fullmatch(token)
        if _XML_HEAD.fullmatch(token):
            kept.append(token)
        elif tag is None or tag[2][:1] in {b"!", b"?"}:
            kept.append(b"<!-- %d chars -->" % len(token))
        else:
            name = _local(tag[2])
            element = b"" if tag[1] or tag[4] else name
            kept.append(b"<%b%b%b%b>" % (tag[1], _xml_name(tag[2]), _attributes(tag[3], name), tag[4]))
    return b"".join(kept)


def _attributes(text: bytes, element: bytes) -> bytes:
    kept: list[bytes] = []
    done = 0
    for match in _XML_ATTRIBUTE.finditer(text):
        if text[done : match.start()].strip():
            kept.append(b" x")  # what no attribute is
        name, value = _local(match[1]), match[2]
        may_stay = name in _XML_ATTRIBUTES or (element == b"object" and name in _XML_OBJECT)
        quote = value[:1]
        hidden = _xml_value(value[1:-1], may_stay=may_stay)
        kept.append(b" %b=%b%b%b" % (_xml_name(match[1]), quote, hidden, quote))
        done = match.end()
    if text[done:].strip():
        kept.append(b" x")
    return b"".join(kept)


def _xml_value(value: bytes, *, may_stay: bool) -> bytes:
    bare = value.strip()
    if not bare or (may_stay and len(bare) <= _VALUE_MAX and b"://" not in bare and b"&" not in bare):
        return value
    return b"0" if _NUMBER.fullmatch(bare) else _hidden(bare)


def _xml_name(name: bytes) -> bytes:
    return name if _PLAIN_NAME.fullmatch(name) or _local(name) in _XML_ATTRIBUTES else b"x"


def _local(name: bytes) -> bytes:
    return name.rpartition(b":")[2].lower()


def _hidden(value: bytes) -> bytes:
    """Stand for a value: one that is empty stays empty, of a long one the length is told."""
    if not value:
        return b""
    return MASK if len(value) <= _VALUE_MAX else b"(%d chars)" % len(value)


def _shape(raw: bytes) -> bytes:
    """Leave the marks of a body that is neither XML nor JSON, and none of its words."""
    return re.sub(rb"[0-9]", b"0", re.sub(rb"[A-Za-z\x80-\xff]", b"x", raw))
