"""What the way to a far end looks like in sentences, up to where the far end itself begins to speak."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from gateway import clock
from gateway.clock import kernel
from gateway.config.files import NotAFileError, read_file
from gateway.doctor import certificates, names
from gateway.doctor.box import Box, hindered, untold, well, wrong
from gateway.doctor.finding import Finding
from gateway.doctor.walking import NAME_S, TCP_S, TLS_S, Walk, walk
from gateway.errors import PollUnavailable, SinkUnavailable

TOTAL_S = 7.0  # of one far end, below the limit for all checks; they are looked at side by side
CODES = frozenset({"certificate_clock", "certificate_expires", "name_filtered", "name_ipv6_only"})
_LIMITS = {"name": NAME_S, "TCP": TCP_S, "TLS": TLS_S}
_CERTIFICATE_BYTES = 1 << 20
_NOT_YET_VALID = 9  # of X509_verify_cert_error_string


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Somewhere that is connected to."""

    check: str
    subject: str  # as the daemon's own faults name it
    host: str
    port: int
    tls: SSLContext | None
    explain: Callable[[Exception, float], SinkUnavailable | PollUnavailable]  # also after how many seconds
    own_certificate: Path | None = None


def look(box: Box, end: FarEnd) -> Iterator[Finding]:
    """Go the way and say of each step how it went; a finding that is wrong ends it, unless that is only a warning."""
    if end.own_certificate is not None:
        yield from own(end)
    way = walk(end.host, end.port, end.tls)
    if way.addresses:
        yield _named(box, end, way)
        yield from names.judged(box, end.check, end.subject, end.host, way.addresses)
    if way.connected:
        took = f"{way.connect_s * 1000:.0f} ms"
        yield well(
            end.check, f"TCP: {way.connected} port {end.port} takes the connection ({took}).", end.subject
        )
    if way.error is not None:
        yield _failed(end, way)
    elif end.tls is not None:
        yield from _secured(end, way)


def own(end: FarEnd) -> Iterator[Finding]:
    """Say until when our own certificate holds."""
    if end.own_certificate is None:
        return
    subject = f"{end.subject} cert_file"  # beside the far end's own, which may end as well
    text = ""
    with contextlib.suppress(OSError, ValueError, NotAFileError):
        text = read_file(end.own_certificate, _CERTIFICATE_BYTES)[0].decode("ascii", "replace")
    paper = certificates.read_pem(text)
    if paper is None:
        yield hindered(
            end.check, f"{end.own_certificate} cannot be read, so nobody knows when it ends.", subject
        )
    yield from certificates.expiry(
        end.check, subject, f"Our own certificate ({end.own_certificate})", paper, clock.now()
    )


def ends(end: FarEnd) -> Iterator[Finding]:
    """Look only until when the certificates hold: nobody logs in, and nothing is sent."""
    yield from own(end)
    paper = walk(end.host, end.port, end.tls).certificate
    if paper is None:
        yield hindered(end.check, f"The certificate of {end.host} could not be looked at.", end.subject)
    whose = f"The certificate of {end.host}"
    yield from certificates.expiry(end.check, end.subject, whose, paper, clock.now())


def fault(end: FarEnd, error: SinkUnavailable | PollUnavailable) -> Finding:
    """Say what the sink or the poll itself would say."""
    return wrong(end.check, error.fault, str(error), end.subject)


def _named(box: Box, end: FarEnd, way: Walk) -> Finding:
    if not names.is_name(end.host):
        return well(end.check, f"Name: {end.host} is an address, nobody has to be asked.", end.subject)
    where = "/etc/hosts" if names.in_hosts(box, end.host) else ", ".join(names.servers(box)) or "this box"
    said = f"Name: {end.host} is {', '.join(way.addresses[:4])} ({way.name_s * 1000:.0f} ms, by {where})."
    return well(end.check, said, end.subject)


def _failed(end: FarEnd, way: Walk) -> Finding:
    error = way.error or OSError("unknown")
    told, paper = end.explain(error, _LIMITS[way.failed]), way.certificate
    if paper is None:
        return fault(end, told)
    now = clock.now()
    if getattr(error, "verify_code", 0) == _NOT_YET_VALID and not kernel.synced():
        said = (
            f"The certificate of {end.host} holds from {paper.begins.date()} on, and this box believes that it is "
            f"{now.date()}, which nobody has told it: it is the clock of this box that is wrong, most likely."
        )
        return wrong(end.check, "certificate_clock", said, end.subject)
    held = f"from {paper.begins.date()} to {paper.ends.date()}"
    said = f"{told} It is made out to {paper.subject} by {paper.issuer}, {held}."
    return wrong(end.check, told.fault, said, end.subject)


def _secured(end: FarEnd, way: Walk) -> Iterator[Finding]:
    paper = way.certificate
    if paper is None:
        yield untold(end.check, f"TLS: {way.tls} stands, and the certificate cannot be read.", end.subject)
        return
    yield well(
        end.check, f"TLS: {way.tls}, certificate of {paper.subject}, issued by {paper.issuer}.", end.subject
    )
    whose = f"The certificate of {end.host}"
    yield from certificates.expiry(end.check, end.subject, whose, paper, clock.now())
