"""Why a polled system gives nothing: endpoint, the step that failed, and what to do, in one sentence."""

import errno
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from gateway.errors import PollUnavailable
from gateway.source import Answer

_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT)
_SHOWN = 120


def broken(endpoint: str, error: BaseException) -> PollUnavailable:
    """Explain a connection that did not come about, or broke."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return _tls(endpoint, cause)
        if isinstance(cause, socket.gaierror):
            return PollUnavailable(f"{endpoint}: its name cannot be resolved.", fault="poll_name")
        if isinstance(cause, ConnectionRefusedError):
            return PollUnavailable(
                f"{endpoint}: that computer answers, but nothing listens at this port: the program that is asked does not"
                " run, or has another port.",
                fault="poll_refused",
            )
        if isinstance(cause, OSError) and cause.errno in _NO_ROUTE:
            return PollUnavailable(
                f"{endpoint}: no way to this host ({cause.strerror}).", fault="poll_unreachable"
            )
    how = next((text for cause in causes if (text := str(cause))), "closed by the other side")
    return PollUnavailable(
        f"{endpoint}: the connection broke before the answer was whole ({how[:_SHOWN]}).", fault="poll_broken"
    )


def _tls(endpoint: str, error: ssl.SSLError) -> PollUnavailable:
    why = getattr(error, "verify_message", "") or (error.reason or str(error)).lower().replace("_", " ")
    if "wrong version number" in why or "http request" in why:
        why = "what answers there does not speak TLS"
    return PollUnavailable(f"{endpoint}: no secure connection came about: {why[:_SHOWN]}.", fault="poll_tls")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an exception and all that is behind it; the client wraps what really happened two or three deep."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        here = todo.pop(0)
        if id(here) in seen:
            continue
        seen.add(id(here))
        yield here
        if isinstance(here, BaseExceptionGroup):
            todo.extend(here.exceptions)
        todo.extend(cause for cause in (here.__cause__, here.__context__) if cause is not None)


def late(endpoint: str, timeout_s: float) -> PollUnavailable:
    """Explain an answer that was not whole in time."""
    return PollUnavailable(f"{endpoint}: no whole answer within {timeout_s:g} s.", fault="poll_timeout")


def redirected(endpoint: str, status: int, location: str) -> PollUnavailable:
    """Explain an answer that points elsewhere; the gateway never follows."""
    place = "".join(char for char in location[:_SHOWN] if char.isprintable()).partition("?")[0]
    return PollUnavailable(f"{endpoint}: answers {_named(status)} to {place or '?'}.", fault="poll_redirect")


def too_large(endpoint: str, limit: int) -> PollUnavailable:
    """Explain an answer that was given up because of its size."""
    return PollUnavailable(f"{endpoint}: its answer is larger than {limit} bytes.", fault="poll_too_large")


def refused(endpoint: str, answer: Answer) -> PollUnavailable:
    """Explain an answer by its status alone."""
    said = f"{endpoint}: answers {_named(answer.status)} to {answer.target.partition('?')[0][:_SHOWN]}."
    wish = _retry_after_s(answer)
    if answer.status in (429, 503):
        return PollUnavailable(said, retry_after_s=wish, fault="poll_busy")
    if answer.status in (401, 403):
        return PollUnavailable(said, fault="poll_login")
    if answer.status in (404, 405, 410):
        return PollUnavailable(said, fault="poll_not_found")
    return PollUnavailable(said, retry_after_s=wish, fault="poll_error")


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _retry_after_s(answer: Answer) -> float | None:
    """Read Retry-After: seconds, or a date, which is measured by the answer's own clock where it has one."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    until, now = _date(text), _date(answer.headers.get("date", "")) or answer.received_at
    return None if until is None else max((until - now).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
