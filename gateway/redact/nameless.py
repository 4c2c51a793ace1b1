"""Masks what needs no name to be known: logins and queries in addresses, Windows users, Base64 as long as a picture."""

import re

_URI_LOGIN = re.compile(rb"(?<=://)[^/\s\"'<>\\]*@")
# What is asked of an address may be a key, whatever it is called.
# It is looked for from the last :// before it, so that a line of nothing but those is read once, not from each of them.
_URI_QUERY = re.compile(
    rb"(://[^\s\"'<>?\\:]{0,512}+(?::(?!//)[^\s\"'<>?\\:]{0,512}+){0,64}\?)[^\s\"'<>\\#]++"
)
_WINDOWS_USER = re.compile(rb"(?<![a-z0-9])([a-z]:[\\/]++users[\\/]++)[^\\/\"'<>\r\n]++", re.IGNORECASE)
_PICTURE_RUN = re.compile(rb"(?<![A-Za-z0-9+/\\%])[A-Za-z0-9+/\\%]{512,}+={0,2}")


def without_logins(raw: bytes) -> bytes:
    """Mask the logins in addresses. Before names are looked for: one may end like a name, as in https://doorkey:x@host."""
    return _URI_LOGIN.sub(b"***@", raw)


def nameless(raw: bytes) -> bytes:
    """Mask what needs no name to be known: who logs in at an address and what is asked of it, and Base64 like a picture."""
    masked = _URI_QUERY.sub(rb"\1***", without_logins(raw))
    masked = _WINDOWS_USER.sub(rb"\1***", masked)
    return _PICTURE_RUN.sub(lambda run: b"<%d chars>" % len(run[0]), masked)
