"""Why no answer came: the exception of a failed request as a fault and a sentence.

The client wraps what really happened two or three deep, and in places says that the inner one should
not be shown; it is what a person needs, so causes and contexts are all searched.
"""

import errno
import socket
import ssl
from collections.abc import Callable, Iterator

from gateway.errors import SinkUnavailable

_UNKNOWN_CA = (
    "its certificate is signed by an authority (CA) that this box does not know: ask its operator for the CA file, and set"
    " `ca_file` of this sink to it. If it worked before, something else may answer in its place"
)
# Numbers of X509_verify_cert_error_string, stable in OpenSSL.
_CERTIFICATE = {
    9: "its certificate is not valid yet: check the clock of this machine first",
    10: "its certificate has expired: have it renewed, or check the clock of this machine",
    18: "its certificate is signed by nobody but itself: ask its operator for that certificate as a"
    " file, and set `ca_file` in the section of this sink to it",
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    23: "its certificate was revoked: have it replaced",
    62: "its certificate is for another host name: use the name in the certificate as the endpoint",
    64: "its certificate is for another address: use the name in the certificate as the endpoint",
}
_OUR_CERTIFICATE = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED")


def unanswered(error: BaseException, place: str) -> SinkUnavailable:
    """Explain a request that got no answer."""
    causes = list(_causes(error))
    for kind, explain in _BY_CAUSE.items():
        for cause in causes:
            if isinstance(cause, kind) and (known := explain(cause)):
                return SinkUnavailable(f"{place}: {known[1]}", fault=known[0])
    texts = (
        str(cause) for cause in causes if not isinstance(cause, LookupError)
    )  # inner workings of a queue
    how = next((text for text in texts if text), "closed or reset by the other side")
    return SinkUnavailable(
        f"{place}: the connection broke before the answer was complete ({how}); the gateway tries again. "
        "If it lasts, see the receiver's log: one that wants a client certificate may break off like this",
        fault="https_broken",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo = [error]
    while todo:
        here = todo.pop(0)
        if id(here) in seen or isinstance(here, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            continue  # the want errors are how the TLS layer asks for bytes; they hang in the chain of others
        seen.add(id(here))
        yield here
        if isinstance(here, BaseExceptionGroup):
            todo.extend(here.exceptions)
        todo.extend(cause for cause in (here.__cause__, here.__context__) if cause is not None)


def _untrusted(cause: BaseException) -> tuple[str, str]:
    code = getattr(cause, "verify_code", None)
    text = getattr(cause, "verify_message", None) or str(cause)
    return "https_tls", _CERTIFICATE.get(code or 0, f"its certificate does not hold: {text}")


def _tls(cause: BaseException) -> tuple[str, str]:
    reason = getattr(cause, "reason", None) or str(cause)
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason:
        return (
            "https_tls",
            "what answers at this port does not speak TLS: check port and scheme of the endpoint",
        )
    if "ALERT" in reason and any(word in reason for word in (*_OUR_CERTIFICATE, "HANDSHAKE_FAILURE")):
        return "https_tls", f"it does not accept our client certificate, or wants one: {_plain(reason)}"
    if "EOF" in reason.upper():
        return (
            "https_tls",
            "it broke off the TLS handshake: it may want a client certificate or another TLS version",
        )
    return "https_tls", f"no secure connection came about: {_plain(reason)}"


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _name(_cause: BaseException) -> tuple[str, str]:
    return (
        "https_name",
        "the host name cannot be resolved: check the endpoint, and DNS and network of this machine",
    )


def _refused(_cause: BaseException) -> tuple[str, str]:
    return (
        "https_refused",
        "nothing listens at this address: check host and port, and whether the receiver runs",
    )


def _unreachable(cause: BaseException) -> tuple[str, str] | None:
    if getattr(cause, "errno", None) not in _NO_ROUTE:
        return None
    return "https_unreachable", f"no way to this host ({cause}): check network, route and firewall"


_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT)

# In this order: the first that is found anywhere among the causes explains best.
_BY_CAUSE: dict[type[BaseException], Callable[[BaseException], tuple[str, str] | None]] = {
    ssl.SSLCertVerificationError: _untrusted,
    ssl.SSLError: _tls,
    socket.gaierror: _name,
    ConnectionRefusedError: _refused,
    OSError: _unreachable,
}
