"""Reads the envelope of every answer, and says in words what an answer that holds nothing means."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from gateway.errors import PollUnavailable, Unreadable
from gateway.event import Json
from gateway.reading.json_body import marks, read_json
from gateway.source import Answer
from gateway.sources.camlytics_cloud.signing import Keys
from gateway.sources.camlytics_cloud.values import cloud_ms, ms_of, text

Item = Mapping[str, Json]

MOST_MARKS = 100_000  # of one answer; a record has sixty
_LONGEST_REFUSAL = 65_536

_OK = 200
_NOT_ALLOWED = (401, 403)
_NOT_FOUND = 404
_BUSY = (429, 503)
_LONGEST_WAIT_S = 3600.0
_LONGEST_QUOTE = 160
# What looks like a key, a signature or a hash in the cloud's own words.
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_ABOUT_NONCE = re.compile(r"nonce", re.IGNORECASE)
_ABOUT_KEYS = re.compile(r"api.?key|x-?key|x-?sign|signature|unauthori[sz]ed|forbidden|denied", re.IGNORECASE)

_NONCE = (
    "Camlytics cloud refused the nonce of a request{said}: something else uses the same API key, "
    "or has used it with higher numbers."
)
_LOGIN = "Camlytics cloud does not accept the API key or the secret key{said}."
_BUSY_SAID = (
    "Camlytics cloud asks for patience (HTTP {status}){said}: it allows one request per second for a key."
)
_NOT_THERE = "There is no Camlytics cloud API at this endpoint (HTTP 404){said}."
_MOVED = "The endpoint answers with a redirect (HTTP {status}), which is not followed."
_ERROR = "Camlytics cloud answered with an error ({what}){said}."


class TooMuch(Unreadable):
    """The answer holds more than is read at once: a shorter window may be asked for."""


def items_of(answer: Answer, keys: Keys) -> tuple[list[Item], bool]:
    """Give the items of a good answer, and whether reading took a repair; else say what the cloud said."""
    if answer.status != _OK:
        raise _refusal(answer, keys)
    if (counted := marks(answer.body)) > MOST_MARKS or answer.cut:
        raise TooMuch(f"it has {counted} parts, and at most {MOST_MARKS} are read at once")
    body, repaired = read_json(answer.body)
    if not isinstance(body, dict) or "code" not in body:
        raise Unreadable("the answer is JSON, but not of this API: it has no code")
    if body["code"] not in (0, "0") or isinstance(body["code"], bool):
        raise _error(f"code {text(body['code']) or 'unknown'}", _quoted(body, keys))
    result = body.get("result")
    if result is None and "result" in body:
        return [], repaired
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise Unreadable("the result of the answer is not a list of objects")
    return [item for item in result if isinstance(item, dict)], repaired


def _refusal(answer: Answer, keys: Keys) -> PollUnavailable:
    said = _said(answer, keys)
    if answer.status in _BUSY:
        return PollUnavailable(
            _BUSY_SAID.format(status=answer.status, said=said),
            retry_after_s=_retry_after_s(answer),
            fault="camlytics_cloud_busy",
        )
    if _ABOUT_NONCE.search(said):
        return PollUnavailable(_NONCE.format(said=said), fault="camlytics_cloud_nonce")
    if answer.status in _NOT_ALLOWED:
        return PollUnavailable(_LOGIN.format(said=said), fault="camlytics_cloud_login")
    if answer.status == _NOT_FOUND:
        return PollUnavailable(_NOT_THERE.format(said=said), fault="camlytics_cloud_error")
    if 300 <= answer.status < 400:
        return PollUnavailable(_MOVED.format(status=answer.status), fault="camlytics_cloud_error")
    return _error(f"HTTP {answer.status}", said)


def _error(what: str, said: str) -> PollUnavailable:
    if _ABOUT_NONCE.search(said):
        return PollUnavailable(_NONCE.format(said=said), fault="camlytics_cloud_nonce")
    if _ABOUT_KEYS.search(said):
        return PollUnavailable(_LOGIN.format(said=said), fault="camlytics_cloud_login")
    return PollUnavailable(_ERROR.format(what=what, said=said), fault="camlytics_cloud_error")


def _said(answer: Answer, keys: Keys) -> str:
    """Quote what the cloud says in the envelope of a refusal, when it has one."""
    if len(answer.body) > _LONGEST_REFUSAL:
        return ""
    try:
        body, _ = read_json(answer.body)
    except Unreadable:
        return ""
    return _quoted(body, keys) if isinstance(body, dict) else ""


def _quoted(body: Mapping[str, Json], keys: Keys) -> str:
    said = keys.masked(text(body.get("msg")))
    said = _OPAQUE.sub("***", said)[:_LONGEST_QUOTE]
    return f': "{said}"' if said else ""


def _retry_after_s(answer: Answer) -> float | None:
    """Read Retry-After, seconds or a date, which is held against the clock of who wrote it."""
    stated = answer.headers.get("retry-after", "").strip()
    try:
        if stated.isascii() and stated.isdigit() and len(stated) < 10:
            wait_s = float(stated)
        else:
            wait_s = (ms_of(parsedate_to_datetime(stated)) - cloud_ms(answer)) / 1000
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(math.ceil(wait_s), 0.0), _LONGEST_WAIT_S)
