"""Reads from a certificate whose it is and from when until when it holds, whether or not it is trusted.

The TLS library tells this of a certificate that it accepts, and of no other; what is wanted most is to know it of those
that it refuses. Six values of the DER structure are looked at, and nothing is judged by it: trust is TLS's own matter.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.doctor.box import well, wrong
from gateway.doctor.finding import Finding

SOON = timedelta(days=21)
_COMMON_NAME = bytes.fromhex("0603550403")  # the object identifier 2.5.4.3, as it is written
_SEQUENCE, _CONTEXT_0, _UTC_TIME, _GENERALIZED = 0x30, 0xA0, 0x17, 0x18
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whose it is, who says so, and when it holds."""

    subject: str
    issuer: str
    begins: datetime
    ends: datetime

    def days_left(self, now: datetime) -> int:
        return (self.ends - now) // timedelta(days=1)


def read(der: bytes) -> Certificate | None:
    """Read a certificate; None when it is none that can be read."""
    try:
        outer = next(_values(der))[1]
        fields = [value for value in _values(next(_values(outer))[1]) if value[0] != _CONTEXT_0]
        _serial, _algorithm, issuer, validity, subject = fields[:5]
        begins, ends = (_instant(tag, text) for tag, text in _values(validity[1]))
        return Certificate(_common_name(subject[1]), _common_name(issuer[1]), begins, ends)
    except (ValueError, IndexError, StopIteration):
        return None


def read_pem(text: str) -> Certificate | None:
    """Read the first certificate of a file: with a chain, that is the one of the owner."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, found, rest = text.partition(begin)
    body, ended, _ = rest.partition(end)
    if not found or not ended:
        return None
    try:
        return read(ssl.PEM_cert_to_DER_cert(f"{begin}{body}{end}"))
    except ValueError:
        return None


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Take apart what stands one after the other; raises IndexError or ValueError for what is cut off."""
    place = 0
    while place < len(der):
        tag, length, start = der[place], der[place + 1], place + 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[place + 2 : start], "big")
        if start + length > len(der):
            raise ValueError("cut off")
        yield tag, der[start : start + length]
        place = start + length


def _instant(tag: int, text: bytes) -> datetime:
    if tag not in (_UTC_TIME, _GENERALIZED):
        raise ValueError("no time")
    said = text.decode("ascii")
    if tag == _UTC_TIME:  # two digits of the year: 50 to 99 are of the last century
        said = ("19" if said >= "5" else "20") + said
    return datetime.strptime(said, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _common_name(name: bytes) -> str:
    """Give the common name, or else the last thing that a name says."""
    said = ""
    for _tag, group in _values(name):
        for _kind, pair in _values(group):
            values = list(_values(pair))
            said = values[-1][1].decode("utf-8", "replace")
            if pair.startswith(_COMMON_NAME):
                return _plain(said)
    return _plain(said)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:_SHOWN]


def expiry(
    check: str, subject: str, whose: str, certificate: Certificate | None, now: datetime
) -> list[Finding]:
    """Say until when a certificate holds; wrong when that is soon, so that there is time to have it renewed."""
    if certificate is None:
        return []
    until = certificate.ends.date().isoformat()
    if now >= certificate.ends:
        return [wrong(check, "certificate_expires", f"{whose} expired on {until}.", subject)]
    days = certificate.days_left(now)
    if certificate.ends - now < SOON:
        return [wrong(check, "certificate_expires", f"{whose} expires on {until}, in {days} days.", subject)]
    return [well(check, f"{whose} holds until {until}, for {days} days more.", subject)]
