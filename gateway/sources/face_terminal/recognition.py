"""Tells the face terminal's JSON from that of other devices by a look at the bytes, without reading them."""

import codecs
import re

from gateway.sources.face_terminal.door_request import looks_like_door_request

# The repeats are possessive: a hostile run of white space must not be looked at twice.
_A_NUMBER = re.compile(rb'\s*+:\s*+"?+\s*+-?[0-9]')
_OUR_DATA = re.compile(rb'\s*+:\s*+(?:\{(?!\s*+"object")|null|")')  # Camio wraps its events in data.object
_OURS_ALONE = (b'"deviceSN"', b'"qrcode_content"', b'"recognizeStatus"')
_WHITE = b" \t\r\n"
_MOST_TYPES = 1_000  # a record has one or two


def is_ours(body: bytes) -> bool:
    """Say whether this is the wrapper {type: number, data: …}, or names only this vendor's fields."""
    if looks_like_door_request(body):  # in whatever shape: nobody else may answer it
        return True
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        body = body.decode("utf-16", "replace").encode()
    if not body[:64].removeprefix(codecs.BOM_UTF8).lstrip(_WHITE).startswith(b"{"):
        return False
    return _is_wrapper(body) or any(name in body for name in _OURS_ALONE)


def _is_wrapper(body: bytes) -> bool:
    data = body.find(b'"data"')
    if data < 0 or not _OUR_DATA.match(body, data + 6):
        return False
    at = body.find(b'"type"')
    for _ in range(_MOST_TYPES):
        if at < 0:
            return False
        if _A_NUMBER.match(body, at + 6):
            return True
        at = body.find(b'"type"', at + 6)
    return False
