"""What the device port's words for a refusal mean, for the person who reads them."""

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "bad_request": "what it sends is not HTTP",
    "bodies_full": "too many large pushes are on their way at the same time; the device is told to try again",
    "encoding": "its body is compressed, which no supported device does",
    "header_too_large": "its header is larger than listen.header_bytes",
    "http_version": "it speaks HTTP/2 without TLS, which no supported device does",
    "no_length": "it does not say how long its body is",
    "not_allowed": "its network is not in listen.allow",
    "path_too_long": "its path is longer than 2048 bytes",
    "slow_body": "its body took longer than listen.body_deadline_s",
    "slow_header": "its header took longer than listen.header_deadline_s",
    "tls": "no TLS came about with it",
    "tls_on_plain_port": "it speaks TLS; type http:// instead of https:// into the device's upload URL",
    "too_large": "its body is larger than listen.xml_bytes, json_bytes or other_bytes allow",
    "too_many": "listen.connections are open already",
    "too_many_from_address": "it has listen.connections_per_address open already",
}
