"""What can be set on the HTTPS sink, and what of it may be shown."""

import ipaddress
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, unquote_plus, urlsplit

_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?|")
_KEY_MIN = 8  # letters; a shorter value of a query is no key, and is part of many a word
_OURS = {  # request and connection are described by the gateway and its client
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
}


@dataclass(frozen=True, kw_only=True)
class HttpsOptions:
    """Settings of one HTTPS sink; a setting that cannot work raises ValueError with what to do.

    ``batch`` 1 sends every event as one structured CloudEvent. More sends JSON arrays of up to that
    many events, which the specification allows only when the receiver asked for it.
    ``batch_bytes`` bounds one request before compression; a single larger event is sent alone.
    """

    name: str
    endpoint: str = field(repr=False)  # its query may hold a key
    gateway_id: str
    tls: ssl.SSLContext | None = None  # own CA and client certificate; None: the system's CAs
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    bearer: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)  # whsec_…; several while they are rotated
    batch: int = 1
    batch_bytes: int = 900_000
    gzip: bool = True
    timeout_s: float = 20.0  # of one request, from the connection to the last byte of the answer
    window: int = 500
    max_retry_after_s: float = 3600.0
    insecure_http: bool = False  # plain http:// to another machine, on a network that is trusted

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint, insecure_http=self.insecure_http)
        _check_headers(self.headers)
        if self.bearer is not None:
            if not _HEADER_VALUE.fullmatch(self.bearer) or not self.bearer:
                raise ValueError("bearer: the token is empty or holds a character that a header cannot carry")
            if any(name.lower() == "authorization" for name in self.headers):
                raise ValueError("bearer: there is an Authorization header already; keep one of the two")
        for name in ("batch", "batch_bytes", "timeout_s", "window", "max_retry_after_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be above 0, not {getattr(self, name)}")

    @property
    def place(self) -> str:
        """The endpoint as people may see it: without its query, which may hold a key."""
        url = urlsplit(self.endpoint)
        return f"{url.netloc}{url.path}"

    @property
    def hidden(self) -> tuple[str, ...]:
        """What a far end may repeat and nobody is shown, the longest first: one may stand within another."""
        query = urlsplit(self.endpoint).query
        values = [query, *(part.partition("=")[2] for part in re.split("[&;]", query))]
        plain = {way(value) for value in values for way in (str, unquote, unquote_plus)}
        coded = {quote(value, safe="") for value in plain}
        coded |= {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), key) for key in coded}
        keys = {key for key in plain | coded if len(key) >= _KEY_MIN}
        return tuple(sorted({*filter(None, (self.bearer, *self.secrets)), *keys}, key=len, reverse=True))

    @property
    def shown(self) -> str:
        """What each request shows of who sends it, for people: none of it, only its kinds."""
        kinds = [
            *(["a bearer token"] if self.bearer is not None else []),
            *(["a signature"] if self.secrets else []),
            *(f"the header {name}" for name in self.headers),
        ]
        return " and ".join(kinds) or "no bearer token and no signature"


def _check_endpoint(endpoint: str, *, insecure_http: bool) -> None:
    if _NOT_IN_URL.search(endpoint):
        raise ValueError("endpoint: the address holds a space or a control character")
    try:
        url = urlsplit(endpoint)
        known = url.port != 0 and bool(url.hostname)
    except ValueError as error:
        raise ValueError(f"endpoint: this is not an address: {error}") from error
    if url.scheme not in ("https", "http") or not known:
        raise ValueError("endpoint: give a full address such as https://upstream.example/events")
    if url.username is not None or url.password is not None:
        raise ValueError(
            "endpoint: leave user and password out of the address; use a bearer token or a header"
        )
    if url.fragment:
        raise ValueError("endpoint: leave out the part after '#', it is never sent")
    if url.scheme == "http" and not insecure_http and not _is_loopback(url):
        raise ValueError(
            f"endpoint: http:// would send events readable to {url.hostname}; use https://, "
            "or set insecure_http = true if that network is trusted"
        )


def _is_loopback(url: SplitResult) -> bool:
    host = url.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"headers: {name!r} is not a header name")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"headers: the value of {name} holds a character that a header cannot carry")
        if name.lower() in _OURS:
            raise ValueError(f"headers: {name} is set by the gateway itself; remove it")
