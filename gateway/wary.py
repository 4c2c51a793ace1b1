"""The HTTP client for far ends that may be hostile: no cookies, no redirects, no proxies, and an answer in good time.

A client takes what a server tells it to keep, and reads on for as long as one more line comes before the answer. Here
nothing is kept between two requests but the connection, and what comes is read in small pieces, with a turn for
everybody else between two of them. How long a whole exchange may take is a matter of who asks.
"""

import ssl
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any

import anyio.lowlevel

if TYPE_CHECKING:
    import httpx2

HEAD_BYTES = 65_536  # of an answer, with all that goes before it (1xx)
_READ_BYTES = 4096
_IDLE_S = 4.0  # below the five seconds after which servers close an idle connection


def client(*, verify: ssl.SSLContext | bool) -> "httpx2.AsyncClient":
    """Give a client with one connection and no deadlines of its own."""
    import httpx2  # noqa: PLC0415 - a gateway that asks nobody does not pay for it

    from gateway.header_lines import read_in_linear_time  # noqa: PLC0415 - the same: it loads h11

    read_in_linear_time()
    limits = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_IDLE_S)
    transport = httpx2.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)
    # There is no public way to the bytes; the minor version of the client is pinned, and a test holds what this is for.
    pool: Any = transport._pool  # noqa: SLF001 - see the line above
    pool._network_backend = network = _Network(pool._network_backend)  # noqa: SLF001 - the same
    return httpx2.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=None,
        cookies=_NoCookies(),
        event_hooks={"request": [network.asked], "response": [network.answered]},
    )


class _NoCookies(CookieJar):
    """A jar that takes nothing; far ends could fill it, and have it all sent back with every request."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Leave what the far end wants to be kept."""


class _Network:
    """The way to the network, on one connection after the other."""

    def __init__(self, network: Any) -> None:
        self._network = network
        self._left: int | None = None  # so many bytes may come before the answer; None: it has begun

    async def asked(self, _request: object) -> None:
        self._left = HEAD_BYTES

    async def answered(self, _response: object) -> None:
        self._left = None

    async def connect_tcp(self, *args: Any, **named: Any) -> "_Bytes":
        return _Bytes(await self._network.connect_tcp(*args, **named), self)

    def came(self, count: int) -> None:
        """Count what came."""
        if self._left is None:
            return
        self._left -= count
        if self._left < 0:
            import httpx2  # noqa: PLC0415 - it is there already

            raise httpx2.RemoteProtocolError(f"more than {HEAD_BYTES} bytes, and no answer in them")


class _Bytes:
    """The bytes of one connection, in small pieces."""

    def __init__(self, stream: Any, network: _Network) -> None:
        self._stream = stream
        self._network = network

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the client's
        await anyio.lowlevel.checkpoint()  # what TLS has decrypted comes without a turn for anybody else
        data: bytes = await self._stream.read(min(max_bytes, _READ_BYTES), timeout)
        self._network.came(len(data))
        return data

    async def start_tls(self, *args: Any, **named: Any) -> "_Bytes":
        return _Bytes(await self._stream.start_tls(*args, **named), self._network)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
