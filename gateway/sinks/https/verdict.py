"""What an answer of the receiver means for the events of the request.

Only the status line counts: a receiver that answers 2xx and refuses single events inside the body is
not supported, because what it did not take would be lost. One thing is looked at in the body: a web page
was written by something that stands before the receiver, and the receiver may never have seen the events.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus

from gateway.errors import SinkUnavailable
from gateway.sinks.https.options import HttpsOptions

_QUOTE_CHARS = 200
_THEIR_MARKS = str.maketrans({"“": "'", "”": "'"})
# How a page begins, behind what may precede it. Its Content-Type tells nothing: many a script says "ok" as text/html.
_PAGE = re.compile(
    r"(?:<\?xml[^>]*>\s*)?<(?:!--|!doctype\s+html|(?:html|head|body|title|meta|script)[\s/>])", re.IGNORECASE
)


class Verdict(Enum):
    """What happens to the events of one request."""

    TAKEN = auto()
    LATER = auto()
    TOO_LARGE = auto()  # all of it, or one event of it
    REFUSED = auto()  # some event of it


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer, reduced to what is needed."""

    status: int
    headers: Mapping[str, str]  # names are found without regard to case
    quote: str  # the beginning of the body, fit for a person's eyes

    @property
    def is_page(self) -> bool:
        """Whether this was written for a person: a login, a proxy or a maintenance page in the receiver's place."""
        return _PAGE.match(self.quote) is not None

    @property
    def verdict(self) -> Verdict:
        if 200 <= self.status <= 299:
            return Verdict.LATER if self.is_page else Verdict.TAKEN
        if self.status == 413:
            return Verdict.TOO_LARGE
        return Verdict.REFUSED if self.status in (400, 415, 422) else Verdict.LATER

    def said(self) -> str:
        """Say what came back, as in: 503 Service Unavailable (“down for repair”)."""
        words = named(self.status)
        quote = self.quote.translate(_THEIR_MARKS)  # ours alone say where their words end
        return f"{words} (“{quote}”)" if quote else words


def named(status: int) -> str:
    """Write a status with its phrase, where it has one."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


# Status: fault, and what to do. What is in neither table waits: an answer that nobody foresaw loses nothing.
_LOGIN = (
    "https_login",
    "it does not take that. Ask its operator what it takes, and whether that has changed",
)
_NOT_FOUND = ("https_not_found", "nothing takes events at this address: check the endpoint of this sink")
_BUSY = ("https_busy", "the gateway waits and tries again; nothing to do unless it lasts")
_LATER = {
    401: _LOGIN,
    403: _LOGIN,
    404: _NOT_FOUND,
    405: _NOT_FOUND,
    408: _BUSY,
    410: ("https_gone", "it asked never to be called again: ask its operator, then start this sink again"),
    425: _BUSY,
    429: _BUSY,
}
_LATER_BY_CLASS = {
    3: ("https_redirect", "redirects are not followed: put the final address into the endpoint of this sink"),
    5: ("https_error", "the fault is at the receiver; the gateway tries again"),
}
_UNFORESEEN = (
    "https_unexpected",
    "the gateway tries again; ask the receiver's operator what this answer means",
)
_A_PAGE = (
    "https_unexpected",
    "a page for people is no word of the receiver's, so nothing counts as taken: check what stands before it",
)


def unavailable(answer: Answer, options: HttpsOptions) -> SinkUnavailable:
    """Turn an answer that means later into the error that says so."""
    known = _LATER.get(answer.status) or _LATER_BY_CLASS.get(answer.status // 100)
    fault, action = known or (_A_PAGE if answer.is_page else _UNFORESEEN)
    target = quoted(answer.headers.get("location", "").partition("?")[0], hide=options.hidden)
    where = f" and points to {target}" if target and fault == "https_redirect" else ""
    shown = f" to requests with {options.shown}" if fault == "https_login" else ""
    return SinkUnavailable(
        f"{options.place} answered {answer.said()}{where}{shown}: {action}",
        retry_after_s=retry_after(answer.headers, limit_s=options.max_retry_after_s),
        fault=fault,
        stop=answer.status == 410,
    )


def retry_after(headers: Mapping[str, str], *, limit_s: float) -> float | None:
    """Read Retry-After, in seconds or as a date; None where it says nothing that could be obeyed.

    A date is compared with the receiver's own Date, because a gateway without a battery clock may not
    know the time. A wish for no pause at all is none: the core's own backoff is the shortest.
    """
    wish = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{0,9})?", wish):
        seconds = float(wish)
    else:
        then = _http_date(wish)
        if then is None:
            return None
        seconds = (then - (_http_date(headers.get("date", "")) or datetime.now(UTC))).total_seconds()
    return min(seconds, limit_s) if seconds > 0 else None


def _http_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):  # its way to say: not a date
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


def quoted(raw: str, *, hide: tuple[str, ...] = ()) -> str:
    """Make foreign text fit for a log line and a page: printable, one line, short, without our secrets."""
    for secret in hide:
        raw = raw.replace(secret, "…")
    text = " ".join("".join(char if char.isprintable() else " " for char in raw).split())
    return text if len(text) <= _QUOTE_CHARS else text[: _QUOTE_CHARS - 1] + "…"
