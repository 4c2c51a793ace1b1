"""Cuts a picture that nobody keeps out of a push before it is read: decoding it is half of what reading costs."""

import re

_LEFT = 256  # letters of it; whether there was a picture is told by its length alone
_WORTH_IT = 4_096
_BEGIN = re.compile(
    rb'[{,][ \t\r\n]*+"(?:rgb_image|alarm_photo)"[ \t\r\n]*+:[ \t\r\n]*+"[A-Za-z0-9+/=]{%d}' % _LEFT
)


def without_picture(body: bytes) -> bytes:
    """Give the body with the picture cut short, or as it is when there is any doubt where the picture ends."""
    if len(body) < _WORTH_IT:
        return body
    begin = _BEGIN.search(body)
    if begin is None:
        return body
    end = body.find(b'"', begin.end())
    rest = body[begin.end() : end]
    # What is no plain text makes the whole body be read in another way, and two pictures are for the reader to judge.
    if end < 0 or b"\\" in rest or not rest.isascii() or _BEGIN.search(body, end) is not None:
        return body
    return body[: begin.end()] + body[end:]
