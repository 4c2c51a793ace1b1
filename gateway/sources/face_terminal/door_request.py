"""Knows the push that is no record but a question: may this person come in.

A terminal asks it when the gateway's address stands in the wrong setting, and opens its door when the
answer holds `pass` as true. So the answer is no success, and it has no "pass" in it, in any word.
"""

from collections.abc import Container

from gateway.event import Json
from gateway.source import Notice, Post, Reading, Reply
from gateway.sources.face_terminal.sender import body_serial, header_serial

_ONLY_ASKED = ("recognizeStatus", "qrcode_content")
_SHOWN_MAX = 64
_NO = Reply(403, b"This gateway only takes records. It decides nothing about doors.\n", "text/plain")


def is_door_request(names: Container[str]) -> bool:
    """Tell the question from a record by the names at the top level: a record is wrapped in `data`."""
    return "data" not in names and any(name in names for name in _ONLY_ASKED)


def looks_like_door_request(body: bytes) -> bool:
    """Do the same with a body that is not readable."""
    return b'"data"' not in body and any(b'"%b"' % name.encode() in body for name in _ONLY_ASKED)


def refusal(post: Post, asked: dict[str, Json]) -> Reading:
    """Refuse, keep nothing, and tell the installer which setting is wrong."""
    serial = (body_serial(asked) or header_serial(post))[:_SHOWN_MAX]
    who = f"The face terminal {serial} at {post.address}" if serial else f"A face terminal at {post.address}"
    notice = Notice(
        "terminal_asks_to_open_door",
        f"{who} asks this gateway whether to open its door: the gateway's address was typed into the"
        " terminal's setting remote_authentication_address.",
        "On the terminal, empty remote_authentication_address and choose an auth_mode other than 1 and 3,"
        " so that it decides by itself; type the gateway's address into the event push (event_dest) instead.",
    )
    return Reading(events=(), notices=(notice,), reply=_NO)
