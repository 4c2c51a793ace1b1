"""Knows the push that is no record but a question: may this person come in.

A terminal asks it when the gateway's address stands in the wrong setting, and opens its door when the
answer holds `pass` as true. So the answer is no success, and it has no "pass" in it, in any word.
"""

import re
from collections.abc import Iterable

from gateway.event import Json
from gateway.source import Notice, Post, Reading, Reply
from gateway.sources.face_terminal.sender import body_serial, header_serial

_ONLY_ASKED = ("recognizestatus", "qrcode_content")
_ASKED_TOO = ("entry_mode", "user")  # of whom the question is; records have them as well
_ONLY_RECORDED = ("type", "uuid", "timestamp", "recognitiontype")
_NAMED = tuple(re.compile(rb'"[ \t]*%b[ \t]*"' % name.encode(), re.IGNORECASE) for name in _ONLY_ASKED)
_BLANK = b"\xef\xbb\xbf\xfe\xff\0 \t\r\n"
_WRAPPED = re.compile(rb'"data"[ \t\r\n]*+:')
_SHOWN_MAX = 64
_NO = Reply(403, b"This gateway only takes records. It decides nothing about doors.\n", "text/plain")


def is_door_request(stated: Iterable[str]) -> bool:
    """Tell the question from a record by the names at the top level: a record is wrapped in `data`."""
    names = {name.strip().lower() for name in stated}
    if "data" in names:
        return False
    if not names.isdisjoint(_ONLY_ASKED):
        return True
    return "devicesn" in names and not names.isdisjoint(_ASKED_TOO) and names.isdisjoint(_ONLY_RECORDED)


def looks_like_door_request(body: bytes) -> bool:
    """Do the same with a body that is not readable, is a list, or has two bytes for each letter."""
    start = body[:64]
    if start.lstrip(_BLANK).startswith(b"<"):
        return False
    plain = body.replace(b"\0", b"") if b"\0" in start else body
    # The wrapper first: nearly every push has one, near its beginning.
    return _WRAPPED.search(plain) is None and any(name.search(plain) for name in _NAMED)


def refusal(post: Post, asked: dict[str, Json]) -> Reading:
    """Refuse, keep nothing, and tell the installer which setting is wrong."""
    serial = (body_serial(asked) or header_serial(post))[:_SHOWN_MAX]
    serial = "".join(letter if letter.isprintable() else "?" for letter in serial)
    who = f"The face terminal {serial} at {post.address}" if serial else f"A face terminal at {post.address}"
    notice = Notice(
        "terminal_asks_to_open_door",
        f"{who} asks this gateway whether to open its door: the gateway's address was typed into the"
        " terminal's setting remote_authentication_address.",
        "On the terminal, empty remote_authentication_address and choose an auth_mode other than 1 and 3,"
        " so that it decides by itself; type the gateway's address into the event push (event_dest) instead.",
    )
    return Reading(events=(), notices=(notice,), reply=_NO)
