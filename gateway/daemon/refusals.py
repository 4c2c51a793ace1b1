"""What the words of a port for a refusal mean, for the person who reads them."""

from collections.abc import Mapping

_REASONS: Mapping[str, str] = {
    "bad_request": "what it sends is not HTTP, or a body in more pieces than any device makes",
    "bodies_full": "too many large pushes are on their way at the same time; the device is told to try again",
    "encoding": "its body is compressed, which no supported device does",
    "header_too_large": "its header is larger than {section}.header_bytes",
    "http_version": "it speaks HTTP/2 without TLS, which no supported device does",
    "no_length": "it does not say how long its body is",
    "not_allowed": "its network is not in {section}.allow",
    "path_too_long": "its path is longer than 2048 bytes",
    "slow_body": "its body took longer than {section}.body_deadline_s",
    "slow_header": "its header took longer than {section}.header_deadline_s",
    "tls": "no TLS came about with it",
    "tls_on_plain_port": "it speaks TLS; type http:// instead of https:// into the device's upload URL",
    "too_large": "its body is larger than {body_bytes}",
    "too_many": "{section}.connections are open already",
    "too_many_from_address": "it has {section}.connections_per_address open already",
}

_PLAIN = frozenset({"silent", "unauthorised"})  # they need no explanation


def meaning(
    reason: str,
    section: str = "listen",
    body_bytes: str = "listen.xml_bytes, json_bytes or other_bytes allow",
) -> str:
    """Say what a word means at the port of a section of the configuration; "" when nothing is known of it."""
    return _REASONS.get(reason, "").format(section=section, body_bytes=body_bytes)


def word(reason: str) -> str:
    """Give a word of which there are few: what is not known here is "other"."""
    return reason if reason in _REASONS or reason in _PLAIN else "other"
